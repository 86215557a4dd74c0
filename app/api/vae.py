"""The verbs over HTTP: parse, call the service, format."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import intake, openapi, responses, streamed
from app.api.dependencies import context_of
from app.api.schemas import (
    DecodeAnswer,
    DecodeOptions,
    EncodeAnswer,
    EncodeOptions,
    ReconstructAnswer,
    ReconstructOptions,
    SampleAnswer,
    ScoreAnswer,
    ScoreOptions,
)
from app.http.headers import JSON, NPY, PNG, ZIP, accept_of, choose
from app.http.routing import VerbRoute

router = APIRouter(tags=["VAE"], route_class=VerbRoute)

_IMAGES = (JSON, PNG, NPY, ZIP)
_LATENTS = (JSON, NPY)
_FIGURES = (JSON,)


@router.post(
    "/sample",
    summary="Draw images from the prior",
    responses=openapi.responses(SampleAnswer, _IMAGES, openapi.IMAGE_ERRORS),
    openapi_extra=openapi.sample_body(),
)
async def sample(request: Request) -> Response:
    """Draws z from the model's prior, or around an image or latent, and decodes it.

    Row i depends on the seed and i alone.
    """
    context = context_of(request)
    media_type = choose(accept_of(request), _IMAGES)
    engine = intake.engine(request, context)
    if media_type == ZIP:
        return await streamed.sample(request, context, engine)
    with intake.deadline(request, context) as deadline, context.service.permit() as permit:
        body = await intake.body(request, context, deadline)
        options, near, fitted = await intake.sample(request, context, engine, body)
        result = await context.service.sample(
            engine,
            permit,
            n=options.n,
            seed=options.seed,
            temperature=options.temperature,
            near=near,
            height=options.height,
            width=options.width,
        )
        size = result.images[..., 0].size
        return await context.offload(
            size, responses.sample, engine, result, options.temperature, fitted, media_type
        )


@router.post(
    "/encode",
    summary="Encode images to latents",
    responses=openapi.responses(EncodeAnswer, _LATENTS, openapi.IMAGE_ERRORS),
    openapi_extra=openapi.images_body(EncodeOptions),
)
async def encode(request: Request) -> Response:
    """The mean and log-variance of each image's posterior. As `.npy`: the means."""
    context = context_of(request)
    media_type = choose(accept_of(request), _LATENTS)
    engine = intake.engine(request, context)
    with intake.deadline(request, context) as deadline, context.service.permit() as permit:
        body = await intake.body(request, context, deadline)
        _, files = await intake.image_files(request, context, body, EncodeOptions)
        fitted = await intake.fitted(context, engine, files)
        result = await context.service.encode(engine, permit, intake.stacked(fitted))
        return await context.offload(
            result.mean.size, responses.encode, engine, result, fitted, media_type
        )


@router.post(
    "/decode",
    summary="Decode latents to images",
    responses=openapi.responses(DecodeAnswer, _IMAGES, openapi.VERB_ERRORS),
    openapi_extra=openapi.latents_body(DecodeOptions),
)
async def decode(request: Request) -> Response:
    """The image of each latent, from JSON or a `.npy` body."""
    context = context_of(request)
    media_type = choose(accept_of(request), _IMAGES)
    engine = intake.engine(request, context)
    if media_type == ZIP:
        return await streamed.decode(request, context, engine)
    with intake.deadline(request, context) as deadline, context.service.permit() as permit:
        body = await intake.body(request, context, deadline)
        latents = await intake.latents(request, context, engine, body)
        result = await context.service.decode(engine, permit, latents)
        size = result.images[..., 0].size
        return await context.offload(size, responses.decode, engine, result, media_type)


@router.post(
    "/reconstruct",
    summary="Encode images and decode their posterior means",
    responses=openapi.responses(
        ReconstructAnswer, _IMAGES, (*openapi.IMAGE_ERRORS, "unsupported_by_model")
    ),
    openapi_extra=openapi.images_body(ReconstructOptions),
)
async def reconstruct(request: Request) -> Response:
    """Each image's reconstruction, its squared error and KL; bounds with `elbo_samples`."""
    context = context_of(request)
    media_type = choose(accept_of(request), _IMAGES)
    engine = intake.engine(request, context)
    if media_type == ZIP:
        return await streamed.reconstruct(request, context, engine)
    with intake.deadline(request, context) as deadline, context.service.permit() as permit:
        body = await intake.body(request, context, deadline)
        options, files = await intake.image_files(request, context, body, ReconstructOptions)
        fitted = await intake.fitted(context, engine, files)
        result = await context.service.reconstruct(
            engine,
            permit,
            intake.stacked(fitted),
            elbo_samples=options.elbo_samples,
            binarise=options.binarise,
            seed=options.seed,
        )
        size = result.images[..., 0].size
        return await context.offload(
            size, responses.reconstruct, engine, result, fitted, media_type
        )


@router.post(
    "/score",
    summary="Estimate how likely the model finds images",
    responses=openapi.responses(
        ScoreAnswer, _FIGURES, (*openapi.IMAGE_ERRORS, "unsupported_by_model")
    ),
    openapi_extra=openapi.images_body(ScoreOptions),
)
async def score(request: Request) -> Response:
    """The ELBO, the importance-weighted bound on log p(x) and its percentile, in nats."""
    context = context_of(request)
    choose(accept_of(request), _FIGURES)
    engine = intake.engine(request, context)
    with intake.deadline(request, context) as deadline, context.service.permit() as permit:
        body = await intake.body(request, context, deadline)
        options, files = await intake.image_files(request, context, body, ScoreOptions)
        fitted = await intake.fitted(context, engine, files)
        result = await context.service.score(
            engine,
            permit,
            intake.stacked(fitted),
            samples=options.samples,
            binarise=options.binarise,
            seed=options.seed,
        )
        return responses.score(engine, result, fitted)
