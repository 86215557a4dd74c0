"""The Open Inference Protocol, version 2, as Triton's clients speak it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from importlib.metadata import version as version_of

from fastapi import APIRouter, Request, Response

from app.api.dependencies import Context, context_of
from app.errors import ModelUnavailableError
from app.http.body import read_content
from app.http.deadline import Deadline
from app.http.routing import VerbRoute
from app.inference.engine import Engine
from app.protocols.oip import compression, metadata, openapi, requests
from app.protocols.oip import infer as inference
from app.protocols.oip.model_names import Derived, derived_of, parse_name, parse_version
from app.protocols.oip.statistics import statistics_of

router = APIRouter(prefix="/v2", tags=[openapi.TAG], route_class=VerbRoute)

_MODEL, _VERSION = "/models/{model}", "/models/{model}/versions/{version}"

_Endpoint = Callable[[Request], Awaitable[Response]]


def _of_models(end: str, of_model: str, of_version: str) -> Callable[[_Endpoint], _Endpoint]:
    """Adds an endpoint below a model and below each of its versions, with a summary for each."""

    def add(endpoint: _Endpoint) -> _Endpoint:
        for path, summary in ((_VERSION, of_version), (_MODEL, of_model)):
            router.get(
                path + end,
                summary=summary,
                responses=openapi.errors(openapi.OF_MODELS),
                openapi_extra=openapi.operation(path),
            )(endpoint)
        return endpoint

    return add


@router.post(
    f"{_MODEL}/infer",
    summary="Run a model",
    responses=openapi.errors(openapi.OF_INFERENCE),
    openapi_extra=openapi.operation(_MODEL, openapi.infer_body()),
)
@router.post(
    f"{_VERSION}/infer",
    summary="Run a version of a model",
    responses=openapi.errors(openapi.OF_INFERENCE),
    openapi_extra=openapi.operation(_VERSION, openapi.infer_body()),
)
async def infer(request: Request) -> Response:
    """Tensors in, tensors out; JSON or binary, each way and for each output."""
    context = context_of(request)
    derived, engine = _served(request, context)
    signature = derived.signature(engine.manifest)
    with (
        statistics_of(request).inference(derived, engine.version) as counted,
        ExitStack() as held,
        Deadline(request, context.settings.timeout) as deadline,
        context.service.permit() as permit,
    ):
        json_length = requests.header_length(request.scope)
        encoding = compression.encoding_of(request.scope)
        content = await read_content(request)
        deadline.body_is_complete()
        begun = time.perf_counter()
        if encoding is not None:
            content = await _inflated(content, encoding, context, held)
        settings = context.settings
        limits = requests.Limits(settings.max_n, settings.max_json_bytes)
        asked = await context.offload(
            len(content), requests.parse, content, json_length, signature, limits
        )
        counted.input.add(time.perf_counter() - begun)
        if asked.timeout is not None:
            deadline.shorten(asked.timeout)
        outputs = await inference.run(
            engine, permit, derived.kind, signature, asked.rows, context.offload
        )
        begun = time.perf_counter()
        response = await context.offload(
            sum(output.size for output in outputs.values()),
            inference.response,
            inference.Identity(derived.name, engine.version),
            asked,
            outputs,
            compression.wanted_encoding(request.scope),
        )
        counted.output.add(time.perf_counter() - begun)
        return response


@router.get("/health/live", summary="Is the server alive?")
async def live(request: Request) -> Response:
    """200 as long as the process turns its event loop."""
    return inference.document({"live": True})


@router.get("/health/ready", summary="Is the server ready?", responses=openapi.errors((503,)))
async def ready(request: Request) -> Response:
    """200 when every required model serves."""
    if problems := context_of(request).problems():
        raise ModelUnavailableError("; ".join(problems), retry_after=1)
    return inference.document({"ready": True})


@router.get("", summary="Describe the server")
@router.get("/", summary="Describe the server", include_in_schema=False)
async def server_metadata(request: Request) -> Response:
    """Name, version, and the extensions of the protocol that are there."""
    settings = context_of(request).settings
    described_as = metadata.server(version_of("vaeserve"), repository_api=settings.repository_api)
    return inference.document(described_as)


@router.get("/models/stats", summary="Statistics of all models")
async def statistics_of_all(request: Request) -> Response:
    """Of every version that serves, in the process that answers."""
    context = context_of(request)
    served = [
        (derived, version.number)
        for model in context.registry.models.values()
        for derived in derived_of(model.name)
        for version in model.versions
        if version.engine is not None
    ]
    return _statistics(request, served)


@_of_models("/ready", "Is a model ready?", "Is a version of a model ready?")
async def model_ready(request: Request) -> Response:
    """200 when it serves."""
    derived, _ = _served(request, context_of(request))
    return inference.document({"name": derived.name, "ready": True})


@_of_models("", "Describe a model's tensors", "Describe the tensors of a version")
async def model_metadata(request: Request) -> Response:
    """Its inputs and outputs; -1 is an axis of any length."""
    context = context_of(request)
    derived, engine = _served(request, context)
    return inference.document(metadata.metadata(derived, engine, _serving(context, derived)))


@_of_models("/config", "A model's configuration", "The configuration of a version")
async def model_config(request: Request) -> Response:
    """As Triton words it, for clients that size their requests by it."""
    context = context_of(request)
    derived, engine = _served(request, context)
    return inference.document(metadata.config(derived, engine, context.settings.max_n))


@_of_models("/stats", "Statistics of a model", "Statistics of a version")
async def model_statistics(request: Request) -> Response:
    """Requests, batches and their times, in the process that answers."""
    context = context_of(request)
    derived, engine = _served(request, context)
    if "version" in request.path_params:
        return _statistics(request, [(derived, engine.version)])
    return _statistics(request, [(derived, number) for number in _serving(context, derived)])


def _served(request: Request, context: Context) -> tuple[Derived, Engine]:
    """The model that the path names, and the engine that serves it."""
    derived = parse_name(request.path_params["model"])
    version = request.path_params.get("version")
    number = None if version is None else parse_version(version)
    return derived, context.registry.engine(derived.bundle, number)


def _serving(context: Context, derived: Derived) -> list[int]:
    """The bundle's versions that serve."""
    versions = context.registry.models[derived.bundle].versions
    return [version.number for version in versions if version.engine is not None]


def _statistics(request: Request, served: list[tuple[Derived, int]]) -> Response:
    entries = [
        statistics_of(request).of(derived, number).document(derived.name, number)
        for derived, number in served
    ]
    return inference.document({"model_stats": entries})


async def _inflated(content: bytes, encoding: str, context: Context, held: ExitStack) -> bytes:
    return await compression.inflate(
        content,
        encoding,
        limit=context.settings.max_body_bytes,
        buffered=context.inflated,
        held=held,
        offload=context.offload,
    )
