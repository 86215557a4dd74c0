"""Files in, what a model sees out."""

from __future__ import annotations

import io

from model.bundle.manifest import InputSpec, Preprocessing
from model.images.fitting import Fitted, fit
from model.images.reading import read

SERVED = ("PNG", "JPEG", "WEBP")


def fitted(
    data: bytes,
    *,
    channels: int = 3,
    size: tuple[int, int] | None = None,
    background: int = 0,
    formats: tuple[str, ...] | None = SERVED,
) -> Fitted:
    """Fits to `size` (width, height), or to the size that the file has."""
    image = read(io.BytesIO(data), max_pixels=10_000_000, formats=formats)
    width, height = size or image.image.size
    spec = InputSpec(
        channels=1 if channels == 1 else 3,
        height=height,
        width=width,
        order="L" if channels == 1 else "RGB",
    )
    return fit(image, spec, Preprocessing(background=background))
