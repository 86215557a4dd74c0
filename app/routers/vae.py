"""The verbs over HTTP: parse, call the service, format."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request, Response

from app import answers, images, openapi
from app.context import Context, context_of
from app.deadline import answer_within, receive_within
from app.engine import Engine
from app.errors import InvalidFieldError
from app.negotiate import JSON, NPY, PNG, accept_of, choose
from app.options import MODEL_PARAMETER, OptionsT
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
from app.uploads import read_latents, read_options, read_pictures
from model.pictures import Fitted
from model.pixels import Images

router = APIRouter(tags=["VAE"])

_IMAGES = (JSON, PNG, NPY)
_LATENTS = (JSON, NPY)


@router.post(
    "/sample",
    summary="Draw pictures from the prior",
    responses=openapi.responses(SampleAnswer, _IMAGES, openapi.OPTION_ERRORS),
    openapi_extra=openapi.options_body(SampleOptions),
)
async def sample(request: Request) -> Response:
    """Draws z ~ N(0, I) and decodes it. Row i depends on the seed and i alone."""
    context = context_of(request)
    media_type = choose(accept_of(request.headers), _IMAGES)
    timeout = context.settings.timeout
    options = await receive_within(request, timeout, read_options(request, SampleOptions))
    engine = _engine(request, context)

    async def answer() -> Response:
        result = await context.service.sample(
            engine, n=options.n, seed=options.seed, temperature=options.temperature
        )
        size = options.n * engine.row_pixels
        return await context.offload(
            size, answers.sample, engine, result, options.temperature, media_type
        )

    return await answer_within(request, timeout, answer())


@router.post(
    "/encode",
    summary="Encode pictures to latents",
    responses=openapi.responses(EncodeAnswer, _LATENTS, openapi.PICTURE_ERRORS),
    openapi_extra=openapi.pictures_body(EncodeOptions),
)
async def encode(request: Request) -> Response:
    """The mean and log-variance of each picture's posterior. As `.npy`: the means."""
    context = context_of(request)
    media_type = choose(accept_of(request.headers), _LATENTS)
    engine = _engine(request, context)
    _, files = await _upload(request, context, EncodeOptions)

    async def answer() -> Response:
        fitted = await _fitted(context, engine, files)
        result = await context.service.encode(engine, _stacked(fitted))
        return await context.offload(
            result.mean.size, answers.encode, engine, result, fitted, media_type
        )

    return await answer_within(request, context.settings.timeout, answer())


@router.post(
    "/decode",
    summary="Decode latents to pictures",
    responses=openapi.responses(DecodeAnswer, _IMAGES, openapi.LATENT_ERRORS),
    openapi_extra=openapi.latents_body(DecodeOptions),
)
async def decode(request: Request) -> Response:
    """The picture of each latent, from JSON or a `.npy` body."""
    context = context_of(request)
    media_type = choose(accept_of(request.headers), _IMAGES)
    engine = _engine(request, context)
    shape, max_n = engine.manifest.latent.shape, context.settings.max_n
    timeout = context.settings.timeout
    reading = read_latents(request, DecodeOptions, shape, max_n)
    _, latents = await receive_within(request, timeout, reading)

    async def answer() -> Response:
        result = await context.service.decode(engine, latents)
        size = len(latents) * engine.row_pixels
        return await context.offload(size, answers.decode, engine, result, media_type)

    return await answer_within(request, timeout, answer())


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
    media_type = choose(accept_of(request.headers), _IMAGES)
    engine = _engine(request, context)
    options, files = await _upload(request, context, ReconstructOptions)

    async def answer() -> Response:
        fitted = await _fitted(context, engine, files)
        result = await context.service.reconstruct(
            engine,
            _stacked(fitted),
            elbo_samples=options.elbo_samples,
            binarise=options.binarise,
            seed=options.seed,
        )
        size = len(fitted) * engine.row_pixels
        return await context.offload(size, answers.reconstruct, engine, result, fitted, media_type)

    return await answer_within(request, context.settings.timeout, answer())


def _engine(request: Request, context: Context) -> Engine:
    names = request.query_params.getlist(MODEL_PARAMETER)
    if len(names) > 1:
        detail = f"{MODEL_PARAMETER} is given {len(names)} times; send it once"
        raise InvalidFieldError(detail, field=MODEL_PARAMETER)
    return context.registry.engine(names[0] if names else None)


async def _upload(
    request: Request, context: Context, model: type[OptionsT]
) -> tuple[OptionsT, list[bytes]]:
    settings = context.settings
    reading = read_pictures(request, model, settings.max_pictures)
    return await receive_within(request, settings.timeout, reading)


async def _fitted(context: Context, engine: Engine, files: list[bytes]) -> list[Fitted]:
    """Decodes and fits pictures one by one, so that a caller who leaves stops the work."""

    def fit(index: int) -> Fitted:
        return images.decode(
            files[index],
            index=index,
            spec=engine.manifest.input,
            preprocessing=engine.manifest.preprocessing,
            max_pixels=context.settings.max_picture_pixels,
        )

    sizes = [images.announced_pixels(file) for file in files]
    return [await context.offload(size, fit, index) for index, size in enumerate(sizes)]


def _stacked(fitted: list[Fitted]) -> Images:
    return np.stack([picture.pixels for picture in fitted])
