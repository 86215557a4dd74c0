"""`POST /decode`: the image of each latent."""

from __future__ import annotations

from app.api.openapi import example_images, example_latents
from app.api.requests import TAKES_LATENTS
from app.api.schemas import Options, Png, VerbAnswer
from app.api.verb import Call, Document, Result, Verb
from app.inference.windows import images_of, whole


class DecodeOptions(Options):
    """`/decode` has no options beside the latents."""


class DecodeAnswer(VerbAnswer):
    """The image of each latent."""

    images: list[Png]


async def run(call: Call[DecodeOptions]) -> Result:
    """Decodes the latents."""
    assert call.latents is not None  # noqa: S101 the body was parsed
    windows = await call.service.decode(
        call.engine, call.permit, call.latents, streamed=call.streamed
    )
    if call.streamed:
        n = len(call.latents)
        return Result({"n": n}, windows=images_of(windows), n=n)
    images, _ = await whole(windows)
    return Result({}, images=images)


def _example(shape: tuple[int, ...]) -> tuple[Document, Document]:
    return {"latents": example_latents(shape)}, {"images": example_images()}


VERB = Verb(
    name="decode",
    summary="Decode latents to images",
    about="latents to images",
    description="The image of each latent, from JSON or a `.npy` body.",
    options=DecodeOptions,
    takes=TAKES_LATENTS,
    kind="images",
    answer=DecodeAnswer,
    run=run,
    example=_example,
)
