"""`POST /reconstruct`: encodes images and decodes their posterior means."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.api.openapi import EXAMPLE_PICTURE, example_images, example_latents
from app.api.requests import TAKES_IMAGES
from app.api.responses import as_found, fit_header
from app.api.schemas import Latents, Options, Picture, Png, Seed, VerbAnswer
from app.api.score import EXAMPLE_BOUNDS, BoundsAnswer, bound_members
from app.api.verb import Call, Document, Result, Verb
from app.inference.service import Reconstructed


class ReconstructOptions(Options):
    """What `/reconstruct` reports beside the images."""

    elbo_samples: int | None = Field(
        None,
        ge=1,
        description="Number K of importance samples: also estimates the ELBO and the "
        "importance-weighted bound on log p(x).",
    )
    binarise: Literal["sample", "threshold"] | None = Field(
        None,
        description="How to binarise the image for a Bernoulli model's bound; by default as in "
        "training.",
    )
    seed: Seed | None = None


class ReconstructAnswer(VerbAnswer):
    """Each image's posterior mean, decoded."""

    images: list[Png]
    mean: Latents
    squared_error: list[float] = Field(
        description="Σ (x − reconstruction)² over pixels in [0, 1], for each image."
    )
    kl: list[float] | None = Field(
        description="KL[q(z|x) ‖ N(0, I)] of the grey image, in nats; null for a mixture prior, "
        "which has no closed form: with `elbo_samples`, `bounds` has an estimate."
    )
    pictures: list[Picture]
    bounds: BoundsAnswer | None = Field(description="Null without `elbo_samples`.")


async def run(call: Call[ReconstructOptions]) -> Result:
    """Reconstructs the images."""
    assert call.images is not None  # noqa: S101 the body was parsed
    options = call.options
    found = await call.service.reconstruct(
        call.engine,
        call.permit,
        call.images,
        elbo_samples=options.elbo_samples,
        binarise=options.binarise,
        seed=options.seed,
    )
    return Result(
        {
            "mean": found.mean,
            "squared_error": found.squared_error,
            "kl": found.kl,
            "pictures": as_found(call.fitted),
            "bounds": bound_members(found.bounds) if found.bounds else None,
        },
        images=found.images,
        seed=found.bounds.seed if found.bounds else None,
        binary_headers=lambda: fit_header(call.fitted) | _metric_headers(found),
    )


def _metric_headers(found: Reconstructed) -> dict[str, str]:
    metrics = {"X-VAE-Squared-Error": found.squared_error}
    if found.kl is not None:
        metrics["X-VAE-KL"] = found.kl
    if found.bounds:
        metrics["X-VAE-ELBO"] = found.bounds.elbo
        metrics["X-VAE-Importance-Weighted"] = found.bounds.importance_weighted
    return {name: _numbers(values) for name, values in metrics.items()}


def _numbers(values: NDArray[np.float64]) -> str:
    return ",".join(f"{value:.6g}" for value in values.tolist())


def _example(shape: tuple[int, ...]) -> tuple[Document, Document]:
    images = example_images()
    answer = {"images": images, "mean": example_latents(shape), "squared_error": [3.2]}
    rest = {"kl": [25.4], "pictures": [EXAMPLE_PICTURE], "bounds": EXAMPLE_BOUNDS}
    return {"images": images}, answer | rest


VERB = Verb(
    name="reconstruct",
    summary="Encode images and decode their posterior means",
    about="images to their reconstructions",
    description="Each image's reconstruction, its squared error and KL; bounds with "
    "`elbo_samples`.",
    options=ReconstructOptions,
    takes=TAKES_IMAGES,
    kind="images",
    answer=ReconstructAnswer,
    run=run,
    example=_example,
    may_need_likelihood=True,
)
