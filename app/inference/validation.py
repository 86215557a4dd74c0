"""Checks sizes, counts and finite pixels, and derives image sizes from options and latents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import EngineFailedError, InvalidFieldError
from model.bundle.manifest import VARIES, Manifest
from model.images.fitting import Fitted

Size = tuple[int, int]
"""Height and width, in pixels."""


def chosen(manifest: Manifest, height: int | None, width: int | None) -> Size:
    """The size that a request names; by default the model's own.

    Raises:
        InvalidFieldError: the model has one size, or does not take this one.
    """
    spec = manifest.input
    if height is None and width is None:
        return spec.height, spec.width
    for field, length in (("height", height), ("width", width)):
        if length is None:
            continue
        if spec.sizes is None:
            msg = f"the model draws only {spec.height}×{spec.width} images; leave out {field}"
            raise InvalidFieldError(msg, field=field)
        if not spec.sizes.take(length):
            msg = f"{field} must be {spec.sizes}, got {length}"
            raise InvalidFieldError(msg, field=field, limit=spec.sizes.max)
    return height or spec.height, width or spec.width


def of_latents(manifest: Manifest, shape: tuple[int, ...], *, field: str = "latents") -> Size:
    """The size of the images that latents of that shape, without the batch axis, decode to.

    Raises:
        InvalidFieldError: the model does not decode latents of that shape.
    """
    axes, sizes, factor = manifest.latent_axes, manifest.input.sizes, manifest.latent.factor
    if len(shape) != len(axes) or any(
        axis not in (length, VARIES) for axis, length in zip(axes, shape, strict=True)
    ):
        wanted = f"{axes[0]}, h, w" if sizes else _listed(axes)
        msg = f"{field} must have the shape [n, {wanted}], got [n, {_listed(shape)}]"
        raise InvalidFieldError(msg, field=field)
    size = manifest.image_size(shape)
    if sizes is None or factor is None:
        return size
    for name, length, pixels in zip(("height", "width"), shape[1:], size, strict=True):
        if not sizes.take(pixels):
            msg = (
                f"the {name} of {field} is {length}, which is {pixels} pixels; "
                f"images of this model have {sizes}"
            )
            raise InvalidFieldError(msg, field=field, limit=sizes.max // factor)
    return size


def check_alike(fitted: Sequence[Fitted]) -> None:
    """Checks that the images of a request have one size.

    Raises:
        InvalidFieldError: the size of one differs from the first.
    """
    first = fitted[0].pixels.shape
    for index, image in enumerate(fitted):
        height, width, _ = image.pixels.shape
        if (height, width) != first[:2]:
            msg = (
                f"image {index} is {width}×{height} when fitted, image 0 is "
                f"{first[1]}×{first[0]}; send images of different sizes in separate requests"
            )
            raise InvalidFieldError(msg, field="images", index=index)


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(str(length) for length in shape)


def check_count(count: int, field: str, limit: int) -> None:
    """Raises InvalidFieldError unless `count` is 1 … `limit`."""
    if not 1 <= count <= limit:
        detail = f"{field} must be 1 … {limit}, got {count}"
        raise InvalidFieldError(detail, field=field, limit=limit)


def check_finite(finite: NDArray[np.bool_], field: str | None = None, first: int = 0) -> None:
    """Checks that all images are finite, bool [n]; row 0 is row `first` of the request.

    Raises:
        InvalidFieldError: one is not, and `field` names the caller's option at fault.
        EngineFailedError: one is not, and no option is at fault.
    """
    if finite.all():
        return
    row = first + int(np.argmin(finite))
    if field is None:
        msg = f"the decoder returned non-finite pixels for image {row}"
        raise EngineFailedError(msg, index=row)
    if field == "radius":
        msg = f"image {row} has non-finite pixels; send a smaller radius"
    else:
        msg = f"{field}[{row}] decodes to non-finite pixels; send smaller values"
    raise InvalidFieldError(msg, field=field, index=row)


def check_rows(finite: NDArray[np.bool_], what: str, field: str) -> None:
    """Raises InvalidFieldError for the first row that is not finite; `what` is wrong with it."""
    if not finite.all():
        row = int(np.argmin(finite))
        raise InvalidFieldError(f"row {row} {what}", field=field, index=row)
