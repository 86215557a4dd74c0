"""The verb `/score`: figures that are known exactly, and what it says over HTTP."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.bundle.manifest import LikelihoodSpec
from model.bundle.reference import SAMPLES
from model.likelihood import estimate
from tests import arithmetic_bundle
from tests.app.loops import in_loop
from tests.app.serving import serving
from tests.arithmetic_bundle import SIZE

JSON, PNG = "application/json", "image/png"
DIMENSIONS = SIZE * SIZE


def png(*levels: int) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Multipart files, each of one grey level."""
    files = []
    for level in levels:
        file = io.BytesIO()
        Image.new("L", (SIZE, SIZE), level).save(file, "PNG")
        files.append(("images", ("a.png", file.getvalue(), PNG)))
    return files


def exact(level: int) -> float:
    """log p(x) of an image of one grey level g: x ~ N(0, I + 11ᵀ), whose determinant is 17 and
    whose inverse takes x to 16 g²/17."""
    grey = level / 255
    return -8 * math.log(2 * math.pi) - 0.5 * math.log(17) - 0.5 * 16 * grey**2 / 17


async def scored(client: httpx.AsyncClient, *levels: int, **options: Any) -> dict[str, Any]:
    answer = await client.post("/score", files=png(*levels), params=options)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@in_loop
async def test_with_the_true_posterior_the_bound_is_exact(tmp_path: Path) -> None:
    """Every weight is p(x): the bound is log p(x) with any K, without error, and all K count."""
    arithmetic_bundle.write_exact(tmp_path)
    async with serving(tmp_path) as client:
        few = await scored(client, 0, 100, 255, samples=1)
        many = await scored(client, 0, 100, 255, samples=50)
    expected = [exact(level) for level in (0, 100, 255)]
    assert few["importance_weighted"] == pytest.approx(expected, abs=1e-4)
    assert many["importance_weighted"] == pytest.approx(expected, abs=1e-4)
    assert many["effective_sample_size"] == pytest.approx([50] * 3, rel=1e-6)
    assert many["standard_error"] == pytest.approx([0] * 3, abs=1e-4)
    # KL[N(16 g/17, 1/17) ‖ N(0, 1)], the second latent's posterior being the prior.
    kl = 0.5 * (1 / 17 + (16 / 17) ** 2 - 1 + math.log(17))
    assert many["kl"][2] == pytest.approx(kl, rel=1e-5)
    assert many["elbo"] == pytest.approx(np.subtract(many["reconstruction"], many["kl"]))


@in_loop
async def test_with_another_posterior_it_comes_closer_with_every_sample(repository: Path) -> None:
    """From one sample, at the ELBO on average, the bound rises to log p(x) as K grows."""
    async with serving(repository) as client:
        averages = []
        for samples in (1, 8, 1024):
            told = await scored(client, *[0] * 30, samples=samples, seed=5)
            averages.append(float(np.mean(told["importance_weighted"])))
            close = told
    single, some, many = averages
    # E[−½ Σ z₁²] = −8 for z₁ ~ N(0, 1), and KL = 0: the ELBO.
    assert single == pytest.approx(-8 * math.log(2 * math.pi) - 8, abs=5)
    assert single < some < many
    assert many == pytest.approx(exact(0), abs=0.02)
    # The weights are exp(−8 z²): their first two moments are 17^−½ and 33^−½.
    assert np.mean(close["effective_sample_size"]) / 1024 == pytest.approx(33**0.5 / 17, rel=0.05)


@in_loop
async def test_the_standard_error_is_that_of_repeated_runs(repository: Path) -> None:
    """Over 60 runs with seeds of their own the bound scatters by what each says of itself."""
    async with serving(repository) as client:
        runs = [await scored(client, 128, 128, samples=300, seed=seed) for seed in range(60)]
    bounds = np.array([run["importance_weighted"] for run in runs])
    told = np.array([run["standard_error"] for run in runs])
    assert bounds.std(axis=0, ddof=1) == pytest.approx(told.mean(axis=0), rel=0.25)


@in_loop
async def test_one_sample_has_no_error_to_tell(repository: Path) -> None:
    """With K = 1 the standard error is null and the size 1."""
    async with serving(repository) as client:
        told = await scored(client, 9, 10, samples=1)
    assert told["standard_error"] == [None, None]
    assert told["effective_sample_size"] == [1, 1]


@in_loop
async def test_percentiles_are_those_of_the_stored_bounds(tmp_path: Path) -> None:
    """An image is placed among the reference's bounds with its K; another K has no place."""
    # log p(x) is −16.1 for black and −16.6 for white.
    arithmetic_bundle.write(tmp_path, reference={"none": [-40.0, -30.0, -20.0, -10.0]})
    async with serving(tmp_path) as client:
        default = await scored(client, 0, 255)
        other = await scored(client, 0, 255, samples=SAMPLES + 1)
    assert default["samples"] == SAMPLES
    assert default["percentile"] == [75, 75]
    assert other["percentile"] is None


@in_loop
async def test_each_binarisation_has_percentiles_of_its_own(tmp_path: Path) -> None:
    """A bound is compared with those of images that were made binary in the same way."""
    stored = {"sample": [-100.0, -99.0], "threshold": [-1.0, -1.5]}
    arithmetic_bundle.write_bernoulli(tmp_path, reference=stored)  # type: ignore[arg-type]
    async with serving(tmp_path) as client:
        trained = await scored(client, 100)
        sampled = await scored(client, 100, binarise="sample")
        cut = await scored(client, 100, binarise="threshold")
    assert (trained["binarised"], trained["percentile"]) == ("sample", [100])
    assert (sampled["binarised"], sampled["percentile"]) == ("sample", [100])
    assert (cut["binarised"], cut["percentile"]) == ("threshold", [0])


@in_loop
async def test_without_a_reference_there_is_a_score_and_no_percentile(repository: Path) -> None:
    """A bundle from before references is scored all the same."""
    async with serving(repository) as client:
        told = await scored(client, 0)
    assert told["percentile"] is None
    assert len(told["importance_weighted"]) == 1


@in_loop
async def test_a_density_has_no_bits(repository: Path, coins: Path) -> None:
    """Bits per dimension for a Bernoulli model, nats per dimension for a Gaussian one."""
    async with serving(repository) as client:
        density = await scored(client, 7)
    async with serving(coins) as client:
        binary = await scored(client, 7)
    assert density["bits_per_dimension"] is None
    assert density["nats_per_dimension"] == pytest.approx(
        [-density["importance_weighted"][0] / DIMENSIONS]
    )
    assert density["binarised"] is None
    assert binary["nats_per_dimension"] is None
    assert binary["bits_per_dimension"] == pytest.approx(
        [-binary["importance_weighted"][0] / (DIMENSIONS * math.log(2))]
    )


@in_loop
async def test_it_is_what_reconstruct_answers(coins: Path) -> None:
    """`/reconstruct` with `elbo_samples` gives the same figures, bit for bit."""
    async with serving(coins) as client:
        score = await scored(client, 100, 30, samples=5, seed=3)
        other = await client.post("/reconstruct?elbo_samples=5&seed=3", files=png(100, 30))
    bounds = other.json()["bounds"]
    assert bounds == {name: score[name] for name in bounds}
    assert set(score) - set(bounds) == {"model", "version", "pictures"}


@in_loop
async def test_images_come_in_every_way(repository: Path) -> None:
    """Multipart, a raw body and base64 in JSON are scored alike, and say how they were fitted."""
    [(_, (_, image, _))] = png(51)
    encoded = base64.b64encode(image).decode()
    async with serving(repository) as client:
        answers = [
            await client.post("/score?seed=4", files=png(51)),
            await client.post("/score?seed=4", content=image, headers={"Content-Type": PNG}),
            await client.post("/score", json={"images": [encoded], "seed": 4}),
        ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1
    told = answers[0].json()
    assert told["pictures"] == [{"width": SIZE, "height": SIZE, "mode": "L", "steps": []}]
    assert {key: told[key] for key in ("model", "version", "samples", "seed", "likelihood")} == {
        "model": "arithmetic",
        "version": 1,
        "samples": SAMPLES,
        "seed": 4,
        "likelihood": "gaussian",
    }
    assert (told["dimensions"], told["unit"]) == (DIMENSIONS, "nats")
    assert answers[0].headers["x-vae-seed"] == "4"
    assert answers[0].headers["x-vae-model"] == "arithmetic/1"
    assert "run;dur=" in answers[0].headers["server-timing"]


@in_loop
async def test_a_seed_that_was_not_sent_is_drawn_and_echoed(coins: Path) -> None:
    """Two answers have seeds of their own, and the seed sent again gives the answer again."""
    async with serving(coins) as client:
        one, two = await scored(client, 99), await scored(client, 99)
        again = await scored(client, 99, seed=one["seed"])
    assert one["seed"] != two["seed"]
    assert again == one


@pytest.mark.parametrize(
    ("options", "field", "bound"),
    [
        ({"samples": 0}, "samples", 1),
        ({"samples": 41}, "samples", 40),
        ({"samples": 1.5}, "samples", None),
        ({"binarise": "round"}, "binarise", None),
        ({"binarise": "sample"}, "binarise", None),
        ({"seed": -1}, "seed", 0),
        ({"elbo_samples": 4}, "elbo_samples", None),
    ],
)
@in_loop
async def test_options_that_can_not_be_name_their_field(
    repository: Path, options: dict[str, Any], field: str, bound: int | None
) -> None:
    """Out of range, unknown, or of no meaning for a Gaussian model: a 422 with the field."""
    async with serving(repository, max_elbo_samples=40) as client:
        answer = await client.post("/score", files=png(1), params={"samples": 4} | options)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_field")
    assert (problem["field"], problem.get("bound")) == (field, bound)


@in_loop
async def test_a_model_without_likelihood_says_what_is_missing(tmp_path: Path) -> None:
    """There is no log p(x) to bound: a 409 that says so."""
    arithmetic_bundle.write(tmp_path, likelihood=None)
    async with serving(tmp_path) as client:
        answer = await client.post("/score", files=png(1))
    assert (answer.status_code, answer.json()["code"]) == (409, "unsupported_by_model")
    assert "has no likelihood" in answer.json()["detail"]


def level_probability(level: int, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a grey level under a discretised logistic of scale 0.2: float64 sigmoids."""
    upper = 1 / (1 + np.exp(-(level + 0.5 - 255 * mean) / 51)) if level < 255 else 1.0
    lower = 1 / (1 + np.exp(-(level - 0.5 - 255 * mean) / 51)) if level > 0 else 0.0
    return np.asarray(upper - lower)


@in_loop
async def test_a_logistic_model_scores_grey_levels(tmp_path: Path) -> None:
    """The bound is log p(x) = log ∫ N(z; 0, 1) p(level|z)¹⁶ dz, by quadrature, in bits too."""
    spec = {"family": "logistic", "dimensions": DIMENSIONS, "scale": [0.2], "levels": 256}
    arithmetic_bundle.write(tmp_path, likelihood=spec)
    levels = (0, 100, 255)
    async with serving(tmp_path) as client:
        told = await scored(client, *levels, samples=1024, seed=3)
        described = (await client.get("/models/arithmetic")).json()["manifest"]["likelihood"]

    z = np.linspace(-10, 10, 20_001)
    prior = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    for index, level in enumerate(levels):
        expected = math.log(np.trapezoid(prior * level_probability(level, z) ** DIMENSIONS, z))
        error = told["standard_error"][index]
        assert told["importance_weighted"][index] == pytest.approx(expected, abs=4 * error)
        assert error < 0.2
    bits = np.array(told["importance_weighted"]) / (-DIMENSIONS * math.log(2))
    assert told["bits_per_dimension"] == pytest.approx(bits)
    assert (told["nats_per_dimension"], told["binarised"]) == (None, None)
    assert told["likelihood"] == described["family"] == "logistic"
    assert (described["scale"], described["levels"]) == ([0.2], 256)


@in_loop
async def test_it_answers_json_alone(repository: Path) -> None:
    """Figures are no image and no array."""
    async with serving(repository) as client:
        answer = await client.post("/score", files=png(1), headers={"Accept": PNG})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@in_loop
async def test_it_is_admitted_for_all_its_stages_or_not_at_all(repository: Path) -> None:
    """An image costs its pixels once for the encoder and K times for the decoder."""
    async with serving(repository, queue_pixels=DIMENSIONS * 2 * 5) as client:
        fits = await client.post("/score?samples=4", files=png(1, 2))
        too_large = await client.post("/score?samples=5", files=png(1, 2))
    assert fits.status_code == 200
    assert (too_large.status_code, too_large.json()["code"]) == (422, "request_too_large")


@in_loop
async def test_a_bound_that_is_no_number_is_the_models_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder whose answer gives no finite bound is a 500 that names the image."""
    # No bundle may have a scale this small, over which (x − z)² is beyond float32.
    tiny = LikelihoodSpec.model_construct(family="gaussian", dimensions=DIMENSIONS, scale=1e-30)
    real = estimate.estimate
    monkeypatch.setattr(estimate, "estimate", lambda _, *rest: real(tiny, *rest))
    arithmetic_bundle.write(tmp_path)
    async with serving(tmp_path) as client:
        answer = await client.post("/score", files=png(1))
    assert (answer.status_code, answer.json()["code"]) == (500, "engine_failed")
    assert answer.json()["index"] == 0
    assert "is not finite" in answer.json()["detail"]
