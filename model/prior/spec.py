"""What a bundle's manifest says of p(z); a mixture's parameters are in `prior.npz`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from model.config import Frozen


class PriorSpec(Frozen):
    """p(z): N(0, I), or the mixture in `prior.npz`, of so many components.

    Raises:
        pydantic.ValidationError: a mixture without components, or N(0, I) with some.
    """

    family: Literal["normal", "mixture"] = "normal"
    components: PositiveInt | None = None

    @model_validator(mode="after")
    def _a_mixture_has_components(self) -> Self:
        if (self.family == "mixture") != (self.components is not None):
            msg = "components are required for a mixture and not allowed for a normal prior"
            raise ValueError(msg)
        return self
