"""The table of formats that a verb's answer can have beside JSON: media type → encoder.

A new format is one entry here. Accept negotiation and OpenAPI follow from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.codecs import images, npy
from app.http.headers import GIF, JSON, NPY, PNG, WEBP, ZIP
from model.pixels import Images

Kind = Literal["images", "path", "latents", "metrics"]
"""What an answer holds: images, images on a path in order, latents, or numbers in JSON alone."""


@dataclass(frozen=True, slots=True)
class Content:
    """The array to encode: images uint8 [n, h, w, c] or latents float32 [n, *latent_shape]."""

    array: NDArray[Any]
    kind: Kind
    milliseconds: int = 100
    """How long an animation shows each image."""
    bounce: bool = False
    """Whether an animation also goes back."""


@dataclass(frozen=True, slots=True)
class Format:
    """A media type, the kinds of answer that it can hold, and its encoder."""

    media_type: str
    kinds: tuple[Kind, ...]
    encode: Callable[[Content], bytes] | None
    """None for zip, whose images are sent while they are computed."""
    weight: int = 1
    """How many times as long a pixel takes as in a PNG, about."""


def _sheet(content: Content) -> bytes:
    arrange = images.strip if content.kind == "path" else images.grid
    return images.png(arrange(content.array))


def _animation(write: Callable[[Images, int], bytes]) -> Callable[[Content], bytes]:
    def encode(content: Content) -> bytes:
        there = content.array
        frames = np.concatenate([there, there[-2:0:-1]]) if content.bounce else there
        return write(frames, content.milliseconds)

    return encode


_TABLE = (
    Format(PNG, ("images", "path"), _sheet),
    Format(NPY, ("images", "path", "latents"), lambda content: npy.dump(content.array)),
    Format(ZIP, ("images",), None),
    Format(GIF, ("path",), _animation(images.gif), images.ANIMATION_WEIGHT),
    Format(WEBP, ("path",), _animation(images.webp), images.ANIMATION_WEIGHT),
)
FORMATS = {entry.media_type: entry for entry in _TABLE}


def media_types(kind: Kind) -> tuple[str, ...]:
    """The media types of an answer of this kind, JSON first."""
    return (JSON, *(entry.media_type for entry in _TABLE if kind in entry.kinds))
