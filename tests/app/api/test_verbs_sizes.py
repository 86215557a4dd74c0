"""The verbs over HTTP on a model of many sizes, whose latents are maps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.app.loops import in_loop
from tests.app.serving import serving
from tests.arithmetic_maps import HEIGHT, SCALING, SHIFT, WIDTH, blocks

JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"


def png(height: int, width: int, seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(blocks(height, width, seed=seed)).save(file, "PNG")
    return file.getvalue()


def array(answer: httpx.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    loaded: np.ndarray[Any, Any] = np.load(io.BytesIO(answer.content), allow_pickle=False)
    return loaded


def npy(values: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype=np.float32))
    return file.getvalue()


@in_loop
async def test_encode_answers_scaled_maps(maps: Path) -> None:
    """The latent of an image has its size, and is (z − shift) · scaling."""
    async with serving(maps) as client:
        files = [("images", png(12, 20, seed)) for seed in (1, 2)]
        told = (await client.post("/encode", files=files)).json()
    small = np.stack([blocks(12, 20, seed=seed)[::2, ::2] for seed in (1, 2)])
    z = small.transpose(0, 3, 1, 2) / 127.5 - 1
    np.testing.assert_allclose(told["mean"], (z - SHIFT) * SCALING, atol=1e-6)
    np.testing.assert_allclose(told["logvar"], 2 * np.log(SCALING), atol=1e-6)


@in_loop
async def test_there_and_back(maps: Path) -> None:
    """What `/encode` answers `/decode` takes, from `.npy` and from JSON, whatever the size."""
    image = blocks(20, 8)
    async with serving(maps) as client:
        encoded = await client.post(
            "/encode", content=png(20, 8), headers={"Content-Type": PNG, "Accept": NPY}
        )
        latents = array(encoded)
        headers = {"Content-Type": NPY, "Accept": NPY}
        back = array(await client.post("/decode", content=encoded.content, headers=headers))
        body = {"latents": latents[0].tolist()}
        listed = array(await client.post("/decode", json=body, headers={"Accept": NPY}))
    np.testing.assert_array_equal(back, image[None])
    np.testing.assert_array_equal(listed, image[None])


@in_loop
async def test_reconstruct_keeps_the_size(maps: Path) -> None:
    """An image of blocks comes back as it is, with its KL of the latents as trained."""
    async with serving(maps) as client:
        answer = await client.post("/reconstruct", files={"images": png(8, 16)})
        shown = array(
            await client.post("/reconstruct", files={"images": png(8, 16)}, headers={"Accept": NPY})
        )
    told = answer.json()
    np.testing.assert_array_equal(shown, blocks(8, 16)[None])
    z = blocks(8, 16)[::2, ::2] / 127.5 - 1
    np.testing.assert_allclose(told["kl"], [(z**2).sum() / 2], rtol=1e-5)
    np.testing.assert_allclose(told["squared_error"], [0], atol=1e-6)
    assert np.shape(told["mean"]) == (1, 3, 4, 8)


@in_loop
async def test_sample_takes_a_size(maps: Path) -> None:
    """Height and width choose it, the manifest where they are not given; the latents are those of
    the seed and decode to the images."""
    async with serving(maps) as client:
        told = (await client.post("/sample", json={"n": 2, "seed": 7, "height": 16})).json()
        first = (await client.post("/sample", params={"seed": 7, "height": 16})).json()
        plain = array(await client.post("/sample", headers={"Accept": NPY}))
        headers = {"Content-Type": NPY, "Accept": NPY}
        latents = npy(told["latents"])
        decoded = array(await client.post("/decode", content=latents, headers=headers))
        drawn = await client.post(
            "/sample", json={"n": 2, "seed": 7, "height": 16}, headers={"Accept": NPY}
        )
    assert np.shape(told["latents"]) == (2, 3, 8, WIDTH // 2)
    assert first["latents"] == told["latents"][:1]
    assert plain.shape == (1, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(array(drawn), decoded)


@pytest.mark.parametrize("options", [{"height": 6}, {"width": 36}, {"height": 0}])
@in_loop
async def test_sample_refuses_other_sizes(maps: Path, options: dict[str, int]) -> None:
    """A size that the model does not take is a 422 that names the side."""
    async with serving(maps) as client:
        answer = await client.post("/sample", json=options)
    assert (answer.status_code, answer.json()["field"]) == (422, next(iter(options)))


@in_loop
async def test_a_model_of_one_size_takes_none(repository: Path) -> None:
    """`height` on a model of one size is an error, as an option that does nothing would be."""
    async with serving(repository) as client:
        answer = await client.post("/sample", json={"height": 4})
    assert (answer.status_code, answer.json()["field"]) == (422, "height")


@in_loop
async def test_images_of_different_sizes_are_refused(maps: Path) -> None:
    """One request has one size after fitting; the image that differs is named."""
    async with serving(maps) as client:
        alike = await client.post("/encode", files=[("images", png(8, 8)), ("images", png(10, 8))])
        files = [("images", png(8, 8)), ("images", png(12, 8))]
        answer = await client.post("/encode", files=files)
    assert alike.status_code == 200
    assert alike.json()["pictures"][1]["steps"] == ["cropped to 8×8 around the centre"]
    assert (answer.status_code, answer.json()["index"]) == (422, 1)
    assert "separate requests" in answer.json()["detail"]


@in_loop
async def test_sizes_that_are_not_taken_are_refused(maps: Path) -> None:
    """Images and latents beyond the model's range are 422, and say what it is."""
    async with serving(maps) as client:
        image = await client.post("/encode", files={"images": png(8, 40)})
        latents = await client.post(
            "/decode", content=npy(np.zeros((1, 3, 4, 18))), headers={"Content-Type": NPY}
        )
    assert (image.status_code, image.json()["code"]) == (422, "invalid_picture")
    assert (latents.status_code, latents.json()["code"]) == (422, "invalid_field")
    assert "4 … 32 in steps of 4" in latents.json()["detail"]


@in_loop
async def test_a_request_costs_its_pixels(maps: Path) -> None:
    """A queue of 200 pixels has room for 8×12 and not for 16×16."""
    async with serving(maps, queue_pixels=200) as client:
        answers = [
            await client.post("/sample", json={"height": height, "width": width})
            for height, width in ((8, 12), (16, 16))
        ]
        latents = [
            await client.post(
                "/decode",
                content=npy(np.zeros((1, 3, size, size))),
                headers={"Content-Type": NPY},
            )
            for size in (4, 8)
        ]
        encoded = [
            await client.post("/encode", files={"images": png(size, size)}) for size in (8, 16)
        ]
    for small, large in (answers, latents, encoded):
        assert (small.status_code, large.status_code) == (200, 422)
        assert large.json()["code"] == "request_too_large"


@in_loop
async def test_there_is_no_bound_without_a_likelihood(maps: Path) -> None:
    """`elbo_samples` is a 409 that says what the model lacks."""
    async with serving(maps) as client:
        answer = await client.post("/reconstruct?elbo_samples=2", files={"images": png(8, 8)})
    assert (answer.status_code, answer.json()["code"]) == (409, "unsupported_by_model")
    assert "no likelihood" in answer.json()["detail"]


@in_loop
async def test_the_examples_of_the_document_fit(maps: Path) -> None:
    """The examples of OpenAPI are of the smallest size, and work when pasted."""
    async with serving(maps) as client:
        document = (await client.get("/openapi.json")).json()
        for path in ("/sample", "/encode", "/decode", "/reconstruct"):
            body = document["paths"][path]["post"]["requestBody"]["content"][JSON]["example"]
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, (path, answer.text)
