"""What every verb does before it calls the service: find the engine, read, parse and decode."""

from __future__ import annotations

import numpy as np
from fastapi import Request

from app.api.dependencies import Context
from app.api.nearby import parse_sample
from app.api.requests import parse_images, parse_latents
from app.api.schemas import DecodeOptions, SampleOptions
from app.codecs import images
from app.concurrency import INLINE_SIZE
from app.http.body import Body, read_body
from app.http.deadline import Deadline
from app.http.parameters import OptionsT, target_of
from app.inference import validation
from app.inference.engine import Engine
from app.inference.sampling import Near
from model.images.fitting import Fitted
from model.pixels import Floats, Images


def engine(request: Request, context: Context) -> Engine:
    """The engine of the model and version that the query names, or of the default model.

    Raises:
        ServiceError: as `target_of` and the registry raise.
    """
    return context.registry.engine(*target_of(request))


def deadline(request: Request, context: Context) -> Deadline:
    """What ends the request's work when it is late or its caller has left."""
    return Deadline(request, context.settings.timeout)


async def body(request: Request, context: Context, deadline: Deadline) -> Body:
    """The whole body, of which the deadline is told; errors as `read_body` raises."""
    complete = await read_body(request, context.settings.max_json_bytes)
    deadline.body_is_complete()
    return complete


async def image_files(
    request: Request, context: Context, body: Body, model: type[OptionsT]
) -> tuple[OptionsT, list[bytes]]:
    """The options and image files of a body; errors as `parse_images` raises."""
    limit = context.settings.max_pictures
    return await context.offload(len(body.content), parse_images, request, body, model, limit)


async def latents(request: Request, context: Context, engine: Engine, body: Body) -> Floats:
    """The latents of a body, float32 [n, *latent_shape]; errors as `parse_latents` raises."""
    shape, max_n = engine.manifest.latent_axes, context.settings.max_n
    _, found = await context.offload(
        len(body.content), parse_latents, request, body, DecodeOptions, shape, max_n
    )
    return found


async def sample(
    request: Request, context: Context, engine: Engine, body: Body
) -> tuple[SampleOptions, Near | None, Fitted | None]:
    """The options of `/sample`, what to draw around, and the image that this came from.

    Raises:
        ServiceError: as `parse_sample` and `fitted` raise.
    """
    shape = engine.manifest.latent_axes
    options, sent = await context.offload(len(body.content), parse_sample, request, body, shape)
    if sent is None:
        return options, None, None
    if sent.image is None:
        return options, Near(sent.radius, latent=sent.latent), None
    (image,) = await fitted(context, engine, [sent.image])
    return options, Near(sent.radius, images=image.pixels[None]), image


async def fitted(context: Context, engine: Engine, files: list[bytes]) -> list[Fitted]:
    """Decodes and fits images one by one, so that a caller who leaves stops the work.

    Raises:
        QueueFullError: too many large images are being decoded, or wait for it.
    """

    def fit(index: int) -> Fitted:
        return images.decode(
            files[index],
            index=index,
            spec=engine.manifest.input,
            preprocessing=engine.manifest.preprocessing,
            max_pixels=context.settings.max_picture_pixels,
        )

    weights = [images.decoding_size(file) for file in files]
    if max(weights) <= INLINE_SIZE:
        return [fit(index) for index in range(len(files))]
    limit = context.settings.max_picture_pixels
    # One after the other, so that no more than the largest is in memory.
    largest = min(limit, max(images.announced_pixels(file) for file in files))
    with context.decoding.admit(largest):
        return [await context.offload(weight, fit, index) for index, weight in enumerate(weights)]


def stacked(fitted: list[Fitted]) -> Images:
    """Fitted images as one array, uint8 [n, h, w, c].

    Raises:
        InvalidFieldError: they have several sizes.
    """
    if len(fitted) == 1:  # np.stack takes a tenth of what decoding a small image does
        only: Images = fitted[0].pixels[np.newaxis]
        return only
    validation.check_alike(fitted)
    return np.stack([image.pixels for image in fitted])
