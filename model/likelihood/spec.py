"""What a bundle's manifest says of p(x|z): all that the decoder's `params` don't."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from model.config import SMALLEST_SCALE, Binarisation, Family, Frozen
from model.likelihood.families import FAMILIES, NUMPY, Likelihood
from model.pixels import Floats, Nats

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
        self.likelihood.check(self.scale, self.levels)
        return self

    @property
    def likelihood(self) -> Likelihood:
        """The family."""
        return FAMILIES[self.family]

    def log_probability(self, targets: Floats, params: Floats) -> Nats:
        """log p(x|z) [n] of targets in [0, 1] (binary for a Bernoulli) under the decoder's
        `params`, each [n, c, h, w]."""
        found: Nats = self.likelihood.log_probability(
            NUMPY, targets, params, self.scale, self.levels
        )
        return found
