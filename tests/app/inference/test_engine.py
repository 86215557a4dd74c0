"""The engine: what a bundle's graphs compute, behind batchers, closed only between verbs."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.errors import ShuttingDownError
from app.inference.batcher import BatchReport
from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import load
from app.inference.pipelines import draws
from model.bundle.bundle import open_bundle
from tests.app.loops import in_loop, settle_down
from tests.arithmetic_bundle import LATENT, SIZE


def ignore(program: str) -> Callable[[BatchReport], None]:
    """Counts nothing."""
    return lambda report: None


@in_loop
async def test_each_program_has_a_batcher(repository: Path) -> None:
    """Every program answers, and is counted by its name."""
    seen: list[str] = []
    lanes = Lanes(1)
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    engine = Engine(loaded, lanes, lambda program: lambda report: seen.append(program))
    images = np.full((3, SIZE, SIZE, 1), 255, np.uint8)
    latents = np.array([[2.0, 0.0]], dtype=np.float32)
    mean, logvar = (await engine.encode(images)).outputs
    shown = (await engine.decode(latents)).outputs[0]
    drawn = (await engine.sample(draws(7, 2, 0.0))).outputs[2]
    again = (await engine.reconstruct(images)).outputs[0]
    params = (await engine.params(latents)).outputs[0]
    inside = np.full((2, 1, SIZE, SIZE), 0.5, np.float32)
    means, _ = (await engine.encode_tensors(inside)).outputs
    pixels, _ = (await engine.decode_tensors(latents)).outputs
    whole, _, _ = (await engine.reconstruct_tensors(inside)).outputs
    assert mean.tolist() == [[1, 1]] * 3
    assert logvar.shape == (3, LATENT)
    assert (shown == 255).all()
    assert not drawn.any()
    assert (again == images).all()
    assert (params == 2).all()
    assert (means == 0.5).all()
    assert (pixels == 1).all()
    assert (whole == inside).all()
    assert engine.row_pixels == SIZE * SIZE
    assert (engine.name, engine.version) == ("arithmetic", 1)
    programs = ["encode", "decode", "sample", "reconstruct", "params"]
    programs += ["encode_tensors", "decode_tensors", "reconstruct_tensors"]
    assert seen == programs
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
async def test_a_replaced_engine_takes_its_threads_along(repository: Path) -> None:
    """Drained and dropped it is freed at once, and its own lane ends without being waited for."""
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    loaded = dataclasses.replace(loaded, own_lane=True, decoder_row_seconds=1.0)
    engine = Engine(loaded, Lanes(1), ignore)
    await engine.decode(np.zeros((1, LATENT), np.float32))
    assert engine._own_lanes is not None
    [thread] = engine._own_lanes._threads
    gone = weakref.ref(engine)
    await engine.drain()
    gc.disable()
    del engine
    gc.enable()
    assert gone() is None
    await asyncio.to_thread(thread.join)


@in_loop
async def test_closes_when_its_verbs_have_ended(repository: Path) -> None:
    """Closing waits for the verbs in it, and a verb that comes later is refused."""
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    lanes = Lanes(1)
    engine = Engine(loaded, lanes, ignore)
    engine.begin()
    closing = asyncio.create_task(engine.close())
    await settle_down()
    assert not closing.done()
    with pytest.raises(ShuttingDownError):
        engine.begin()
    await engine.decode(np.zeros((1, LATENT), np.float32))
    engine.end()
    await closing
    lanes.close()
