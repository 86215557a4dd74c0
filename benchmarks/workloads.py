"""What is asked of every server."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.pixels import Images


@dataclass(frozen=True, slots=True)
class Workload:
    """One HTTP request, sent again and again."""

    name: str
    path: str
    content_type: str
    body: bytes
    accept: str = "image/png"
    method: str = "POST"

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Accept": self.accept, "Content-Type": self.content_type}


def sample(seed: int | None = None) -> Workload:
    """One picture from the prior; without a seed each answer is another one."""
    body = b'{"n":1}' if seed is None else b'{"n":1,"seed":%d}' % seed
    return Workload("/sample n=1", "/sample", "application/json", body)


def reconstruct(image: Images) -> Workload:
    """One picture, uint8 [h, w, c] of the model's size, sent as a raw PNG body."""
    return Workload("/reconstruct", "/reconstruct", "image/png", to_png(image))


def to_png(image: Images) -> bytes:
    """uint8 [h, w, c] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()


def from_png(content: bytes, channels: int) -> Images:
    """A PNG file as uint8 [h, w, channels]."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).reshape(image.height, image.width, channels)
