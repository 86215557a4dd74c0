"""The images between two ends over HTTP: parse, call the service, format."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request, Response

from app.api import intake, openapi, responses
from app.api.dependencies import Context, context_of
from app.api.ends import Ends, parse_ends
from app.api.schemas import InterpolateAnswer
from app.codecs.images import ANIMATION_WEIGHT
from app.http.headers import GIF, JSON, NPY, PNG, WEBP, accept_of, choose
from app.http.routing import VerbRoute
from app.inference.engine import Engine
from model.images.fitting import Fitted
from model.pixels import Floats, Images

router = APIRouter(tags=["VAE"], route_class=VerbRoute)

_FORMATS = (JSON, PNG, NPY, GIF, WEBP)


@router.post(
    "/interpolate",
    summary="Go from one image, latent or seed to another",
    responses=openapi.responses(InterpolateAnswer, _FORMATS, openapi.IMAGE_ERRORS),
    openapi_extra=openapi.ends_body(),
)
async def interpolate(request: Request) -> Response:
    """Decodes latents on the way between two ends: two images, two latents, or two seeds."""
    context = context_of(request)
    media_type = choose(accept_of(request), _FORMATS)
    engine = intake.engine(request, context)
    with intake.deadline(request, context) as deadline, context.service.permit() as permit:
        body = await intake.body(request, context, deadline)
        options, ends = await context.offload(
            len(body.content), parse_ends, request, body, engine.manifest.latent_axes
        )
        between, fitted = await _ends(context, engine, ends)
        result = await context.service.interpolate(
            engine, permit, between, steps=options.steps, path=options.path
        )
        weight = ANIMATION_WEIGHT if media_type in (GIF, WEBP) else 1
        return await context.offload(
            weight * result.images.size,
            responses.interpolate,
            engine,
            result,
            options,
            ends.seeds,
            fitted,
            media_type,
        )


async def _ends(
    context: Context, engine: Engine, ends: Ends
) -> tuple[Images | Floats, list[Fitted] | None]:
    """The ends as the service takes them, and the images that they came from.

    A seed is its row 0, the latent that `/sample` draws first.
    """
    if ends.images is not None:
        fitted = await intake.fitted(context, engine, ends.images)
        return intake.stacked(fitted), fitted
    if ends.seeds is not None:
        return engine.prior.draw(ends.seeds, (0, 0), np.ones(2, np.float32)), None
    assert ends.latents is not None  # noqa: S101 one of the three is there
    return ends.latents, None
