"""The verbs over HTTP as `application/zip`, whose images are sent while more are computed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack

from fastapi import Request, Response

from app.api import intake, responses, zip_response
from app.api.dependencies import Context
from app.api.schemas import ReconstructOptions
from app.api.zip_response import ZipAnswer
from app.http.deadline import Deadline
from app.inference.engine import Engine
from app.inference.streaming import in_windows
from model.pixels import Images


async def sample(request: Request, context: Context, engine: Engine) -> Response:
    """`/sample`: n up to `VAE_MAX_STREAM_N`, window by window."""
    with ExitStack() as held:
        deadline = held.enter_context(intake.deadline(request, context))
        permit = held.enter_context(context.service.permit())
        body = await intake.body(request, context, deadline)
        options, near, fitted = await intake.sample(request, context, engine, body)
        n, temperature = options.n, options.temperature
        drawn = await context.streams.sample(
            engine,
            permit,
            n=n,
            seed=options.seed,
            temperature=temperature,
            near=near,
            height=options.height,
            width=options.width,
        )
        about = responses.sample_members(engine, n, drawn.seed, temperature, drawn.around, fitted)

        def headers() -> dict[str, str]:
            seeded = responses.seeded(engine, drawn.timing, drawn.seed)
            return seeded | responses.fit_header([fitted]) if fitted else seeded

        return await _begun(context, deadline, held, drawn.windows, n, about, headers)


async def decode(request: Request, context: Context, engine: Engine) -> Response:
    """`/decode`: window by window; a latent that decodes to no numbers cuts the answer off."""
    with ExitStack() as held:
        deadline = held.enter_context(intake.deadline(request, context))
        permit = held.enter_context(context.service.permit())
        body = await intake.body(request, context, deadline)
        latents = await intake.latents(request, context, engine, body)
        decoded = context.streams.decode(engine, permit, latents)
        n = len(latents)
        about = responses.identity(engine) | {"n": n}

        def headers() -> dict[str, str]:
            return responses.raw(engine, decoded.timing)

        return await _begun(context, deadline, held, decoded.windows, n, about, headers)


async def reconstruct(request: Request, context: Context, engine: Engine) -> Response:
    """`/reconstruct`: of few images, so that all are there, with their figures, at the start."""
    with ExitStack() as held:
        deadline = held.enter_context(intake.deadline(request, context))
        permit = held.enter_context(context.service.permit())
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
        about = responses.reconstruct_members(engine, result, fitted)
        windows, n = in_windows(result.images), len(fitted)

        def headers() -> dict[str, str]:
            return responses.reconstruct_headers(engine, result, fitted)

        return await _begun(context, deadline, held, windows, n, about, headers)


async def _begun(
    context: Context,
    deadline: Deadline,
    held: ExitStack,
    windows: AsyncGenerator[Images, None],
    n: int,
    about: Mapping[str, object],
    headers: Callable[[], Mapping[str, str]],
) -> ZipAnswer:
    """Awaits the first window; the answer takes over what the request holds."""
    pieces = zip_response.pieces(context.offload, windows, n, about)
    first = await anext(pieces)
    return ZipAnswer(
        first,
        pieces,
        # They tell of the first window's time.
        headers=headers(),
        deadline=deadline,
        observe=context.metrics.observe_cut,
        held=held.pop_all(),
    )
