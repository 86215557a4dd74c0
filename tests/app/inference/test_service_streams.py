"""Streamed verbs without HTTP: the rows of the whole answer, window by window."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.concurrency import Offload
from app.errors import EngineFailedError, InvalidFieldError, QueueFullError, RequestTooLargeError
from app.inference import windows as windowed
from app.inference.admission import Admission, Permit
from app.inference.sampling import AroundImage, AroundLatent, FromPrior, SampleSource
from app.inference.service import Service
from app.inference.windows import WINDOW_ROWS, Windows, split
from model.pixels import Images
from tests.app.inference.test_service import FROM_PRIOR, PIXELS, engine_of, grey, service
from tests.app.loops import in_loop, settle_down

HELD = 2 * WINDOW_ROWS * PIXELS


def streaming(capacity: int = 100_000) -> tuple[Service, Admission]:
    admission = Admission(capacity)
    limits = {"max_n": 2000, "max_stream_n": 5000, "max_elbo_samples": 1}
    return Service(admission, Offload(1), **limits), admission


async def together(windows: Windows) -> Images:
    return np.concatenate([images async for images, _ in windows])


@pytest.mark.parametrize("n", [1, WINDOW_ROWS, WINDOW_ROWS + 1, 5000])
@in_loop
async def test_windows_are_the_rows_of_one_long_answer(repository: Path, n: int) -> None:
    """Put together they are bit for bit what the rows are that are drawn at once."""
    streamed, admission = streaming()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        with Permit(admission) as permit:
            drawn = await streamed.sample(engine, permit, FROM_PRIOR, n=n, seed=7, streamed=True)
            sizes, parts = [], []
            async for images, _ in drawn.windows:
                sizes.append(len(images))
                parts.append(images)
        verbs, _ = service()
        row = (await verbs.sample(engine, n=64, seed=7)).images
    assert sum(sizes) == n
    assert max(sizes) <= WINDOW_ROWS
    shown = np.concatenate(parts)
    assert shown[:64].tobytes() == row[:n].tobytes()
    assert drawn.seed == 7
    assert permit.timing.run > 0


@in_loop
async def test_the_last_row_is_the_one_that_is_drawn_alone(repository: Path) -> None:
    """Around an image too, row 700 does not depend on how many come before it."""
    streamed, admission = streaming()
    near = AroundImage(grey(80), 2)
    async with engine_of(repository / "arithmetic" / "1") as engine:
        shown = []
        for n in (700, 701):
            with Permit(admission) as permit:
                drawn = await streamed.sample(engine, permit, near, n=n, seed=7, streamed=True)
                shown.append(await together(drawn.windows))
    assert drawn.center is not None
    assert shown[0].tobytes() == shown[1][:700].tobytes()


@in_loop
async def test_latents_decode_as_they_do_at_once(repository: Path) -> None:
    """Each image shows its own latent, in the order that they came in."""
    streamed, admission = streaming()
    latents = np.linspace(0, 1, 2000, dtype=np.float32).repeat(2).reshape(-1, 2)
    async with engine_of(repository / "arithmetic" / "1") as engine:
        with Permit(admission) as permit:
            shown = await together(await streamed.decode(engine, permit, latents, streamed=True))
    assert shown[:, 0, 0, 0].tolist() == np.rint(latents[:, 0] * np.float32(255)).tolist()


@in_loop
async def test_a_stream_holds_its_windows_and_no_more(repository: Path) -> None:
    """However many images there are, it is admitted for two windows until its permit ends."""
    streamed, admission = streaming()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        with Permit(admission) as permit:
            drawn = await streamed.sample(engine, permit, FROM_PRIOR, n=5000, seed=7, streamed=True)
            async for _ in drawn.windows:
                assert admission.used == HELD
            assert admission.used == HELD
        with Permit(admission) as permit:
            await streamed.sample(engine, permit, FROM_PRIOR, n=3, seed=7, streamed=True)
            assert admission.used == 3 * PIXELS
        with Permit(admission) as permit:
            near = AroundImage(grey(9))
            await streamed.sample(engine, permit, near, n=3, seed=7, streamed=True)
            assert admission.used == 4 * PIXELS
    assert admission.used == 0


@in_loop
async def test_no_more_than_one_window_is_computed_ahead(repository: Path) -> None:
    """While nobody takes the second window, nothing of a third is computed."""
    streamed, admission = streaming()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        asked: list[int] = []
        original = engine.sample

        async def watched(rows: NDArray[Any]) -> Any:
            asked.append(int(rows[0, 1]))
            return await original(rows)

        engine.sample = watched  # type: ignore[assignment]
        with Permit(admission) as permit:
            drawn = await streamed.sample(engine, permit, FROM_PRIOR, n=5000, seed=7, streamed=True)
            await anext(drawn.windows)
            await asyncio.sleep(0.05)
            assert asked == [0, WINDOW_ROWS]
            await drawn.windows.aclose()
            await settle_down()
            assert asked == [0, WINDOW_ROWS]


@in_loop
async def test_windows_shrink_to_what_the_queue_holds(repository: Path) -> None:
    """A small queue takes a long stream all the same, and refuses what no row fits in."""
    async with engine_of(repository / "arithmetic" / "1") as engine:
        streamed, admission = streaming(5 * PIXELS)
        with Permit(admission) as permit:
            drawn = await streamed.sample(engine, permit, FROM_PRIOR, n=20, seed=7, streamed=True)
            assert [len(images) async for images, _ in drawn.windows] == [2] * 10
        streamed, admission = streaming(PIXELS)
        with Permit(admission) as permit, pytest.raises(RequestTooLargeError):
            await streamed.sample(engine, permit, FROM_PRIOR, n=20, seed=7, streamed=True)
        streamed, admission = streaming(HELD)
        admission.take(PIXELS)
        with Permit(admission) as permit, pytest.raises(QueueFullError):
            await streamed.sample(engine, permit, FROM_PRIOR, n=5000, seed=7, streamed=True)


@in_loop
async def test_counts_have_bounds_of_their_own(repository: Path) -> None:
    """A stream draws more than other answers, and not more than is allowed."""
    streamed, admission = streaming()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        with Permit(admission) as permit, pytest.raises(InvalidFieldError, match="1 … 5000"):
            await streamed.sample(engine, permit, FROM_PRIOR, n=5001, seed=7, streamed=True)
        with Permit(admission) as permit, pytest.raises(InvalidFieldError, match="1 … 2000"):
            await streamed.decode(engine, permit, np.zeros((2001, 2), np.float32), streamed=True)


@in_loop
async def test_rows_that_are_no_numbers_are_named(repository: Path) -> None:
    """The error has the row of the whole stream; it is the caller's where the latents are."""
    streamed, admission = streaming()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        latents = np.zeros((600, 2), np.float32)
        # Nothing that comes from outside is; here it stands for a graph that overflows.
        latents[300] = np.nan
        with Permit(admission) as permit, pytest.raises(InvalidFieldError) as found:
            await together(await streamed.decode(engine, permit, latents, streamed=True))
        assert found.value.index == 300
        hot = FromPrior(np.nan)
        with Permit(admission) as permit, pytest.raises(EngineFailedError):
            await together(
                (await streamed.sample(engine, permit, hot, n=3, seed=7, streamed=True)).windows
            )


@pytest.mark.parametrize(
    ("near", "field", "words"),
    [
        (AroundImage(grey(80), math.nan), "radius", "image 0 has .* send a smaller radius"),
        (AroundLatent(np.zeros(2, np.float32), math.nan), "latents_near", "send smaller values"),
    ],
)
@in_loop
async def test_rows_around_something_that_are_no_numbers_name_what_was_sent(
    repository: Path, near: SampleSource, field: str, words: str
) -> None:
    """Around an image no latent was sent, so that its radius is what can be smaller."""
    streamed, admission = streaming()
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        with pytest.raises(InvalidFieldError, match=words) as at_once:
            await verbs.sample(engine, near, n=3, seed=7)
        with Permit(admission) as permit:
            drawn = await streamed.sample(engine, permit, near, n=3, seed=7, streamed=True)
            with pytest.raises(InvalidFieldError, match=words) as in_parts:
                await together(drawn.windows)
    assert at_once.value.field == in_parts.value.field == field


def test_a_image_whose_mean_is_no_numbers_is_not_the_callers_fault() -> None:
    """At a radius of 0 there is none to make smaller."""
    assert AroundImage(grey(80), 0).blamed_field is None


@in_loop
async def test_images_that_are_there_come_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come in order, a window's worth of pixels at a time."""
    monkeypatch.setattr(windowed, "WINDOW_PIXELS", 2 * PIXELS)
    images = grey(*range(5))
    windows = [part async for part in split(images)]
    assert [len(part) for part in windows] == [2, 2, 1]
    assert np.concatenate(windows).tobytes() == images.tobytes()
