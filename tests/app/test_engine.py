"""The engine: a bundle's graphs behind batchers, closed only between verbs."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from app.batcher import BatchReport
from app.engine import Engine
from app.errors import ShuttingDownError
from app.lanes import Lanes
from app.loader import load
from model.bundle import open_bundle
from tests.app.loops import in_loop, settle_down
from tests.arithmetic_bundle import LATENT, SIZE


def ignore(model: str, graph: str, report: BatchReport) -> None:
    """Counts nothing."""


@in_loop
async def test_maps_images_to_posteriors_and_latents_to_pixels(repository: Path) -> None:
    """The three batchers are the encoder's outputs, the shown pixels and the unclamped mean."""
    seen: list[tuple[str, str]] = []
    lanes = Lanes(1)
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    engine = Engine(loaded, lanes, lambda model, graph, report: seen.append((model, graph)))
    latents = np.array([[2.0, 0.0]], dtype=np.float32)
    mean, logvar = (await engine.encode(np.ones((3, 1, SIZE, SIZE), np.float32))).outputs
    pixels = (await engine.decode(latents)).outputs[0]
    params = (await engine.decode_params(latents)).outputs[0]
    assert mean.tolist() == [[1, 1]] * 3
    assert logvar.shape == (3, LATENT)
    assert (pixels == 1).all()
    assert (params == 2).all()
    assert engine.row_pixels == SIZE * SIZE
    assert (engine.name, engine.version) == ("arithmetic", 1)
    assert seen == [("arithmetic", name) for name in ("mean+logvar", "pixels", "params")]
    await engine.close()
    lanes.close()


@in_loop
async def test_a_slow_model_has_a_lane_of_its_own(repository: Path) -> None:
    """Slow rows leave the shared lane free for other models."""
    shared = Lanes(1)
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    slow = dataclasses.replace(loaded, own_lane=True)
    engine = Engine(slow, shared, ignore)
    await engine.decode(np.zeros((1, LATENT), np.float32))
    await engine.close()
    assert not shared._threads


@in_loop
async def test_closes_when_its_verbs_have_ended(repository: Path) -> None:
    """Closing waits for the verbs in it, and a verb that comes later is refused."""
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    lanes = Lanes(1)
    engine = Engine(loaded, lanes, ignore)
    with engine.use():
        closing = asyncio.create_task(engine.close())
        await settle_down()
        assert not closing.done()
        with pytest.raises(ShuttingDownError), engine.use():
            pass
        await engine.decode(np.zeros((1, LATENT), np.float32))
    await closing
    lanes.close()
