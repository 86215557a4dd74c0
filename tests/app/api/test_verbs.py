"""The verbs over HTTP, in every format they take and answer."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests import arithmetic_bundle, image_files
from tests.app.loops import in_loop
from tests.app.serving import serving
from tests.arithmetic_bundle import SIZE

JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"


def png(level: int, size: int = SIZE) -> bytes:
    """An image of one grey level."""
    file = io.BytesIO()
    Image.new("L", (size, size), level).save(file, "PNG")
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(content)))


def array(content: bytes) -> np.ndarray[Any, Any]:
    loaded: np.ndarray[Any, Any] = np.load(io.BytesIO(content), allow_pickle=False)
    return loaded


def npy(values: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype=np.float32))
    return file.getvalue()


@in_loop
async def test_sample_in_every_format(repository: Path) -> None:
    """One seed gives the same images as JSON, as a grid and as an array, and tells the seed."""
    options = {"n": 3, "seed": 7, "temperature": 0.5}
    async with serving(repository) as client:
        answers = {
            media: await client.post("/sample", json=options, headers={"Accept": media})
            for media in (JSON, PNG, NPY)
        }
        by_query = await client.post("/sample", params=options)
    told = answers[JSON].json()
    assert {key: told[key] for key in ("model", "version", "n", "seed", "temperature")} == {
        "model": "arithmetic",
        "version": 1,
        **options,
    }
    assert by_query.json() == told
    shown = np.stack([pixels(base64.b64decode(image)) for image in told["images"]])
    assert array(answers[NPY].content)[..., 0].tolist() == shown.tolist()
    assert pixels(answers[PNG].content)[:SIZE, :SIZE].tolist() == shown[0].tolist()
    for media, answer in answers.items():
        assert answer.headers["content-type"] == media
        assert answer.headers["x-vae-seed"] == "7"
        assert answer.headers["x-vae-model"] == "arithmetic/1"
        assert "run;dur=" in answer.headers["server-timing"]


@in_loop
async def test_a_seed_that_was_not_sent_is_drawn_and_echoed(repository: Path) -> None:
    """Without a seed two answers differ, and each can be had again by its echoed seed."""
    async with serving(repository) as client:
        one, two = [(await client.post("/sample")).json() for _ in range(2)]
        again = (await client.post("/sample", json={"seed": one["seed"]})).json()
    assert one["seed"] != two["seed"]
    assert again["latents"] == one["latents"]


@pytest.mark.parametrize("seed", [0, 2**53 - 1])
@in_loop
async def test_the_ends_of_the_seed_range_are_taken(repository: Path, seed: int) -> None:
    """Seeds 0 and 2^53 − 1 are echoed exactly."""
    async with serving(repository) as client:
        answer = await client.post("/sample", json={"seed": seed})
    assert answer.json()["seed"] == seed


@in_loop
async def test_sample_draws_around_a_image_or_a_latent(repository: Path) -> None:
    """The answer says around what, how far and in which unit, and how an image was fitted."""
    encoded = base64.b64encode(png(51, 8)).decode()
    async with serving(repository) as client:

        async def draw(**near: Any) -> dict[str, Any]:
            body = {"n": 3, "seed": 7, "latents_near": near}
            told: dict[str, Any] = (await client.post("/sample", json=body)).json()
            return told

        drawn = await draw(image=encoded, radius=0.5)
        latent = await draw(latent=drawn["latents_near"]["center"], radius=0.5)
        still = await draw(latent=[0.4, 0], radius=0)
        files = [("images", ("a.png", png(51, 8), PNG))]
        upload = await client.post("/sample?n=3&seed=7&radius=0.5", files=files)
        raw = await client.post("/sample", files=files, headers={"Accept": NPY})
        prior = (await client.post("/sample", json={"n": 3, "seed": 7})).json()
    assert upload.json() == drawn
    assert drawn["temperature"] is None
    assert drawn["latents_near"] == {
        "center": pytest.approx([0.2, 0.2]),
        "radius": 0.5,
        "unit": "posterior",
        "picture": {"width": 8, "height": 8, "mode": "L", "steps": ["resized to 4×4"]},
    }
    # The model's log-variance is 0, so both units are the same here.
    assert latent["latents"] == drawn["latents"]
    assert (latent["latents_near"]["unit"], latent["latents_near"]["picture"]) == ("prior", None)
    offsets = 0.5 * np.array(prior["latents"])
    assert np.array(drawn["latents"]) == pytest.approx(0.2 + offsets, abs=1e-6)
    assert [pixels(base64.b64decode(image))[0, 0] for image in still["images"]] == [102] * 3
    assert raw.headers["x-vae-fit"] == '[["resized to 4\\u00d74"]]'
    assert prior["latents_near"] is None


@in_loop
async def test_encode_takes_images_in_every_way(repository: Path) -> None:
    """Multipart files, a raw body and base64 in JSON are the same image."""
    image = png(51)
    encoded = base64.b64encode(image).decode()
    async with serving(repository) as client:
        answers = [
            await client.post("/encode", files=[("images", ("a.png", image, PNG))]),
            await client.post("/encode", content=image, headers={"Content-Type": PNG}),
            await client.post("/encode", json={"images": [encoded]}),
        ]
        means = await client.post(
            "/encode", json={"images": [encoded] * 2}, headers={"Accept": NPY}
        )
    expected = np.float32(51) * np.float32(1 / 255)
    for answer in answers:
        assert answer.json()["mean"][0] == pytest.approx([expected, expected])
        assert answer.json()["logvar"] == [[0, 0]]
        assert answer.json()["pictures"] == [
            {"width": SIZE, "height": SIZE, "mode": "L", "steps": []}
        ]
    assert array(means.content).shape == (2, 2)
    assert array(means.content).dtype == np.float32


@in_loop
async def test_decode_takes_json_and_npy(repository: Path) -> None:
    """The same latents as JSON lists and as an array decode alike."""
    latents = [[0.2, 0.0], [1.0, 3.0]]
    async with serving(repository) as client:
        listed = await client.post("/decode", json={"latents": latents}, headers={"Accept": NPY})
        packed = await client.post(
            "/decode", content=npy(latents), headers={"Content-Type": NPY, "Accept": NPY}
        )
        single = await client.post("/decode", json={"latents": latents[0]})
    assert listed.content == packed.content
    assert array(listed.content)[:, 0, 0, 0].tolist() == [51, 255]
    assert pixels(base64.b64decode(single.json()["images"][0])).tolist() == [[51] * 4] * 4


@in_loop
async def test_reconstruct_reports_by_head(repository: Path) -> None:
    """A grey image of another size is fitted, comes back as itself, and its KL is g²."""
    async with serving(repository) as client:
        answer = await client.post(
            "/reconstruct", content=png(51, 8), headers={"Content-Type": PNG}
        )
        raw = await client.post(
            "/reconstruct?elbo_samples=4&seed=2",
            content=png(51),
            headers={"Content-Type": PNG, "Accept": PNG},
        )
    told = answer.json()
    assert pixels(base64.b64decode(told["images"][0])).tolist() == [[51] * 4] * 4
    assert told["kl"] == pytest.approx([0.04])
    assert told["squared_error"] == pytest.approx([0], abs=1e-9)
    assert told["pictures"][0]["steps"] == ["resized to 4×4"]
    assert told["bounds"] is None
    assert pixels(raw.content).tolist() == [[51] * 4] * 4
    assert float(raw.headers["x-vae-kl"]) == pytest.approx(0.04)
    assert raw.headers["x-vae-seed"] == "2"
    assert float(raw.headers["x-vae-importance-weighted"]) <= 0
    assert raw.headers["x-vae-fit"] == "[[]]"


@in_loop
async def test_reconstruct_with_a_bound_says_how_it_was_made(coins: Path) -> None:
    """The bound's samples, seed, likelihood and binarisation stand beside its figures."""
    body = {"images": [base64.b64encode(png(100)).decode()], "elbo_samples": 8, "seed": 1}
    async with serving(coins) as client:
        bounds = (await client.post("/reconstruct", json=body)).json()["bounds"]
        again = (await client.post("/reconstruct", json=body)).json()["bounds"]
        cut = await client.post("/reconstruct", json=body | {"binarise": "threshold"})
    assert bounds == again
    assert bounds["elbo"][0] == pytest.approx(bounds["reconstruction"][0] - bounds["kl"][0])
    assert {key: bounds[key] for key in ("samples", "seed", "likelihood", "dimensions")} == {
        "samples": 8,
        "seed": 1,
        "likelihood": "bernoulli",
        "dimensions": 16,
    }
    assert bounds["binarised"] == "sample"
    assert cut.json()["bounds"]["binarised"] == "threshold"
    assert cut.json()["bounds"]["kl"] == [0]


@in_loop
async def test_one_broken_image_among_eight_requests_is_one_error(repository: Path) -> None:
    """Seven of eight concurrent requests are answered, the broken one alone is refused."""
    images = [png(level) for level in range(8)]
    images[3] = images[3][:-20]
    async with serving(repository) as client:
        answers = await asyncio.gather(
            *(
                client.post("/encode", content=image, headers={"Content-Type": PNG})
                for image in images
            )
        )
    assert [answer.status_code for answer in answers] == [200] * 3 + [422] + [200] * 4
    assert answers[3].json()["code"] == "invalid_picture"
    for level in (0, 1, 2, 4, 5, 6, 7):
        assert answers[level].json()["mean"][0][0] == pytest.approx(level / 255, abs=1e-6)


@in_loop
async def test_one_broken_image_in_a_request_is_named_by_its_index(repository: Path) -> None:
    """A request with a broken image fails as a whole and says which one it is."""
    files = [("images", ("a", data, PNG)) for data in (png(1), b"no image", png(2))]
    async with serving(repository) as client:
        answer = await client.post("/encode", files=files)
    assert answer.status_code == 422
    assert answer.json()["index"] == 1


@in_loop
async def test_answers_are_bit_equal_under_load(repository: Path) -> None:
    """Many requests at once get byte for byte what each gets alone."""
    async with serving(repository) as client:

        async def draw(seed: int) -> bytes:
            options = {"seed": seed, "n": 1 + seed % 3}
            return (await client.post("/sample", json=options)).content

        together = await asyncio.gather(*(draw(seed) for seed in range(40)))
        alone = [await draw(seed) for seed in range(40)]
    assert together == alone


@in_loop
async def test_the_model_is_named_by_the_query(tmp_path: Path) -> None:
    """`?model=` chooses the bundle on every verb; without it and a default there is an error."""
    arithmetic_bundle.write(tmp_path, name="one")
    arithmetic_bundle.write(tmp_path, name="two")
    async with serving(tmp_path) as client:
        chosen = await client.post("/sample", params={"model": "two"}, json={})
        unnamed = await client.post("/sample", json={})
        unknown = [
            await client.post("/sample", params={"model": name}, json={})
            for name in ("../two", "two/1", "ünï", "x" * 500, "two\x00")
        ]
        twice = await client.post("/sample?model=one&model=two", json={})
    assert chosen.json()["model"] == "two"
    assert (unnamed.status_code, unnamed.json()["field"]) == (422, "model")
    assert {(answer.status_code, answer.json()["code"]) for answer in unknown} == {
        (404, "unknown_model")
    }
    assert (twice.status_code, twice.json()["field"]) == (422, "model")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"n": 0}', "n"),
        ('{"n": -1}', "n"),
        ('{"n": 5000}', "n"),
        ('{"n": 1000000000000000000000000000000}', "n"),
        ('{"n": 1.5}', "n"),
        ('{"n": true}', "n"),
        ('{"n": "4"}', "n"),
        ('{"seed": -1}', "seed"),
        ('{"seed": 9007199254740992}', "seed"),
        ('{"temperature": -0.1}', "temperature"),
        ('{"temperature": 11}', "temperature"),
        ('{"temperatur": 1}', "temperatur"),
    ],
)
@in_loop
async def test_options_out_of_range_name_the_field(repository: Path, body: str, field: str) -> None:
    """A bad option is a 422 that names it."""
    async with serving(repository) as client:
        answer = await client.post(
            "/sample", content=body, headers={"Content-Type": "application/json"}
        )
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def codes(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@in_loop
async def test_what_costs_more_than_the_queue_holds_is_refused(repository: Path) -> None:
    """A request above the queue's capacity is a 422 that says to split it, never a 429."""
    async with serving(repository, queue_pixels=32) as client:
        assert codes(await client.post("/sample", json={"n": 3})) == (422, "request_too_large")
        assert (await client.post("/sample", json={"n": 2})).status_code == 200
        # An image to draw around is encoded first.
        near = {"latents_near": {"image": base64.b64encode(png(1)).decode()}}
        refused = await client.post("/sample", json={"n": 2, **near})
        assert codes(refused) == (422, "request_too_large")
        assert (await client.post("/sample", json=near)).status_code == 200


@in_loop
async def test_the_version_is_named_by_the_query(tmp_path: Path) -> None:
    """`?version=` chooses among those on disk on every verb; the answer says which it was."""
    for version in (1, 2):
        arithmetic_bundle.write(tmp_path, version=version)
    async with serving(tmp_path) as client:
        for path, body in (("/sample", {}), ("/decode", {"latents": [0.2, 0]})):
            for sent, answered in (({}, 2), ({"version": 1}, 1), ({"version": 2}, 2)):
                answer = await client.post(path, params=sent, json=body)
                assert answer.json()["version"] == answered
        unknown = await client.post("/sample", params={"version": 3})
        wrong = await client.post("/sample", params={"version": "latest"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_version")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "version")


@in_loop
async def test_a_model_without_likelihood_gives_no_bound(tmp_path: Path) -> None:
    """Asking such a model for a bound is a 409; it reconstructs all the same."""
    arithmetic_bundle.write(tmp_path, likelihood=None)
    body: dict[str, Any] = {"images": [base64.b64encode(png(9)).decode()]}
    async with serving(tmp_path) as client:
        refused = await client.post("/reconstruct", json=body | {"elbo_samples": 2})
        assert codes(refused) == (409, "unsupported_by_model")
        assert (await client.post("/reconstruct", json=body)).status_code == 200


@in_loop
async def test_large_images_beyond_the_bound_are_told_to_wait(repository: Path) -> None:
    """Of many large images at once some are decoded and the rest get 429; small ones pass."""
    large, headers = png(7, 500), {"Content-Type": PNG}
    async with serving(repository, decode_pixels=600_000, max_picture_pixels=300_000) as client:
        answers = await asyncio.gather(
            *(client.post("/encode", content=large, headers=headers) for _ in range(8)),
            *(client.post("/encode", content=png(7), headers=headers) for _ in range(8)),
        )
        later = await client.post("/encode", content=large, headers=headers)
    refused = [answer for answer in answers[:8] if answer.status_code == 429]
    assert {answer.status_code for answer in answers[:8]} == {200, 429}
    assert {answer.json()["code"] for answer in refused} == {"queue_full"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {answer.status_code for answer in answers[8:]} == {200}
    assert later.status_code == 200


@in_loop
async def test_a_image_that_breaks_only_when_it_is_fitted(repository: Path) -> None:
    """A palette with broken transparency is the caller's fault, and named by its index."""
    extra = image_files.chunk(b"PLTE", b"abc") + image_files.chunk(b"tRNS", bytes(300))
    broken = image_files.png([bytes(28)] * 28, 28, colour=image_files.PALETTE, extra=extra)
    async with serving(repository) as client:
        answer = await client.post("/encode", content=broken, headers={"Content-Type": PNG})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_picture")
    assert problem["index"] == 0
