"""Draws around a latent, with a bundle whose answers one can work out in one's head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.concurrency import Offload
from app.inference.batch import Timing
from app.inference.engine import Engine
from app.inference.sampling import (
    AroundImage,
    AroundLatent,
    Drawing,
    FromPrior,
    SampleSource,
)
from model import noise
from model.noise import Purpose
from tests.app.inference.test_service import engine_of, grey
from tests.app.loops import in_loop


async def drawing(engine: Engine, source: SampleSource) -> Drawing:
    timing = Timing()
    center = await source.locate(engine, timing)
    return Drawing(engine, Offload(1), 7, source, center, timing)


@in_loop
async def test_around_a_image_the_unit_is_its_posterior(repository: Path) -> None:
    """The center is the posterior's mean, and a radius of 1 its standard deviation, here 1."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        drawn = await drawing(engine, AroundImage(grey(51), 0.5))
        assert drawn.timing.run > 0
        _, latents = await drawn.window(0, 4)
    assert drawn.center is not None
    assert drawn.center.latent == pytest.approx([0.2, 0.2])
    assert drawn.center.spread.tolist() == [0.5, 0.5]
    assert drawn.center.unit == "posterior"
    epsilon = noise.standard_normal(7, Purpose.PRIOR, 0, 4, (2,))
    assert latents == pytest.approx(np.float32(0.2) + 0.5 * epsilon, abs=1e-6)


@in_loop
async def test_around_a_latent_the_unit_is_the_priors(repository: Path) -> None:
    """Nothing is encoded: the center is the latent itself, and a radius of 1 is 1."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        near = AroundLatent(np.array([2, 5], np.float32), 3)
        center = await near.locate(engine, Timing())
    assert near.encoded_rows == 0
    assert (center.latent.tolist(), center.spread.tolist(), center.unit) == (
        [2, 5],
        [3, 3],
        "prior",
    )


@in_loop
async def test_around_zero_a_radius_is_a_temperature(repository: Path) -> None:
    """The same seed gives bit for bit what it gives from the prior at that temperature."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        zero = AroundLatent(np.zeros(2, np.float32), 0.7)
        near = await (await drawing(engine, zero)).window(0, 9)
        prior = await (await drawing(engine, FromPrior(0.7))).window(0, 9)
    for one, other in ((near[0], prior[0]), (near[1], prior[1])):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("near", [True, False])
@in_loop
async def test_any_part_of_the_rows_can_be_drawn_alone(repository: Path, near: bool) -> None:
    """Rows 5 … 7 are bit for bit rows 5 … 7 of a long answer."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        drawn = await drawing(engine, AroundImage(grey(99)) if near else FromPrior())
        whole = await drawn.window(0, 20)
        part = await drawn.window(5, 8)
    for one, other in ((whole[0], part[0]), (whole[1], part[1])):
        assert one[5:8].tobytes() == other.tobytes()


@in_loop
async def test_a_radius_of_zero_is_the_center(repository: Path) -> None:
    """Every row is the posterior's mean, decoded."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        drawn = await drawing(engine, AroundImage(grey(51), 0))
        images, _ = await drawn.window(0, 3)
    assert images.tobytes() == grey(51, 51, 51).tobytes()
