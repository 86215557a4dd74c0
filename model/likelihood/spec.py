"""What a bundle's manifest says of p(x|z): all that the decoder's `params` don't."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from model.config import SMALLEST_SCALE, Binarisation, Family, Frozen

_PositiveFloat = Annotated[float, Field(ge=SMALLEST_SCALE)]
Scale = _PositiveFloat | Annotated[tuple[_PositiveFloat, ...], Field(min_length=1)]
"""Of a likelihood: one for all values, or one a channel."""


class LikelihoodSpec(Frozen):
    """p(x|z) as trained, over `dimensions` pixel values.

    Raises:
        pydantic.ValidationError: a Gaussian without its one scale, a logistic without its levels
            and a scale a channel, or members that are another family's.
    """

    family: Family
    dimensions: PositiveInt
    scale: Scale | None = None
    """Of pixels in [0, 1]: a Gaussian's standard deviation, or a logistic's scale by channel."""
    levels: Annotated[int, Field(ge=2, le=65_536)] | None = None
    """Number of grey levels that a logistic is a distribution over, of 16 bits at most."""
    binarise: Binarisation | None = None
    """How training made grey images binary; Bernoulli only."""

    @model_validator(mode="after")
    def _members_fit_the_family(self) -> Self:
        by_channel = isinstance(self.scale, tuple)
        if self.family == "gaussian" and (self.scale is None or by_channel or self.levels):
            msg = "a gaussian likelihood needs a scale, its standard deviation, and no levels"
            raise ValueError(msg)
        if self.family == "logistic" and not (by_channel and self.levels):
            msg = "a logistic likelihood needs levels, and a list of scales, one a channel"
            raise ValueError(msg)
        if self.family == "bernoulli" and (self.scale is not None or self.levels is not None):
            msg = "a bernoulli likelihood has neither scale nor levels; leave them out"
            raise ValueError(msg)
        return self

    @property
    def is_density(self) -> bool:
        """Whether it is a density over continuous values, which has no bits, rather than a
        probability."""
        return self.family == "gaussian"


def ways_to_binarise(likelihood: LikelihoodSpec) -> tuple[Binarisation, ...]:
    """How images may be made binary for a likelihood."""
    return ("sample", "threshold") if likelihood.family == "bernoulli" else ("none",)
