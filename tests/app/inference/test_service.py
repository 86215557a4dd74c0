"""The verbs without HTTP, with answers that one can work out in one's head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.concurrency import Offload
from app.errors import (
    InvalidFieldError,
    QueueFullError,
    RequestTooLargeError,
    ShuttingDownError,
    UnsupportedByModelError,
)
from app.inference.admission import Admission, Permit
from app.inference.batch import Outputs
from app.inference.engine import Engine
from app.inference.executor import Lanes
from app.inference.loader import load
from app.inference.sampling import Center, FromPrior, SampleSource
from app.inference.service import Reconstructed, Service
from app.inference.windows import whole
from model.bundle.bundle import open_bundle
from model.pixels import Floats, Images
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.arithmetic_bundle import SIZE

PIXELS = SIZE * SIZE


def grey(*levels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images uint8 [n, 4, 4, 1], each of one grey level."""
    return np.repeat(np.array(levels, np.uint8), PIXELS).reshape(-1, SIZE, SIZE, 1)


FROM_PRIOR = FromPrior()


@asynccontextmanager
async def engine_of(folder: Path) -> AsyncIterator[Engine]:
    lanes = Lanes(2)
    loaded = load(open_bundle(folder), "cpu", cores=1)
    engine = Engine(loaded, lanes, lambda program: lambda report: None)
    yield engine
    await engine.close()
    lanes.close()


class Drawn(NamedTuple):
    """What a short call of `sample` draws."""

    images: Images
    latents: Floats
    seed: int
    center: Center | None


class Verbs:
    """The service's verbs, each with a permit that ends when it has answered."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def sample(
        self, engine: Engine, source: SampleSource = FROM_PRIOR, **options: Any
    ) -> Drawn:
        with self.service.permit() as permit:
            drawn = await self.service.sample(engine, permit, source, **options)
            return Drawn(*await whole(drawn.windows), drawn.seed, drawn.center)

    async def encode(self, engine: Engine, images: Images) -> Outputs:
        with self.service.permit() as permit:
            return await self.service.encode(engine, permit, images)

    async def decode(self, engine: Engine, latents: Floats) -> Images:
        with self.service.permit() as permit:
            return (await whole(await self.service.decode(engine, permit, latents)))[0]

    async def reconstruct(self, engine: Engine, images: Images, **options: Any) -> Reconstructed:
        with self.service.permit() as permit:
            return await self.service.reconstruct(engine, permit, images, **options)


def _service(admission: Admission) -> Service:
    return Service(admission, Offload(1), max_n=64, max_stream_n=64, max_elbo_samples=1000)


def service(capacity: int = 100_000) -> tuple[Verbs, Admission]:
    admission = Admission(capacity)
    return Verbs(_service(admission)), admission


@in_loop
async def test_the_same_seed_draws_the_same_images_whatever_n_is(repository: Path) -> None:
    """Row i of a seed is bit-equal for every n: a short answer is the start of a long one."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        short = await verbs.sample(engine, n=3, seed=7)
        long = await verbs.sample(engine, n=50, seed=7)
        other = await verbs.sample(engine, n=3, seed=8)
    assert short.latents.tobytes() == long.latents[:3].tobytes()
    assert short.images.tobytes() == long.images[:3].tobytes()
    assert not np.array_equal(short.latents, other.latents)


@in_loop
async def test_a_permit_is_held_as_long_as_its_caller_says(repository: Path) -> None:
    """What a verb returned stays admitted until its permit ends, whatever others do."""
    verbs, admission = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        with Permit(admission) as permit:
            await whole(
                (await verbs.service.sample(engine, permit, FROM_PRIOR, n=2, seed=1)).windows
            )
            assert admission.used == 2 * PIXELS
            await verbs.sample(engine, n=2, seed=1)
            assert admission.used == 2 * PIXELS
    assert admission.used == 0


@in_loop
async def test_golden_latents(repository: Path) -> None:
    """The latents of seed 7 are these on every machine, and `pixels` shows their first value."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        drawn = await verbs.sample(engine, n=2, seed=7)
    assert [[value.hex() for value in row] for row in drawn.latents.tolist()] == GOLDEN
    assert drawn.images[:, 0, 0, 0].tolist() == [
        round(255 * min(max(float.fromhex(row[0]), 0), 1)) for row in GOLDEN
    ]


@in_loop
async def test_temperature_scales_the_latents(repository: Path) -> None:
    """Temperature 0 is the prior's mean, temperature 2 the same draw doubled."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        still = await verbs.sample(engine, FromPrior(0), n=2, seed=1)
        once = await verbs.sample(engine, n=2, seed=1)
        twice = await verbs.sample(engine, FromPrior(2), n=2, seed=1)
    assert not still.latents.any()
    assert not still.images.any()
    assert np.array_equal(twice.latents, 2 * once.latents)


@in_loop
async def test_a_seed_is_drawn_and_told_when_none_is_sent(repository: Path) -> None:
    """Two calls without a seed differ, and the seed that they tell draws the same again."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        one = await verbs.sample(engine, n=1, seed=None)
        two = await verbs.sample(engine, n=1, seed=None)
        again = await verbs.sample(engine, n=1, seed=one.seed)
    assert one.seed != two.seed
    assert np.array_equal(one.latents, again.latents)


@in_loop
async def test_images_are_bit_equal_under_load(repository: Path) -> None:
    """Sixty callers at once get, bit for bit, what each gets alone."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:

        async def draw(seed: int) -> bytes:
            drawn = await verbs.sample(engine, n=1 + seed % 5, seed=seed)
            return drawn.images.tobytes()

        together = await asyncio.gather(*(draw(seed) for seed in range(60)))
        alone = [await draw(seed) for seed in range(60)]
    assert together == alone


@in_loop
async def test_encodes_by_head(repository: Path) -> None:
    """The first latent's mean is the image's average, the second's its first pixel."""
    image = grey(0)
    image[0, 0, 0, 0] = 255
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        mean, logvar = await verbs.encode(engine, np.concatenate([image, grey(255)]))
    assert mean.tolist() == [[1 / 16, 1.0], [1.0, 1.0]]
    assert logvar.tolist() == [[0, 0], [0, 0]]


@in_loop
async def test_decodes_by_head(repository: Path) -> None:
    """The image is the first latent everywhere, cut to [0, 1] and rounded to a grey level."""
    latents = np.array([[0.2, 5], [7, 0], [-1, 0]], dtype=np.float32)
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        decoded = await verbs.decode(engine, latents)
    assert decoded.shape == (3, SIZE, SIZE, 1)
    assert decoded[:, 3, 2, 0].tolist() == [51, 255, 0]


@in_loop
async def test_reconstructs_by_head(repository: Path) -> None:
    """One grey level g comes back as itself with KL g²; a dot leaves its known error."""
    dot = grey(0)
    dot[0, 0, 0, 0] = 255
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        answer = await verbs.reconstruct(engine, np.concatenate([grey(51), grey(255), dot]))
    assert answer.images[0].tobytes() == grey(51).tobytes()
    assert answer.images[2].tobytes() == grey(16).tobytes()
    assert answer.kl == pytest.approx([0.04, 1.0, (1 / 256 + 1) / 2])
    squared = (1 - 1 / 16) ** 2 + 15 / 256
    assert answer.squared_error == pytest.approx([0, 0, squared], abs=1e-6)
    assert answer.bounds is None


@in_loop
async def test_a_gaussian_bound_is_the_known_integral(repository: Path) -> None:
    """With many samples the ELBO of a black image is −8 log 2π − 8, and the bound is above."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        answer = await verbs.reconstruct(engine, grey(0), elbo_samples=1000, seed=3)
    assert answer.bounds is not None
    # E[−½ Σ (0 − z₁)²] = −½ · 16 for z₁ ~ N(0, 1), and KL = 0.
    expected = -8 * np.log(2 * np.pi) - 8
    assert answer.bounds.elbo == pytest.approx([expected], abs=1.5)
    # log N(x = 0; 0, I + 11ᵀ) = −8 log 2π − ½ log 17.
    exact = -8 * np.log(2 * np.pi) - 0.5 * np.log(17)
    assert answer.bounds.importance_weighted == pytest.approx([exact], abs=0.2)
    assert (answer.bounds.importance_weighted >= answer.bounds.elbo).all()
    assert answer.bounds.binarised is None


@in_loop
async def test_bounds_come_again_with_their_seed_and_each_image_has_its_own(
    repository: Path,
) -> None:
    """The same seed gives the same bounds; an image's depends on its position, not on others."""
    verbs, _ = service()
    images = grey(10, 200)
    async with engine_of(repository / "arithmetic" / "1") as engine:
        both = await verbs.reconstruct(engine, images, elbo_samples=5, seed=11)
        again = await verbs.reconstruct(engine, images, elbo_samples=5, seed=11)
        first = await verbs.reconstruct(engine, images[:1], elbo_samples=5, seed=11)
        other = await verbs.reconstruct(engine, images, elbo_samples=5, seed=12)
    assert both.bounds
    assert again.bounds
    assert first.bounds
    assert other.bounds
    assert both.bounds.elbo.tobytes() == again.bounds.elbo.tobytes()
    assert both.bounds.elbo[0] == first.bounds.elbo[0]
    assert (both.bounds.elbo != other.bounds.elbo).all()


@pytest.mark.parametrize(
    ("wanted", "used", "average"),
    [(None, "sample", None), ("sample", "sample", None), ("threshold", "threshold", 0.0)],
)
@in_loop
async def test_a_bernoulli_bound_is_of_the_binary_image(
    coins: Path,
    wanted: Literal["sample", "threshold"] | None,
    used: str,
    average: float | None,
) -> None:
    """The binary image that is scored is the one encoded: black by threshold at grey 100."""
    verbs, _ = service()
    async with engine_of(coins / "coins" / "1") as engine:
        answer = await verbs.reconstruct(
            engine, grey(100), elbo_samples=400, binarise=wanted, seed=5
        )
    assert answer.bounds
    assert answer.bounds.binarised == used
    assert answer.kl == pytest.approx([(100 / 255) ** 2])
    if average is not None:
        assert answer.bounds.kl == pytest.approx([average])
        # E[−16 softplus(z)] for z ~ N(0, 1).
        assert answer.bounds.reconstruction == pytest.approx([-16 * 0.8060], abs=1.2)
    else:
        assert answer.bounds.kl[0] > 0.01
    assert (answer.bounds.importance_weighted >= answer.bounds.elbo).all()


@in_loop
async def test_what_a_bound_can_not_be_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """No likelihood, binarise for a Gaussian, or options without `elbo_samples` are errors."""
    without = arithmetic_bundle.write(tmp_path, name="without", likelihood=None)
    gaussian = arithmetic_bundle.write(tmp_path)
    verbs, _ = service()
    async with engine_of(without.folder) as engine:
        with pytest.raises(UnsupportedByModelError):
            await verbs.reconstruct(engine, grey(0), elbo_samples=1)
    async with engine_of(gaussian.folder) as engine:
        for options in (
            {"elbo_samples": 1, "binarise": "sample"},
            {"binarise": "sample"},
            {"seed": 1},
            {"elbo_samples": 0},
            {"elbo_samples": 1001},
        ):
            with pytest.raises(InvalidFieldError):
                await verbs.reconstruct(engine, grey(0), **options)


@in_loop
async def test_counts_are_bounded(repository: Path) -> None:
    """More rows than `max_n`, or none, are refused with the bound."""
    verbs, _ = service()
    async with engine_of(repository / "arithmetic" / "1") as engine:
        for n in (0, 65):
            with pytest.raises(InvalidFieldError) as refused:
                await verbs.sample(engine, n=n, seed=1)
            assert refused.value.limit == 64
        with pytest.raises(InvalidFieldError):
            await verbs.decode(engine, np.zeros((65, 2), np.float32))


@in_loop
async def test_a_verb_is_admitted_for_all_its_stages_or_not_at_all(repository: Path) -> None:
    """Two stages cost twice the pixels; what does not fit is refused whole and at once."""
    verbs, admission = service(capacity=2 * PIXELS)
    async with engine_of(repository / "arithmetic" / "1") as engine:
        await verbs.reconstruct(engine, grey(0))
        with pytest.raises(RequestTooLargeError):
            await verbs.reconstruct(engine, grey(0, 0))
        with admission.admit(PIXELS):
            with pytest.raises(QueueFullError):
                await verbs.reconstruct(engine, grey(0))
            await verbs.encode(engine, grey(0))
    assert admission.used == 0


@in_loop
async def test_closing_an_engine_lets_its_verbs_end(repository: Path) -> None:
    """A verb of several stages that had begun is answered, a later one is told to try again."""
    verbs, admission = service()
    lanes = Lanes(1)
    loaded = load(open_bundle(repository / "arithmetic" / "1"), "cpu", cores=1)
    engine = Engine(loaded, lanes, lambda program: lambda report: None)
    begun = asyncio.create_task(verbs.reconstruct(engine, grey(51), elbo_samples=3))
    await asyncio.sleep(0)
    await engine.close()
    assert (await begun).images.tobytes() == grey(51).tobytes()
    with pytest.raises(ShuttingDownError):
        await verbs.sample(engine, n=1, seed=1)
    assert admission.used == 0
    lanes.close()


@settings(max_examples=15, deadline=None)
@given(levels=st.lists(st.integers(0, 255), min_size=1, max_size=6), cancel=st.integers(0, 5))
def test_cancelled_verbs_give_their_permits_back(
    repository: Path, levels: list[int], cancel: int
) -> None:
    """Whoever is cancelled, the others are answered and no permit stays taken."""

    async def scenario() -> None:
        verbs, admission = service()
        async with engine_of(repository / "arithmetic" / "1") as engine:
            tasks = [asyncio.create_task(verbs.reconstruct(engine, grey(one))) for one in levels]
            await asyncio.sleep(0)
            if cancel < len(tasks):
                tasks[cancel].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for index, result in enumerate(results):
            if index == cancel:
                assert isinstance(result, asyncio.CancelledError)
            else:
                assert not isinstance(result, BaseException)
                assert result.images.tobytes() == grey(levels[index]).tobytes()
        assert admission.used == 0

    asyncio.run(scenario())


GOLDEN = [
    ["0x1.2ffa0a0000000p+0", "-0x1.566d520000000p-2"],
    ["0x1.27a4860000000p-1", "0x1.263d9c0000000p-1"],
]
