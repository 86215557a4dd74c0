"""The verbs over HTTP: parse, call the service, format."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request, Response

from app import answers, images, openapi, sizes
from app.bodies import Body, read_body
from app.context import Context, context_of
from app.deadline import Deadline
from app.engine import Engine
from app.negotiate import JSON, NPY, PNG, accept_of, choose
from app.offload import INLINE_SIZE
from app.options import OptionsT, target_of
from app.schemas import (
    DecodeAnswer,
    DecodeOptions,
    EncodeAnswer,
    EncodeOptions,
    ReconstructAnswer,
    ReconstructOptions,
    SampleAnswer,
    SampleOptions,
)
from app.uploads import parse_latents, parse_options, parse_pictures
from app.verb_route import VerbRoute
from model.pictures import Fitted
from model.pixels import Images

router = APIRouter(tags=["VAE"], route_class=VerbRoute)

_IMAGES = (JSON, PNG, NPY)
_LATENTS = (JSON, NPY)


@router.post(
    "/sample",
    summary="Draw pictures from the prior",
    responses=openapi.responses(SampleAnswer, _IMAGES, openapi.VERB_ERRORS),
    openapi_extra=openapi.options_body(SampleOptions),
)
async def sample(request: Request) -> Response:
    """Draws z ~ N(0, I) and decodes it. Row i depends on the seed and i alone."""
    context = context_of(request)
    media_type = choose(accept_of(request), _IMAGES)
    engine = _engine(request, context)
    with _deadline(request, context) as deadline, context.service.permit() as permit:
        body = await _body(request, context, deadline)
        options = await context.offload(
            len(body.content), parse_options, request, body, SampleOptions
        )
        result = await context.service.sample(
            engine,
            permit,
            n=options.n,
            seed=options.seed,
            temperature=options.temperature,
            height=options.height,
            width=options.width,
        )
        size = result.images[..., 0].size
        return await context.offload(
            size, answers.sample, engine, result, options.temperature, media_type
        )


@router.post(
    "/encode",
    summary="Encode pictures to latents",
    responses=openapi.responses(EncodeAnswer, _LATENTS, openapi.PICTURE_ERRORS),
    openapi_extra=openapi.pictures_body(EncodeOptions),
)
async def encode(request: Request) -> Response:
    """The mean and log-variance of each picture's posterior. As `.npy`: the means."""
    context = context_of(request)
    media_type = choose(accept_of(request), _LATENTS)
    engine = _engine(request, context)
    with _deadline(request, context) as deadline, context.service.permit() as permit:
        body = await _body(request, context, deadline)
        _, files = await _pictures(request, context, body, EncodeOptions)
        fitted = await _fitted(context, engine, files)
        result = await context.service.encode(engine, permit, _stacked(fitted))
        return await context.offload(
            result.mean.size, answers.encode, engine, result, fitted, media_type
        )


@router.post(
    "/decode",
    summary="Decode latents to pictures",
    responses=openapi.responses(DecodeAnswer, _IMAGES, openapi.VERB_ERRORS),
    openapi_extra=openapi.latents_body(DecodeOptions),
)
async def decode(request: Request) -> Response:
    """The picture of each latent, from JSON or a `.npy` body."""
    context = context_of(request)
    media_type = choose(accept_of(request), _IMAGES)
    engine = _engine(request, context)
    shape, max_n = engine.manifest.latent_axes, context.settings.max_n
    with _deadline(request, context) as deadline, context.service.permit() as permit:
        body = await _body(request, context, deadline)
        _, latents = await context.offload(
            len(body.content), parse_latents, request, body, DecodeOptions, shape, max_n
        )
        result = await context.service.decode(engine, permit, latents)
        size = result.images[..., 0].size
        return await context.offload(size, answers.decode, engine, result, media_type)


@router.post(
    "/reconstruct",
    summary="Encode pictures and decode their posterior means",
    responses=openapi.responses(
        ReconstructAnswer, _IMAGES, (*openapi.PICTURE_ERRORS, "unsupported_by_model")
    ),
    openapi_extra=openapi.pictures_body(ReconstructOptions),
)
async def reconstruct(request: Request) -> Response:
    """Each picture's reconstruction, its squared error and KL; bounds with `elbo_samples`."""
    context = context_of(request)
    media_type = choose(accept_of(request), _IMAGES)
    engine = _engine(request, context)
    with _deadline(request, context) as deadline, context.service.permit() as permit:
        body = await _body(request, context, deadline)
        options, files = await _pictures(request, context, body, ReconstructOptions)
        fitted = await _fitted(context, engine, files)
        result = await context.service.reconstruct(
            engine,
            permit,
            _stacked(fitted),
            elbo_samples=options.elbo_samples,
            binarise=options.binarise,
            seed=options.seed,
        )
        size = result.images[..., 0].size
        return await context.offload(size, answers.reconstruct, engine, result, fitted, media_type)


def _engine(request: Request, context: Context) -> Engine:
    return context.registry.engine(*target_of(request))


def _deadline(request: Request, context: Context) -> Deadline:
    return Deadline(request, context.settings.timeout)


async def _body(request: Request, context: Context, deadline: Deadline) -> Body:
    body = await read_body(request, context.settings.max_json_bytes)
    deadline.body_is_complete()
    return body


async def _pictures(
    request: Request, context: Context, body: Body, model: type[OptionsT]
) -> tuple[OptionsT, list[bytes]]:
    limit = context.settings.max_pictures
    return await context.offload(len(body.content), parse_pictures, request, body, model, limit)


async def _fitted(context: Context, engine: Engine, files: list[bytes]) -> list[Fitted]:
    """Decodes and fits pictures one by one, so that a caller who leaves stops the work.

    Raises:
        QueueFullError: too many large pictures are being decoded, or wait for it.
    """

    def fit(index: int) -> Fitted:
        return images.decode(
            files[index],
            index=index,
            spec=engine.manifest.input,
            preprocessing=engine.manifest.preprocessing,
            max_pixels=context.settings.max_picture_pixels,
        )

    sizes = [images.decoding_size(file) for file in files]
    if max(sizes) <= INLINE_SIZE:
        return [fit(index) for index in range(len(files))]
    limit = context.settings.max_picture_pixels
    # One after the other, so that no more than the largest is in memory.
    largest = min(limit, max(images.announced_pixels(file) for file in files))
    with context.decoding.admit(largest):
        return [await context.offload(size, fit, index) for index, size in enumerate(sizes)]


def _stacked(fitted: list[Fitted]) -> Images:
    sizes.check_alike(fitted)
    return np.stack([picture.pixels for picture in fitted])
