"""The plain page at `/`, liveness, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.dependencies import ContextDep
from app.api.schemas import LiveAnswer, ReadyAnswer
from app.api.verbs import VERBS

router = APIRouter(tags=["Health"])

_PAGE = """\
vaeserve: variational autoencoders over HTTP

{verbs}
  POST /remote-vae/decode   latents to images, for diffusers
  POST /remote-vae/encode   images to latents, for diffusers

  GET  /v2                  the Open Inference Protocol and its routes
  GET  /docs                every route, with examples to try
  GET  /models              the models that are served
  GET  /readyz              whether the server can answer, and if not, why
  GET  /metrics             metrics for Prometheus
"""


@router.get("/", summary="What this is", response_class=PlainTextResponse)
async def root() -> PlainTextResponse:
    """A page of plain text that lists the routes."""
    verbs = "\n".join(f"  POST {verb.path:<20} {verb.about}" for verb in VERBS)
    return PlainTextResponse(_PAGE.format(verbs=verbs))


@router.get("/livez", summary="Is the process alive?")
async def livez() -> LiveAnswer:
    """Answers as long as the event loop runs, whatever the models do."""
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


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(context: ContextDep) -> Response:
    """The Prometheus text format."""
    return Response(context.metrics.render(), media_type=CONTENT_TYPE_LATEST)
