"""Is the process alive, is it ready, and what do its figures say."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.dependencies import ContextDep
from app.api.schemas import LiveAnswer, ReadyAnswer

router = APIRouter(tags=["Health"])

_WHAT_THIS_IS = """\
vaeserve: variational autoencoders over HTTP

  POST /sample              draw images from the prior
  POST /encode              images to latents
  POST /decode              latents to images
  POST /reconstruct         images to their reconstructions
  POST /interpolate         images between two images, latents or seeds
  POST /score               how likely the model finds images
  POST /remote-vae/decode   latents to images, for diffusers
  POST /remote-vae/encode   images to latents, for diffusers

  GET  /v2                  the Open Inference Protocol, and what is there of it
  GET  /docs                every route, with examples to try
  GET  /models              what is served
  GET  /readyz              whether it can answer, and if not, why
  GET  /metrics             figures for Prometheus
"""


@router.get("/", summary="What this is", response_class=PlainTextResponse)
async def root() -> PlainTextResponse:
    """A page of plain text that names the routes."""
    return PlainTextResponse(_WHAT_THIS_IS)


@router.get("/livez", summary="Is the process alive?")
async def livez() -> LiveAnswer:
    """Answers as long as the event loop turns, whatever the models do."""
    return LiveAnswer()


@router.get(
    "/readyz",
    summary="Can it answer?",
    responses={503: {"model": ReadyAnswer, "description": "Not ready, with the reasons."}},
)
async def readyz(context: ContextDep, response: Response) -> ReadyAnswer:
    """200 when every required model serves, else 503 with the reasons; damaged versions as well."""
    problems = context.problems()
    if problems:
        response.status_code = 503
    return ReadyAnswer(
        status="not ready" if problems else "ready",
        problems=problems,
        warnings=context.registry.warnings(),
    )


@router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def metrics(context: ContextDep) -> Response:
    """The Prometheus text format."""
    return Response(context.metrics.render(), media_type=CONTENT_TYPE_LATEST)
