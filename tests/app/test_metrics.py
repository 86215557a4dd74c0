"""The figures: each thing counted once, under labels that clients can't invent."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from app.inference.batcher import BatchReport
from app.metrics import Metrics
from tests.app.loops import in_loop
from tests.app.serving import serving


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    """Each sample of `/metrics` by its name and labels."""
    lines = (await client.get("/metrics")).text.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


@in_loop
async def test_each_request_and_each_batch_is_counted_once(repository: Path) -> None:
    """Ten requests, concurrent or not, are ten requests, ten rows and ten waits."""
    async with serving(repository) as client:
        await asyncio.gather(*(client.post("/sample") for _ in range(9)))
        await client.post("/sample")
        told = await figures(client)
    assert told['vae_requests_total{route="/sample",status="200"}'] == 10
    assert told['vae_request_seconds_count{route="/sample"}'] == 10
    assert told['vae_batch_rows_sum{model="arithmetic",program="decode"}'] == 10
    assert told['vae_queue_seconds_count{model="arithmetic",program="decode"}'] == 10
    assert told['vae_batch_rows_count{model="arithmetic",program="decode"}'] <= 10
    assert told["vae_queued_pixels"] == 0
    assert told["vae_ready"] == 1


@in_loop
async def test_labels_do_not_grow_with_what_clients_send(repository: Path) -> None:
    """Unknown paths share one label, and a route's parameter is not part of it."""
    async with serving(repository) as client:
        for path in ("/a", "/b", "/models/x", "/models/y", "/sample?model=z"):
            await client.get(path)
        await client.head("/livez")
        told = await figures(client)
    routes = {
        match[1]
        for name in told
        if (match := re.match(r'vae_requests_total{route="([^"]*)"', name))
    }
    assert routes == {"unknown", "/models/{name}", "/sample", "/livez"}


@in_loop
async def test_refusals_are_counted_by_status(repository: Path) -> None:
    """A refused request is one request with its status, and no batch."""
    async with serving(repository) as client:
        await client.post("/sample", json={"n": 0})
        told = await figures(client)
    assert told['vae_requests_total{route="/sample",status="422"}'] == 1
    assert not any(name.startswith("vae_batch_rows_count") for name in told)


@pytest.mark.parametrize("failed", [False, True])
def test_failed_batches_are_counted(failed: bool) -> None:
    """A failed batch counts as a batch and as a failure."""
    metrics = Metrics()
    metrics.observe_batch("m", "g", BatchReport(3, 0.5, (0.1, 0.2), failed))
    text = metrics.render().decode()
    assert 'vae_batch_seconds_count{model="m",program="g"} 1.0' in text
    assert ('vae_batches_failed_total{model="m",program="g"} 1.0' in text) is failed


def test_shared_figures_have_their_room_on_the_disk(tmp_path: Path) -> None:
    """A disk that fills up later can't take the pages away that figures are written to."""
    Metrics(tmp_path)
    files = {path.name.rpartition("_")[0]: path.stat() for path in tmp_path.iterdir()}
    assert set(files) == {"counter", "histogram", "gauge_livesum", "gauge_livemin"}
    assert all(found.st_blocks * 512 >= found.st_size > 0 for found in files.values())
