"""diffusers' own client calls a running server in every mode, and results equal torch's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.remote_utils import remote_decode, remote_encode
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tests import autoencoder
from tests.autoencoder import SCALING, SHIFT
from tests.conftest import Imported
from tests.e2e.process import server

LIMIT = 1e-3
FACTORS: dict[str, Any] = {"scaling_factor": SCALING, "shift_factor": SHIFT}


@pytest.fixture(scope="module", name="url")
def _url(imported: Imported) -> Iterator[str]:
    with server(imported.repository) as (process, port):
        process.wait_for("serves on")
        yield f"http://127.0.0.1:{port}/remote-vae"


@pytest.fixture(scope="module", name="vae")
def _vae(imported: Imported) -> Any:
    return autoencoder.load(imported.saved)


def latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def decoded(vae: Any, rows: Tensor, *, scaling: float = SCALING, shift: float = SHIFT) -> Tensor:
    """Decodes as diffusers' pipelines do."""
    with torch.no_grad():
        sample: Tensor = vae.decode(rows.float() / scaling + shift).sample
    return sample


def shown(sample: Tensor) -> NDArray[np.uint8]:
    """Converts to uint8 [n, h, w, c] with diffusers' image processor."""
    unit = VaeImageProcessor().postprocess(sample, output_type="np")
    grey: NDArray[np.uint8] = (unit * 255).round().astype("uint8")
    return grey


def drawn(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def mode(vae: Any, image: Image.Image) -> Tensor:
    """The posterior's mode of an image of a valid size, without shift or scaling."""
    pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy()).float()
    with torch.no_grad():
        found: Tensor = vae.encode(pixels[None] / 127.5 - 1).latent_dist.mode()
    return found


@pytest.mark.parametrize("shape", [(1, 4, 16, 16), (1, 4, 9, 7), (3, 4, 5, 8), (1, 4, 1, 1)])
def test_decode_to_a_tensor_is_what_torch_computes(
    url: str, vae: Any, shape: tuple[int, ...]
) -> None:
    """Pixels are returned as numbers [n, c, h, w], not clamped and not mapped to 0 … 1."""
    rows = latents(*shape)
    answer = remote_decode(f"{url}/decode", rows, output_type="pt", return_type="pt", **FACTORS)

    torch.testing.assert_close(answer, decoded(vae, rows), rtol=0, atol=LIMIT)


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float16, 11), (torch.bfloat16, 8)])
def test_half_precision_is_answered_in_kind(
    url: str, vae: Any, dtype: torch.dtype, bits: int
) -> None:
    """16-bit latents are accepted, and pixels have the same type and no other error."""
    rows = latents(2, 4, 6, 6).to(dtype)
    answer = remote_decode(f"{url}/decode", rows, output_type="pt", return_type="pt", **FACTORS)
    wanted = decoded(vae, rows)

    assert answer.dtype == dtype
    torch.testing.assert_close(answer.float(), wanted, rtol=2.0**-bits, atol=LIMIT)


@pytest.mark.parametrize(
    ("sent", "scaling", "shift"),
    [
        ({"do_scaling": False}, 1.0, 0.0),
        ({"scaling_factor": 0.25}, 0.25, 0.0),
        ({"scaling_factor": 2.0, "shift_factor": -0.5}, 2.0, -0.5),
        ({"do_scaling": False, "scaling_factor": 9.0}, 1.0, 0.0),
    ],
)
def test_the_client_says_how_latents_are_scaled(
    url: str, vae: Any, sent: dict[str, Any], scaling: float, shift: float
) -> None:
    """The request's factors apply; without them nothing is scaled."""
    rows = latents(1, 4, 6, 6)
    answer = remote_decode(f"{url}/decode", rows, output_type="pt", return_type="pt", **sent)

    wanted = decoded(vae, rows, scaling=scaling, shift=shift)
    torch.testing.assert_close(answer, wanted, rtol=0, atol=LIMIT)


@pytest.mark.filterwarnings("ignore:.*`do_scaling` is deprecated:FutureWarning")
def test_do_scaling_asks_for_the_factors_of_the_model(url: str, vae: Any) -> None:
    """The deprecated flag alone, the client's default, applies the manifest's factors."""
    rows = latents(1, 4, 6, 6)
    answer = remote_decode(f"{url}/decode", rows, output_type="pt", return_type="pt")

    torch.testing.assert_close(answer, decoded(vae, rows), rtol=0, atol=LIMIT)


def test_decode_to_bytes_of_images(url: str, vae: Any) -> None:
    """With partial_postprocess the tensor is uint8 [n, h, w, c], ready to show."""
    rows = latents(2, 4, 6, 5)
    options = FACTORS | {"output_type": "pt", "partial_postprocess": True}
    images = remote_decode(f"{url}/decode", rows, return_type="pil", **options)
    tensor = remote_decode(f"{url}/decode", rows, return_type="pt", **options)

    assert tensor.dtype == torch.uint8
    assert tensor.shape == (2, 12, 10, 3)
    assert np.abs(tensor.numpy().astype(int) - shown(decoded(vae, rows))).max() <= 1
    np.testing.assert_array_equal(np.stack([np.asarray(one) for one in images]), tensor)


def test_decode_for_a_processor(url: str, vae: Any) -> None:
    """diffusers' image processor accepts the numbers in −1 … 1."""
    rows = latents(1, 4, 6, 5)
    answer = remote_decode(
        f"{url}/decode", rows, processor=VaeImageProcessor(), output_type="pt", **FACTORS
    )

    assert isinstance(answer, Image.Image)
    assert np.abs(np.asarray(answer).astype(int) - shown(decoded(vae, rows))[0]).max() <= 1


def test_pil_with_a_processor_is_a_tensor(url: str, vae: Any) -> None:
    """With a processor the client gets numbers in 0 … 1, and makes images of them."""
    rows = latents(2, 4, 6, 5)
    options = FACTORS | {"processor": VaeImageProcessor(), "output_type": "pil"}
    images = remote_decode(f"{url}/decode", rows, **options)
    tensor = remote_decode(f"{url}/decode", rows, return_type="pt", **options)

    assert 0 <= tensor.min() < tensor.max() <= 1
    stacked = np.stack([np.asarray(one) for one in images])
    assert np.abs(stacked.astype(int) - shown(decoded(vae, rows))).max() <= 1


@pytest.mark.parametrize(
    ("image_format", "name", "limit"), [("png", "png", 1), ("jpg", "jpeg", 80)]
)
def test_decode_to_a_image_file(
    url: str, vae: Any, image_format: Any, name: str, limit: int
) -> None:
    """The response is a file of the requested format; PNG is lossless."""
    rows = latents(1, 4, 8, 6)
    answer = remote_decode(f"{url}/decode", rows, image_format=image_format, **FACTORS)
    difference = np.abs(np.asarray(answer).astype(int) - shown(decoded(vae, rows))[0])

    assert answer.format == name
    assert answer.size == (12, 16)
    assert difference.mean() <= limit / 4
    assert difference.max() <= limit


def test_packed_latents_are_unpacked(url: str, vae: Any) -> None:
    """Latents packed in squares of 2×2, as in Flux, decode with the image's height and width."""
    rows = latents(1, 4, 6, 8)
    packed = rows.view(1, 4, 3, 2, 4, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, 12, 16).contiguous()
    options = FACTORS | {"output_type": "pt", "return_type": "pt"}
    answer = remote_decode(f"{url}/decode", packed, height=12, width=16, **options)

    torch.testing.assert_close(answer, decoded(vae, rows), rtol=0, atol=LIMIT)
    with pytest.raises(RuntimeError, match=r"\[n, 16, 16\]"):
        remote_decode(f"{url}/decode", packed, height=16, width=16, **options)


@pytest.mark.parametrize(
    ("sent", "scaling", "shift"),
    [(FACTORS, SCALING, SHIFT), ({}, 1, 0), ({"scaling_factor": 3}, 3, 0)],
)
def test_encode_a_image(
    url: str, vae: Any, sent: dict[str, Any], scaling: float, shift: float
) -> None:
    """A PNG without a content type is encoded to the mode, with the client's shift and scale."""
    image = drawn(20, 12)
    answer = remote_encode(f"{url}/encode", image, **sent)

    assert list(answer.shape) == [1, 4, 6, 10]
    torch.testing.assert_close(answer, (mode(vae, image) - shift) * scaling, rtol=0, atol=LIMIT)


def test_an_odd_size_is_cropped_around_the_centre(url: str, vae: Any) -> None:
    """Images and tensors are cropped to the multiple and otherwise unchanged."""
    image = drawn(21, 13)
    wanted = (mode(vae, image.crop((0, 0, 20, 12))) - SHIFT) * SCALING
    tensor = torch.from_numpy(np.asarray(image).transpose(2, 0, 1)[None].copy())

    for sent in (image, tensor, tensor.float() / 127.5 - 1):
        answer = remote_encode(f"{url}/encode", sent, **FACTORS)
        torch.testing.assert_close(answer, wanted, rtol=0, atol=LIMIT)


def test_there_and_back(url: str, vae: Any) -> None:
    """decode accepts the result of encode, also in half precision."""
    image = drawn(32, 24)
    tensor = torch.from_numpy(np.asarray(image).transpose(2, 0, 1)[None].copy()).float()
    there = remote_encode(f"{url}/encode", (tensor / 127.5 - 1).half(), **FACTORS)
    back = remote_decode(f"{url}/decode", there, output_type="pt", return_type="pt", **FACTORS)

    assert there.dtype == back.dtype == torch.float16
    wanted = decoded(vae, (mode(vae, image) - SHIFT) * SCALING)
    torch.testing.assert_close(back.float(), wanted, rtol=0, atol=4e-3)


def test_callers_with_different_sizes_at_once(url: str, vae: Any) -> None:
    """Concurrent requests each get the pixels of their own latents."""
    sizes = [(4, 4), (9, 7), (16, 3), (4, 4), (12, 12), (9, 7)] * 4
    rows = [latents(1, 4, *size, seed=seed) for seed, size in enumerate(sizes)]

    def ask(row: Tensor) -> Tensor:
        answer: Tensor = remote_decode(
            f"{url}/decode", row, output_type="pt", return_type="pt", **FACTORS
        )
        return answer

    with ThreadPoolExecutor(8) as threads:
        for row, answer in zip(rows, threads.map(ask, rows), strict=True):
            torch.testing.assert_close(answer, decoded(vae, row), rtol=0, atol=LIMIT)


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        (
            {"output_type": "mp4", "return_type": "mp4"},
            (1, 4, 4, 4),
            "output_type must be one of",
        ),
        ({}, (2, 4, 4, 4), "output_type=pt"),
        ({}, (1, 16, 4, 4), r"\[n, 4, h, w\]"),
        ({}, (1, 4, 40, 4), "in steps of 2"),
        ({"height": 8, "width": 8}, (1, 5, 16), "packed latents"),
    ],
)
def test_what_is_refused_is_told_in_json(
    url: str, options: dict[str, Any], shape: tuple[int, ...], words: str
) -> None:
    """The client raises the problem document with its detail."""
    with pytest.raises(RuntimeError, match=words):
        remote_decode(f"{url}/decode", latents(*shape), **FACTORS | options)


def test_the_native_verbs_agree_with_the_protocol(url: str) -> None:
    """`/encode` and `/decode` use the latents that the manifest scales, at every size."""
    base, image = url.removesuffix("/remote-vae"), drawn(20, 12)
    file = io.BytesIO()
    image.save(file, "PNG")
    with httpx.Client(base_url=base, headers={"Accept": "application/x-npy"}) as client:
        encoded = client.post("/encode", files={"images": file.getvalue()}).raise_for_status()
        headers = {"Content-Type": "application/x-npy"}
        back = client.post("/decode", content=encoded.content, headers=headers).raise_for_status()
    mean = torch.from_numpy(np.load(io.BytesIO(encoded.content)))
    options = FACTORS | {"output_type": "pt", "partial_postprocess": True, "return_type": "pt"}

    torch.testing.assert_close(remote_encode(f"{url}/encode", image, **FACTORS), mean)
    pixels = remote_decode(f"{url}/decode", mean, **options)
    np.testing.assert_array_equal(np.load(io.BytesIO(back.content)), pixels)


def test_the_headers_are_those_that_the_client_reads(url: str) -> None:
    """The headers have `shape` as a JSON list, torch's `dtype`, the model and the times."""
    rows = latents(1, 4, 4, 4).numpy().tobytes()
    query = "shape=1&shape=4&shape=4&shape=4&dtype=float32&output_type=pt&timeout=300"
    answer = httpx.post(f"{url}/decode?{query}", content=rows).raise_for_status()

    assert json.loads(answer.headers["shape"]) == [1, 3, 8, 8]
    assert answer.headers["dtype"] == "float32"
    assert answer.headers["content-type"] == "tensor/binary"
    assert answer.headers["x-vae-model"] == f"{autoencoder.NAME}/1"
    assert answer.headers["server-timing"].startswith("queue;dur=")
