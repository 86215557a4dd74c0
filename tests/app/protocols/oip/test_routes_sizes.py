"""The inference protocol on a bundle of many sizes, whose latents are scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from model.pixels import Floats
from tests.app.loops import in_loop
from tests.app.protocols.oip.test_routes import check
from tests.app.protocols.oip.wire import entry, length
from tests.app.serving import serving
from tests.arithmetic_maps import SCALING, SHIFT


def blocks(height: int, width: int) -> Floats:
    """An image of 2×2 blocks, each with a level of its own, in three channels."""
    small = np.arange(3 * height * width // 4, dtype=np.float32).reshape(1, 3, height // 2, -1)
    return small.repeat(2, axis=2).repeat(2, axis=3) / np.float32(64)


def body(array: Floats, name: str = "image") -> bytes:
    return orjson.dumps({"inputs": [entry(array, name=name)]})


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (32, 16)])
@in_loop
async def test_each_size_is_answered_in_its_own(maps: Path, height: int, width: int) -> None:
    """Latents come scaled as the manifest says, go back the same way, and pixels are as sent."""
    image = blocks(height, width)
    async with serving(maps) as client:
        encoded = await client.post("/v2/models/maps-encoder/infer", content=body(image))
        mean = encoded.json()["outputs"][0]
        latents = np.array(mean["data"], np.float32).reshape(mean["shape"])
        decoded = await client.post(
            "/v2/models/maps-decoder/infer", content=body(latents, "latent")
        )
        whole = await client.post("/v2/models/maps-reconstruct/infer", content=body(image))
    assert mean["shape"] == [1, 3, height // 2, width // 2]
    np.testing.assert_allclose(latents, (image[:, :, ::2, ::2] - SHIFT) * SCALING, atol=1e-6)
    for answer in (decoded, whole):
        pixels = answer.json()["outputs"][0]
        assert (pixels["name"], pixels["shape"]) == ("pixels", list(image.shape))
        np.testing.assert_allclose(pixels["data"], image.ravel(), atol=1e-5)


@in_loop
async def test_sizes_that_the_model_does_not_take_are_refused(maps: Path) -> None:
    """Too small, too large and between the steps; a raw body does not say its size."""
    async with serving(maps) as client:
        for height, width in ((2, 4), (36, 4), (6, 8), (8, 10)):
            answer = await client.post(
                "/v2/models/maps-encoder/infer", content=body(blocks(height, width))
            )
            check(answer, 400, "4 … 32 in steps of 4")
        latents = np.zeros((1, 3, 3, 4), np.float32)
        answer = await client.post("/v2/models/maps-decoder/infer", content=body(latents, "latent"))
        check(answer, 400, "in steps of 4")
        raw = blocks(4, 4).tobytes()
        path = "/v2/models/maps-encoder/infer"
        check(await client.post(path, content=raw, headers=length(0)), 400, "2 variable axes")


@in_loop
async def test_rows_are_admitted_at_their_own_size(maps: Path) -> None:
    """Latents cost the images that they become, not those of the model's own size, 8×12."""
    small, large = (np.zeros((1, 3, side, side), np.float32) for side in (4, 8))
    async with serving(maps, queue_pixels=8 * 12) as client:
        path = "/v2/models/maps-decoder/infer"
        assert (await client.post(path, content=body(small, "latent"))).status_code == 200
        check(await client.post(path, content=body(large, "latent")), 400, "costs 256 pixels")


@in_loop
async def test_open_axes_and_sizes_are_told(maps: Path) -> None:
    """Metadata has -1 where a length varies, and the configuration says which are taken."""
    async with serving(maps) as client:
        metadata = (await client.get("/v2/models/maps-encoder")).json()
        config = (await client.get("/v2/models/maps-encoder/config")).json()
    assert metadata["inputs"][0]["shape"] == metadata["outputs"][0]["shape"] == [-1, 3, -1, -1]
    assert config["input"][0]["dims"] == [3, -1, -1]
    assert config["parameters"]["sizes"]["string_value"] == "4 … 32 in steps of 4"
    assert config["parameters"]["value_range"]["string_value"] == "-1,1"
