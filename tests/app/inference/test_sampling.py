"""Draws around a latent, with a bundle whose answers one can work out in one's head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.concurrency import Offload
from app.inference.batch import Timing
from app.inference.engine import Engine
from app.inference.sampling import Around, Drawing, Near, Place
from model import noise
from model.noise import Purpose
from tests.app.inference.test_service import engine_of, grey
from tests.app.loops import in_loop


def drawing(engine: Engine, around: Around | None, temperature: float = 1.0) -> Drawing:
    place = Place.of(engine.manifest, None, None, None)
    return Drawing(engine, 7, temperature, around, place, Offload(1))


@in_loop
async def test_around_a_image_the_unit_is_its_posterior(repository: Path) -> None:
    """The center is the posterior's mean, and a radius of 1 its standard deviation, here 1."""
    timing = Timing()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        around = await Near(0.5, images=grey(51)).find(engine, timing)
        latents = (await drawing(engine, around).rows(0, 4)).outputs[2]
    assert around.center == pytest.approx([0.2, 0.2])
    assert around.spread.tolist() == [0.5, 0.5]
    assert around.unit == "posterior"
    assert timing.run > 0
    epsilon = noise.standard_normal(7, Purpose.PRIOR, 0, 4, (2,))
    assert latents == pytest.approx(np.float32(0.2) + 0.5 * epsilon, abs=1e-6)


@in_loop
async def test_around_a_latent_the_unit_is_the_priors(repository: Path) -> None:
    """Nothing is encoded: the center is the latent itself, and a radius of 1 is 1."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        near = Near(3, latent=np.array([2, 5], np.float32))
        around = await near.find(engine, Timing())
    assert near.rows == 0
    assert (around.center.tolist(), around.spread.tolist(), around.unit) == (
        [2, 5],
        [3, 3],
        "prior",
    )


@in_loop
async def test_around_zero_a_radius_is_a_temperature(repository: Path) -> None:
    """The same seed gives bit for bit what it gives from the prior at that temperature."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        around = await Near(0.7, latent=np.zeros(2, np.float32)).find(engine, Timing())
        near = (await drawing(engine, around).rows(0, 9)).outputs
        prior = (await drawing(engine, None, 0.7).rows(0, 9)).outputs
    for one, other in zip(near, prior, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("near", [True, False])
@in_loop
async def test_any_part_of_the_rows_can_be_drawn_alone(repository: Path, near: bool) -> None:
    """Rows 5 … 7 are bit for bit rows 5 … 7 of a long answer."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        around = await Near(1, images=grey(99)).find(engine, Timing()) if near else None
        whole = (await drawing(engine, around).rows(0, 20)).outputs
        part = (await drawing(engine, around).rows(5, 3)).outputs
    for one, other in zip(whole, part, strict=True):
        assert one[5:8].tobytes() == other.tobytes()


@in_loop
async def test_a_radius_of_zero_is_the_center(repository: Path) -> None:
    """Every row is the posterior's mean, decoded."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        around = await Near(0, images=grey(51)).find(engine, Timing())
        images = (await drawing(engine, around).rows(0, 3)).outputs[0]
    assert images.tobytes() == grey(51, 51, 51).tobytes()
