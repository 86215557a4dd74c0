"""`POST /encode`: the posterior of each image."""

from __future__ import annotations

from functools import partial

from app.api.openapi import EXAMPLE_PICTURE, example_images, example_latents
from app.api.requests import TAKES_IMAGES
from app.api.responses import as_found, fit_header
from app.api.schemas import Latents, Options, Picture, VerbAnswer
from app.api.verb import Call, Document, Result, Verb


class EncodeOptions(Options):
    """`/encode` has no options: the encoder is deterministic."""


class EncodeAnswer(VerbAnswer):
    """The posterior q(z|x) = N(mean, diag(exp(logvar))) of each image."""

    mean: Latents
    logvar: Latents
    pictures: list[Picture]


async def run(call: Call[EncodeOptions]) -> Result:
    """Encodes the images."""
    assert call.images is not None  # noqa: S101 the body was parsed
    mean, logvar = await call.service.encode(call.engine, call.permit, call.images)
    return Result(
        {"mean": mean, "logvar": logvar, "pictures": as_found(call.fitted)},
        latents=mean,
        binary_headers=partial(fit_header, call.fitted),
    )


def _example(shape: tuple[int, ...]) -> tuple[Document, Document]:
    latents = example_latents(shape)
    answer = {"mean": latents, "logvar": latents, "pictures": [EXAMPLE_PICTURE]}
    return {"images": example_images()}, answer


VERB = Verb(
    name="encode",
    summary="Encode images to latents",
    about="images to latents",
    description="The mean and log-variance of each image's posterior. As `.npy`: the means.",
    options=EncodeOptions,
    takes=TAKES_IMAGES,
    kind="latents",
    answer=EncodeAnswer,
    run=run,
    example=_example,
)
