"""`/interpolate` over HTTP, with every kind of ends and in every format."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.app.api.test_verbs import JSON, NPY, PNG, array, codes, npy, pixels, png
from tests.app.loops import in_loop
from tests.app.serving import serving
from tests.arithmetic_bundle import SIZE

GIF, WEBP = "image/gif", "image/webp"


def levels(content: bytes) -> list[int]:
    """The first pixel of each frame of an animation."""
    file = Image.open(io.BytesIO(content))
    return [int(np.asarray(one.convert("L"))[0, 0]) for one in ImageSequence.Iterator(file)]


@in_loop
async def test_seeds_in_every_format(repository: Path) -> None:
    """Two seeds give the same images as JSON, a strip, an array and both animations."""
    body = {"seeds": [2, 3], "steps": 5, "path": "linear", "milliseconds": 40}
    async with serving(repository) as client:
        answers = {
            media: await client.post("/interpolate", json=body, headers={"Accept": media})
            for media in (JSON, PNG, NPY, GIF, WEBP)
        }
        ends = [(await client.post("/sample", json={"seed": seed})).json() for seed in (2, 3)]
    told = answers[JSON].json()
    assert {name: told[name] for name in ("model", "version", "path", "steps", "seeds")} == {
        "model": "arithmetic",
        "version": 1,
        "path": "linear",
        "steps": 5,
        "seeds": [2, 3],
    }
    assert told["pictures"] is None
    assert [told["latents"][0], told["latents"][-1]] == [end["latents"][0] for end in ends]
    assert [told["images"][0], told["images"][-1]] == [end["images"][0] for end in ends]
    shown = np.stack([pixels(base64.b64decode(image)) for image in told["images"]])
    assert array(answers[NPY].content)[..., 0].tolist() == shown.tolist()
    strip = pixels(answers[PNG].content)
    assert strip.shape == (SIZE, 5 * (SIZE + 2) - 2)
    assert strip[:, :: SIZE + 2][0].tolist() == shown[:, 0, 0].tolist()
    assert levels(answers[WEBP].content) == shown[:, 0, 0].tolist()
    assert levels(answers[GIF].content) == shown[:, 0, 0].tolist()
    for media, answer in answers.items():
        assert answer.headers["content-type"] == media
        assert answer.headers["x-vae-model"] == "arithmetic/1"
        assert "run;dur=" in answer.headers["server-timing"]


@in_loop
async def test_images_are_taken_at_their_posterior_means(repository: Path) -> None:
    """Grey levels 0 and 200 give levels between, and the answer says how they were fitted."""
    files = [("images", ("a.png", png(0, 8), PNG)), ("images", ("b.png", png(200), PNG))]
    encoded = [base64.b64encode(png(level)).decode() for level in (0, 200)]
    async with serving(repository) as client:
        answer = await client.post("/interpolate?steps=3&path=linear", files=files)
        listed = await client.post("/interpolate", json={"images": encoded, "steps": 3})
        raw = await client.post("/interpolate?steps=3", files=files, headers={"Accept": NPY})
    told = answer.json()
    shown = [int(pixels(base64.b64decode(image))[0, 0]) for image in told["images"]]
    assert shown == [0, 100, 200]
    assert [image["steps"] for image in told["pictures"]] == [["resized to 4×4"], []]
    assert told["seeds"] is None
    # From zero the sphere's way is the straight line.
    assert listed.json()["images"] == told["images"]
    assert raw.headers["x-vae-fit"] == '[["resized to 4\\u00d74"], []]'


@in_loop
async def test_latents_go_along_the_path_that_was_asked_for(repository: Path) -> None:
    """A right angle: half-way the line is at (½, ½) and the circle at (√½, √½)."""
    latents = [[1, 0], [0, 1]]
    async with serving(repository) as client:
        told = {
            path: (
                await client.post(
                    "/interpolate", json={"latents": latents, "steps": 3, "path": path}
                )
            ).json()
            for path in ("linear", "spherical")
        }
        packed = await client.post(
            "/interpolate?steps=3", content=npy(latents), headers={"Content-Type": NPY}
        )
        usual = (await client.post("/interpolate", json={"latents": latents})).json()
    assert told["linear"]["latents"] == [[1, 0], [0.5, 0.5], [0, 1]]
    assert told["spherical"]["latents"][1] == pytest.approx([0.5**0.5] * 2)
    assert packed.json() == told["spherical"]
    assert (usual["steps"], usual["path"], len(usual["images"])) == (8, "spherical", 8)


@pytest.mark.parametrize("media", [GIF, WEBP])
@in_loop
async def test_an_animation_can_go_back(repository: Path, media: str) -> None:
    """With `bounce` it returns by the same images, neither end shown twice."""
    body = {"latents": [[0, 0], [0.8, 0]], "steps": 5, "path": "linear", "bounce": True}
    async with serving(repository) as client:
        answer = await client.post("/interpolate", json=body, headers={"Accept": media})
    assert levels(answer.content) == [0, 51, 102, 153, 204, 153, 102, 51]


@in_loop
async def test_each_end_may_be_broken(repository: Path) -> None:
    """The image that is none is named by its index, a wrong number of ends by its field."""
    good = base64.b64encode(png(1)).decode()
    bad = base64.b64encode(b"no image").decode()
    async with serving(repository) as client:
        broken = await client.post("/interpolate", json={"images": [good, bad]})
        missing = await client.post("/interpolate")
        both = await client.post("/interpolate", json={"images": [good, good], "seeds": [1, 2]})
        long = await client.post("/interpolate", json={"seeds": [1, 2], "steps": 5000})
        unwanted = await client.post(
            "/interpolate", json={"seeds": [1, 2]}, headers={"Accept": "image/jpeg"}
        )
    assert (*codes(broken), broken.json()["index"]) == (422, "invalid_picture", 1)
    assert (*codes(missing), missing.json()["field"]) == (422, "invalid_field", "body")
    assert (*codes(both), both.json()["field"]) == (422, "invalid_field", "body")
    assert (*codes(long), long.json()["field"]) == (422, "invalid_field", "steps")
    assert codes(unwanted) == (406, "not_acceptable")


@in_loop
async def test_every_stage_is_paid_for(repository: Path) -> None:
    """Two images are encoded besides the steps, so four rows fit two steps and no third."""
    encoded = [base64.b64encode(png(level)).decode() for level in (0, 200)]

    async def steps(client: Any, count: int, **ends: Any) -> int:
        answer = await client.post("/interpolate", json={"steps": count, **ends})
        return int(answer.status_code)

    async with serving(repository, queue_pixels=4 * SIZE * SIZE) as client:
        assert await steps(client, 2, images=encoded) == 200
        assert await steps(client, 3, images=encoded) == 422
        assert await steps(client, 4, seeds=[1, 2]) == 200
        assert await steps(client, 5, seeds=[1, 2]) == 422
