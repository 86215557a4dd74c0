"""The requests to every server, in this service's form; `System.adapt` translates them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from model.bundle.bundle import GOLDEN, Bundle
from model.pixels import Images, to_uint8

PNG = "image/png"
NPY = "application/x-npy"
JSON = "application/json"

Verb = Literal["sample", "encode", "reconstruct"]

_BOUNDARY = "image-4f1c2e"


@dataclass(frozen=True, slots=True)
class Workload:
    """One HTTP request, which is sent repeatedly."""

    name: str
    path: str
    content_type: str
    body: bytes
    accept: str = PNG
    method: str = "POST"
    verb: Verb = "sample"
    n: int = 1
    """Images in a response or an upload."""
    image: bytes = b""
    """The uploaded PNG file, without its form."""

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Accept": self.accept, "Content-Type": self.content_type}


def sample(seed: int | None = None, *, n: int = 1) -> Workload:
    """n images from the prior; without a seed every response differs.

    One image is sent as PNG, several as uint8 [n, h, w, c] in an `.npy` file.
    """
    body = b'{"n":%d}' % n if seed is None else b'{"n":%d,"seed":%d}' % (n, seed)
    accept = PNG if n == 1 else NPY
    return Workload(f"/sample n={n}", "/sample", JSON, body, accept, n=n)


def reconstruct(image: Images) -> Workload:
    """One image, uint8 [h, w, c] of the model's size, sent as a raw PNG body."""
    file = to_png(image)
    return Workload("/reconstruct", "/reconstruct", PNG, file, verb="reconstruct", image=file)


def reconstruct_multipart(image: Images, *, images: int = 1) -> Workload:
    """The same image in parts `images` of a form, as `curl -F` and browsers send it.

    One reconstruction is sent as PNG, several as an `.npy` file.
    """
    file = to_png(image)
    part = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="images"; filename="image.png"\r\n'
        f"Content-Type: {PNG}\r\n\r\n"
    ).encode() + file
    return Workload(
        "/reconstruct multipart",
        "/reconstruct",
        f"multipart/form-data; boundary={_BOUNDARY}",
        b"\r\n".join([part] * images) + f"\r\n--{_BOUNDARY}--\r\n".encode(),
        PNG if images == 1 else NPY,
        verb="reconstruct",
        n=images,
        image=file,
    )


def encode(image: Images) -> Workload:
    """One image as a raw PNG body; the response is its posterior's mean and logvar as JSON."""
    file = to_png(image)
    return Workload("/encode", "/encode", PNG, file, JSON, verb="encode", image=file)


def golden_image(bundle: Bundle) -> Images:
    """The first image of the bundle's golden batch, uint8 [h, w, c]."""
    with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as archive:
        rows = archive["image"][:1]
    first: Images = to_uint8(rows, bundle.manifest.input.value_range)[0]
    return first


def to_png(image: Images, level: int = 6) -> bytes:
    """uint8 [h, w, c] as a PNG file of a compression level, 0 … 9."""
    file = io.BytesIO()
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    Image.fromarray(pixels).save(file, "PNG", compress_level=level)
    return file.getvalue()


def from_png(content: bytes, channels: int) -> Images:
    """A PNG file as uint8 [h, w, channels]."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).reshape(image.height, image.width, channels)
