"""`POST /score`: bounds on log p(x) of each image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.openapi import EXAMPLE_PICTURE, example_images
from app.api.requests import TAKES_IMAGES
from app.api.responses import as_found
from app.api.schemas import Answer, Options, Picture, Seed
from app.api.verb import Call, Document, Members, Result, Verb
from app.inference.likelihood_bounds import Bounds
from model.bundle.reference import SAMPLES
from model.config import Family


class ScoreOptions(Options):
    """How `/score` estimates its bounds."""

    samples: int = Field(
        SAMPLES,
        ge=1,
        description="Number K of importance samples, at most the server's `VAE_MAX_ELBO_SAMPLES`. "
        "Percentiles require the default.",
    )
    binarise: Literal["sample", "threshold"] | None = Field(
        None,
        description="How to binarise the image for a Bernoulli model; by default as in training.",
    )
    seed: Seed | None = None


class BoundsAnswer(Answer):
    """Bounds on log p(x) of each image, estimated with `samples` draws from its posterior."""

    elbo: list[float] = Field(description="One value for each image, in nats.")
    reconstruction: list[float] = Field(
        description="E[log p(x|z)], so that elbo = reconstruction − kl."
    )
    kl: list[float] = Field(
        description="KL[q(z|x) ‖ p(z)]: exact for the prior N(0, I); for a mixture, from the "
        "samples."
    )
    importance_weighted: list[float] = Field(
        description="logsumexp(log w) − log K, tighter than the ELBO."
    )
    standard_error: list[float | None] = Field(
        description="Of `importance_weighted` over its K samples, by the delta method; "
        "null if K is 1."
    )
    effective_sample_size: list[float] = Field(
        description="(Σ w)² / Σ w² of the importance weights, 1 … K."
    )
    bits_per_dimension: list[float] | None = Field(
        description="−importance_weighted / (dimensions · ln 2); null for Gaussian models."
    )
    nats_per_dimension: list[float] | None = Field(
        description="−importance_weighted / dimensions for Gaussian models, whose likelihood is a "
        "density; else null."
    )
    percentile: list[float] | None = Field(
        description="Percentage of the bundle's reference images whose `importance_weighted` is "
        "lower; null without a reference for these samples and this binarisation."
    )
    samples: int
    seed: int
    likelihood: Family = Field(description="The decoder's, p(x|z).")
    binarised: Literal["sample", "threshold"] | None = Field(
        description="How the image was binarised before it was encoded and scored; "
        "null if it was not."
    )
    dimensions: int = Field(description="Number of pixel values that each bound sums over.")
    unit: Literal["nats"] = "nats"


class ScoreAnswer(BoundsAnswer):
    """How likely the model finds each image."""

    model: str
    version: int
    pictures: list[Picture]


async def run(call: Call[ScoreOptions]) -> Result:
    """Estimates the bounds."""
    assert call.images is not None  # noqa: S101 the body was parsed
    options = call.options
    bounds = await call.service.score(
        call.engine,
        call.permit,
        call.images,
        samples=options.samples,
        binarise=options.binarise,
        seed=options.seed,
    )
    members = bound_members(bounds) | {"pictures": as_found(call.fitted)}
    return Result(members, seed=bounds.seed)


def bound_members(bounds: Bounds) -> Members:
    """Bounds as the members of `BoundsAnswer`."""
    return {name: getattr(bounds, name) for name in BoundsAnswer.model_fields}


EXAMPLE_BOUNDS: Document = {
    "elbo": [-89.1],
    "reconstruction": [-63.7],
    "kl": [25.4],
    "importance_weighted": [-86.0],
    "standard_error": [0.41],
    "effective_sample_size": [5.5],
    "bits_per_dimension": [0.158],
    "nats_per_dimension": None,
    "percentile": [47.6],
    "samples": 64,
    "seed": 7,
    "likelihood": "bernoulli",
    "binarised": "sample",
    "dimensions": 784,
    "unit": "nats",
}


def _example(shape: tuple[int, ...]) -> tuple[Document, Document]:
    return {"images": example_images()}, EXAMPLE_BOUNDS | {"pictures": [EXAMPLE_PICTURE]}


VERB = Verb(
    name="score",
    summary="Estimate how likely the model finds images",
    about="how likely the model finds images",
    description="The ELBO, the importance-weighted bound on log p(x) and its percentile, in nats.",
    options=ScoreOptions,
    takes=TAKES_IMAGES,
    kind="metrics",
    answer=ScoreAnswer,
    run=run,
    example=_example,
    needs_likelihood=True,
    may_need_likelihood=True,
)
