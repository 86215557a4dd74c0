"""Shapes, sizes and ranges: what goes into a bundle's graphs and comes out of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from model.config import Frozen

Shape = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]

VARIES = -1
"""An axis of a graph's tensor with a variable length."""
Axes = Annotated[tuple[PositiveInt | Literal[-1], ...], Field(min_length=1)]


class SizesSpec(Frozen):
    """Heights and widths that a model takes: `min` … `max`, in steps of `multiple`.

    Raises:
        pydantic.ValidationError: `min` or `max` is no multiple, or `max` is below `min`.
    """

    min: PositiveInt
    max: PositiveInt
    multiple: PositiveInt

    def take(self, length: int) -> bool:
        """Whether a height or a width is one of these."""
        return self.min <= length <= self.max and length % self.multiple == 0

    @model_validator(mode="after")
    def _ends_are_multiples(self) -> Self:
        if self.min % self.multiple or self.max % self.multiple or self.max < self.min:
            raise ValueError(
                f"min and max must be multiples of {self.multiple} with min ≤ max, "
                f"got {self.min} and {self.max}"
            )
        return self

    def __str__(self) -> str:
        return f"{self.min} … {self.max} in steps of {self.multiple}"


class InputSpec(Frozen):
    """The images that the encoder takes: float32 [n, channels, height, width].

    Raises:
        pydantic.ValidationError: `order` is not one of so many channels, `value_range` does not
            increase, or `sizes` leave out `height` or `width`.
    """

    channels: Literal[1, 3]
    height: PositiveInt
    width: PositiveInt
    order: Literal["L", "RGB"]
    value_range: tuple[float, float] = (0.0, 1.0)
    sizes: SizesSpec | None = None
    """The accepted heights and widths; `height` and `width` are then the default. None: only
    `height` and `width` are accepted."""

    @property
    def dimensions(self) -> int:
        """The number of values of an image of `height` and `width`."""
        return self.channels * self.height * self.width

    @property
    def axes(self) -> tuple[int, ...]:
        """The shape of an image inside, (channels, height, width), as a graph states it."""
        if self.sizes:
            return (self.channels, VARIES, VARIES)
        return (self.channels, self.height, self.width)

    @model_validator(mode="after")
    def _order_fits_channels(self) -> Self:
        wanted = "L" if self.channels == 1 else "RGB"
        if self.order != wanted:
            msg = f"order must be {wanted} with {self.channels} channels, got {self.order}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _value_range_increases(self) -> Self:
        low, high = self.value_range
        if low >= high:
            msg = f"value_range must be a lower and a higher value, got {low:g} and {high:g}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _default_size_is_taken(self) -> Self:
        if self.sizes and not (self.sizes.take(self.height) and self.sizes.take(self.width)):
            msg = f"height and width must be {self.sizes}, got {self.height}×{self.width}"
            raise ValueError(msg)
        return self


class LatentSpec(Frozen):
    """A vector (d,) or a map (c, h, w); what is served is (z − shift) · scaling.

    Raises:
        pydantic.ValidationError: `factor` is given for a vector, or `scaling` is 0.
    """

    shape: Shape
    """Of an image of the input's `height` and `width`."""
    factor: PositiveInt | None = None
    """Pixels a side for each of a map's entries: an image of h×w has a map of h/f×w/f."""
    scaling: float = 1.0
    shift: float = 0.0

    @property
    def is_map(self) -> bool:
        """Whether latents have a height and a width."""
        return len(self.shape) == 3

    @model_validator(mode="after")
    def _members_fit_the_shape(self) -> Self:
        if self.factor is not None and not self.is_map:
            raise ValueError(
                f"factor requires a latent map (c, h, w), got the shape {list(self.shape)}"
            )
        if self.scaling == 0:
            raise ValueError("scaling must not be 0")
        return self


class TensorSpec(Frozen):
    """A graph's input or output; the batch axis is left out of `shape`, and an axis is −1 where
    its length varies."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: Axes


class GraphSpec(Frozen):
    """The tensors of one graph, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
