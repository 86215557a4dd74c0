"""The verbs as `application/zip`, in the application and over a real connection."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from app.errors import EngineFailedError
from app.inference.engine import Engine
from tests.app.api.test_verbs import NPY, PNG, array, npy, pixels, png
from tests.app.live import live
from tests.app.loops import in_loop
from tests.app.serving import context_of, serving

ZIP = "application/zip"
ACCEPT = {"Accept": ZIP}
MANY = 20_000


def unzipped(content: bytes) -> tuple[NDArray[Any], dict[str, Any]]:
    """The images [n, h, w], and what `answer.json` says of them."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        *names, about = file.namelist()
        assert names == [f"{row:06}.png" for row in range(len(names))]
        assert about == "answer.json"
        shown = np.stack([pixels(file.read(name)) for name in names])
        return shown, json.loads(file.read(about))


@in_loop
async def test_sampled_images_are_those_of_the_array(repository: Path) -> None:
    """The zip of a seed holds, image for image, its `.npy`, and says how to draw it again."""
    options = {"n": 600, "seed": 7, "temperature": 0.5}
    async with serving(repository) as client:
        answer = await client.post("/sample", json=options, headers=ACCEPT)
        again = await client.post("/sample", params=options, headers=ACCEPT)
        packed = await client.post("/sample", json=options, headers={"Accept": NPY})
        single = await client.post("/sample", json=options | {"n": 1}, headers={"Accept": PNG})
    shown, about = unzipped(answer.content)
    assert shown.tolist() == array(packed.content)[..., 0].tolist()
    assert about == {"model": "arithmetic", "version": 1, "latents_near": None, **options}
    assert answer.headers["content-type"] == ZIP
    assert answer.headers["x-vae-seed"] == "7"
    assert answer.headers["x-vae-model"] == "arithmetic/1"
    assert "run;dur=" in answer.headers["server-timing"]
    assert answer.content == again.content
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.read("000000.png") == single.content


@in_loop
async def test_a_stream_around_a_image_says_where_it_was(repository: Path) -> None:
    """What is in the zip is enough to draw the same images from the center alone."""
    upload: dict[str, Any] = {"content": png(51, 8), "headers": ACCEPT | {"Content-Type": PNG}}
    async with serving(repository) as client:
        answer = await client.post("/sample?n=300&radius=0.5", **upload)
        shown, about = unzipped(answer.content)
        near = {"latent": about["latents_near"]["center"], "radius": 0.5}
        options = {"n": 300, "seed": about["seed"], "latents_near": near}
        again = await client.post("/sample", json=options, headers=ACCEPT)
    assert answer.headers["x-vae-fit"] == '[["resized to 4\\u00d74"]]'
    assert about["temperature"] is None
    assert about["latents_near"]["unit"] == "posterior"
    assert about["latents_near"]["picture"]["steps"] == ["resized to 4×4"]
    # This model's posterior has the prior's deviation, so the units are the same.
    assert unzipped(again.content)[0].tolist() == shown.tolist()


@in_loop
async def test_decoded_images_are_those_of_the_array(repository: Path) -> None:
    """Latents as a file come back as images in their order."""
    latents = np.linspace(0, 1, 600).repeat(2).reshape(-1, 2)
    sent: dict[str, Any] = {"content": npy(latents)}
    async with serving(repository) as client:
        answers = [
            await client.post("/decode", **sent, headers={"Content-Type": NPY, "Accept": media})
            for media in (ZIP, NPY)
        ]
    shown, about = unzipped(answers[0].content)
    assert shown.tolist() == array(answers[1].content)[..., 0].tolist()
    assert about == {"model": "arithmetic", "version": 1, "n": 600}


@in_loop
async def test_reconstructions_have_their_figures_beside_them(repository: Path) -> None:
    """The zip has what the JSON answer has, its images as files."""
    files = [("images", (f"{level}.png", png(level), PNG)) for level in (51, 102)]
    url = "/reconstruct?elbo_samples=3&seed=2"
    async with serving(repository) as client:
        answer = await client.post(url, files=files, headers=ACCEPT)
        listed = (await client.post(url, files=files)).json()
    shown, about = unzipped(answer.content)
    assert shown[:, 0, 0].tolist() == [51, 102]
    del listed["images"]
    assert about == listed
    assert answer.headers["x-vae-seed"] == "2"
    assert len(answer.headers["x-vae-kl"].split(",")) == 2


@in_loop
async def test_a_stream_has_a_bound_of_its_own(repository: Path) -> None:
    """`n` may be beyond VAE_MAX_N and the queue, and not beyond VAE_MAX_STREAM_N."""
    async with serving(repository, max_n=10, max_stream_n=1000, queue_pixels=2000) as client:
        answer = await client.post("/sample?n=1000", headers=ACCEPT)
        beyond = await client.post("/sample?n=1001", headers=ACCEPT)
    assert len(unzipped(answer.content)[0]) == 1000
    assert (beyond.status_code, beyond.json()["bound"]) == (422, 1000)


@in_loop
async def test_errors_before_the_first_window_are_problems(repository: Path) -> None:
    """A bad option, image or latent, and a full queue, are answered like everywhere."""
    async with serving(repository, queue_pixels=15) as client:
        wrong = [
            await client.post("/sample?n=0", headers=ACCEPT),
            await client.post("/reconstruct", content=b"x", headers=ACCEPT | {"Content-Type": PNG}),
            await client.post("/decode", json={"latents": [[1]]}, headers=ACCEPT),
            await client.post("/sample", headers=ACCEPT),
        ]
    assert [answer.json()["code"] for answer in wrong] == [
        "invalid_field",
        "invalid_picture",
        "invalid_field",
        "request_too_large",
    ]


def engine_of(app: FastAPI) -> Engine:
    return context_of(app).registry.engine(None)


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    lines = (await client.get("/metrics")).text.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def stream(client: httpx.AsyncClient, n: int = MANY) -> Any:
    return client.stream("POST", "/sample", json={"n": n, "seed": 7}, headers=ACCEPT)


@in_loop
async def test_a_long_stream_over_http(repository: Path) -> None:
    """Thousands of images arrive whole, and the connection serves the next request."""
    async with live(repository) as (_, client):
        async with stream(client) as answer:
            assert answer.headers["transfer-encoding"] == "chunked"
            content = await answer.aread()
        assert (await client.post("/sample")).status_code == 200
        told = await figures(client)
        assert told["vae_queued_pixels"] == 0
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert len(file.namelist()) == MANY + 1
        assert file.testzip() is None
    assert told['vae_batch_rows_sum{model="arithmetic",program="sample"}'] == MANY
    assert not any(name.startswith("vae_answers_cut_total") for name in told)


@in_loop
async def test_a_reader_who_leaves_in_the_middle_stops_the_work(
    repository: Path, caplog: pytest.LogCaptureFixture, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Few of the rows are ever computed, the permit comes back, and log and metrics say so."""
    caplog.set_level(logging.INFO, "vaeserve.access")
    async with live(repository) as (_, client):
        async with stream(client) as answer:
            await anext(answer.aiter_raw(1000))
        cut = 'vae_answers_cut_total{code="client_disconnected",route="/sample"}'
        while cut not in (told := await figures(client)):  # noqa: ASYNC110 only HTTP tells
            await asyncio.sleep(0.01)
        assert told[cut] == 1
        assert told["vae_queued_pixels"] == 0
        await asyncio.sleep(1)  # the batch that ran when the reader left comes to its end
        told = await figures(client)
        await asyncio.sleep(0.2)
        later = await figures(client)
        rows = told['vae_batch_rows_sum{model="arithmetic",program="sample"}']
        assert rows < MANY / 2
        assert later['vae_batch_rows_sum{model="arithmetic",program="sample"}'] == rows
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    [line] = [line for line in lines if line.get("path") == "/sample"]
    assert line["cut"] == "client_disconnected"
    # Whoever leaves is no failure of the server.
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@in_loop
async def test_a_reader_who_does_not_read_holds_the_work_up(repository: Path) -> None:
    """What the connection does not take is not computed: the rows stop far from the last."""
    async with live(repository) as (app, client), stream(client, 100_000):
        rows, before = 0.0, -1.0
        while rows != before:
            await asyncio.sleep(0.3)
            before = rows
            told = await figures(client)
            rows = told['vae_batch_rows_sum{model="arithmetic",program="sample"}']
        assert 0 < rows < 90_000
        assert told["vae_queued_pixels"] == 2 * 256 * engine_of(app).row_pixels


@in_loop
async def test_a_failure_in_the_middle_cuts_the_connection(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees that the answer is not whole; the reason is in the log and counted."""
    async with live(repository) as (app, client):
        engine = engine_of(app)
        original = engine.sample

        async def fails_later(rows: NDArray[Any]) -> Any:
            if rows[0, 1] >= 2000:
                raise EngineFailedError("the graph failed")
            return await original(rows)

        engine.sample = fails_later  # type: ignore[assignment]
        async with stream(client) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
                await answer.aread()
        told = await figures(client)
        assert told['vae_answers_cut_total{code="engine_failed",route="/sample"}'] == 1
        assert told["vae_queued_pixels"] == 0
    assert "the response was cut off: the graph failed" in caplog.text


@in_loop
async def test_small_requests_take_turns_with_a_stream(repository: Path) -> None:
    """While one caller draws many images, others are answered one by one."""
    async with live(repository) as (_, client):
        done = asyncio.Event()

        async def draw() -> None:
            async with stream(client, 20_000) as answer:
                async for _ in answer.aiter_raw():
                    pass
            done.set()

        drawing = asyncio.create_task(draw())
        answered = 0
        while not done.is_set():
            assert (await client.post("/sample", json={"seed": 1})).status_code == 200
            answered += 1
        await drawing
    assert answered >= 20
