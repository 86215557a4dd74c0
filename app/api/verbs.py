"""The list of verbs, and the way around each of them: from a request to its response."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from app.api import decode, encode, interpolate, openapi, reconstruct, responses, sample, score
from app.api.dependencies import Context
from app.api.schemas import Options
from app.api.verb import Call, Verb
from app.codecs import images
from app.codecs.formats import media_types
from app.concurrency import INLINE_SIZE
from app.http.body import read_body
from app.http.deadline import Deadline
from app.http.headers import ZIP, accept_of, choose
from app.http.parameters import target_of
from app.http.routing import VerbRoute
from app.inference import validation
from app.inference.engine import Engine
from model.images.fitting import Fitted
from model.pixels import Images

VERBS: tuple[Verb[Any], ...] = (
    sample.VERB,
    encode.VERB,
    decode.VERB,
    reconstruct.VERB,
    interpolate.VERB,
    score.VERB,
)


def router_of(verbs: tuple[Verb[Any], ...] = VERBS) -> APIRouter:
    """The routes of verbs."""
    router = APIRouter(tags=["VAE"], route_class=VerbRoute)
    for verb in verbs:
        run = partial(run_verb, verb, media_types(verb.kind))
        declared = openapi.operation(verb)
        router.add_api_route(verb.path, run, methods=["POST"], name=verb.name, **declared)
    return router


async def run_verb(verb: Verb[Any], formats: tuple[str, ...], request: Request) -> Response:
    """Answers a request of a verb in the best of the formats.

    Raises:
        ServiceError: whatever is wrong with the request, or stands in the way of an answer.
    """
    context: Context = request.app.state.context
    media_type = choose(accept_of(request), formats)
    named = target_of(request) if request.scope["query_string"] else (None, None)
    engine = context.registry.engine(*named)
    with ExitStack() as held:
        deadline = held.enter_context(Deadline(request, context.settings.timeout))
        permit = held.enter_context(context.service.permit())
        body = await read_body(request, context.settings.max_json_bytes)
        deadline.body_is_complete()
        parse = partial(
            verb.takes.parse, request, body, verb.options, engine.manifest, context.settings
        )
        size = len(body.content)
        options, sent = parse() if size <= INLINE_SIZE else await context.offload(size, parse)
        fitted = await fit_images(context, engine, sent.images) if sent.images else []
        call: Call[Options] = Call(
            context.service,
            engine,
            permit,
            options,
            _stacked(fitted) if fitted else None,
            fitted,
            sent.latents,
            sent.seeds,
            media_type == ZIP,
        )
        result = await verb.run(call)
        if media_type == ZIP:
            return await responses.stream(
                engine,
                permit.timing,
                result,
                offload=context.offload,
                deadline=deadline,
                held=held,
                observe=context.metrics.observe_cut,
            )
        respond = partial(responses.respond, verb, engine, permit.timing, result, media_type)
        size = responses.weight_of(result, media_type)
        return respond() if size <= INLINE_SIZE else await context.offload(size, respond)


async def fit_images(context: Context, engine: Engine, files: Sequence[bytes]) -> list[Fitted]:
    """Decodes and fits images one by one, so that a caller who leaves stops the work.

    Raises:
        InvalidImageError, ImageTooLargeError: an image is not usable.
        QueueFullError: too many large images are being decoded, or wait for it.
    """
    limit = context.settings.max_picture_pixels

    def fit_one(index: int) -> Fitted:
        return images.decode(
            files[index],
            index=index,
            spec=engine.manifest.input,
            preprocessing=engine.manifest.preprocessing,
            max_pixels=limit,
        )

    weights = [images.decoding_size(file) for file in files]
    if max(weights) <= INLINE_SIZE:
        return [fit_one(index) for index in range(len(weights))]
    # One after the other, so that at most the largest is in memory.
    largest = min(limit, max(images.announced_pixels(file) for file in files))
    with context.decoding.admit(largest):
        return [
            await context.offload(weight, fit_one, index) for index, weight in enumerate(weights)
        ]


def _stacked(fitted: list[Fitted]) -> Images:
    """Fitted images as one array, uint8 [n, h, w, c].

    Raises:
        InvalidFieldError: they have several sizes.
    """
    if len(fitted) == 1:  # np.stack takes a tenth of the time of decoding a small image
        only: Images = fitted[0].pixels[np.newaxis]
        return only
    validation.check_alike(fitted)
    return np.stack([image.pixels for image in fitted])
