"""The Open Inference Protocol, version 2, as Triton's clients speak it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from importlib.metadata import version as version_of

from fastapi import APIRouter, Request, Response

from app.api.dependencies import Context, context_of
from app.errors import ForbiddenError, ModelUnavailableError, NotImplementedByServiceError
from app.http.body import read_content
from app.http.deadline import Deadline
from app.http.routing import VerbRoute
from app.inference.engine import Engine
from app.protocols.oip import compression, metadata, openapi, requests
from app.protocols.oip import infer as inference
from app.protocols.oip.infer import document
from app.protocols.oip.model_names import Derived, bundle_of, derived_of, parse_name, parse_version
from app.protocols.oip.statistics import statistics_of
from app.protocols.oip.tensors import Members
from app.registry.catalog import Model

router = APIRouter(prefix="/v2", tags=[openapi.TAG], route_class=VerbRoute)

_MODEL, _VERSION = "/models/{model}", "/models/{model}/versions/{version}"

_Endpoint = Callable[[Request], Awaitable[Response]]


def _route(
    method: str, path: str, summary: str, errors: Iterable[int], body: openapi.Document | None
) -> Callable[[_Endpoint], _Endpoint]:
    return router.api_route(
        path,
        methods=[method],
        summary=summary,
        responses=openapi.errors(errors),
        openapi_extra=openapi.operation(path, body),
    )


@_route("POST", f"{_MODEL}/infer", "Run a model", *openapi.INFERENCE)
@_route("POST", f"{_VERSION}/infer", "Run a version of a model", *openapi.INFERENCE)
async def infer(request: Request) -> Response:
    """Tensors in, tensors out; JSON or binary, each way and for each output."""
    context = context_of(request)
    settings, offload = context.settings, context.offload
    derived, engine = _served(request, context)
    signature = derived.signature(engine.manifest)
    with (
        statistics_of(request).inference(derived, engine.version) as counted,
        ExitStack() as held,
        Deadline(request, settings.timeout) as deadline,
        context.service.permit() as permit,
    ):
        json_length = requests.header_length(request.scope)
        encoding = compression.encoding_of(request.scope)
        content = await read_content(request)
        deadline.body_is_complete()
        begun = time.perf_counter()
        if encoding is not None:
            content = await compression.inflate(
                content, encoding, settings.max_body_bytes, context.inflated, held, offload
            )
        limits = settings.max_n, settings.max_json_bytes
        asked = await offload(
            len(content), requests.parse, content, json_length, signature, *limits
        )
        counted.input.add(time.perf_counter() - begun)
        if asked.timeout is not None:
            deadline.shorten(asked.timeout)
        outputs = await inference.run(engine, permit, derived.kind, signature, asked.rows, offload)
        begun = time.perf_counter()
        size = sum(output.size for output in outputs.values())
        wanted = compression.wanted_encoding(request.scope)
        identity = derived.name, engine.version
        response = await offload(size, inference.response, identity, asked, outputs, wanted)
        counted.output.add(time.perf_counter() - begun)
        return response


@router.get("/health/live", summary="Is the server alive?")
async def live(request: Request) -> Response:
    """200 as long as the process turns its event loop."""
    return document({"live": True})


@router.get("/health/ready", summary="Is the server ready?", responses=openapi.errors((503,)))
async def ready(request: Request) -> Response:
    """200 when every required model serves."""
    if problems := context_of(request).problems():
        raise ModelUnavailableError("; ".join(problems), retry_after=1)
    return document({"ready": True})


@router.get("", summary="Describe the server")
@router.get("/", summary="Describe the server", include_in_schema=False)
async def server_metadata(request: Request) -> Response:
    """Name, version, and the extensions of the protocol that are there."""
    settings = context_of(request).settings
    return document(metadata.server(version_of("vaeserve"), repository_api=settings.repository_api))


@router.get("/models/stats", summary="Statistics of all models")
async def statistics_of_all(request: Request) -> Response:
    """Of every version that serves, in the process that answers."""
    models = context_of(request).registry.models.values()
    served = [
        (derived, number)
        for model in models
        for derived in derived_of(model.name)
        for number in _serving(model)
    ]
    return _statistics(request, served)


@_route("GET", f"{_MODEL}/ready", "Is a model ready?", *openapi.OF_MODELS)
@_route("GET", f"{_VERSION}/ready", "Is a version of a model ready?", *openapi.OF_MODELS)
async def model_ready(request: Request) -> Response:
    """200 when it serves."""
    derived, _ = _served(request, context_of(request))
    return document({"name": derived.name, "ready": True})


@_route("GET", _MODEL, "Describe a model's tensors", *openapi.OF_MODELS)
@_route("GET", _VERSION, "Describe the tensors of a version", *openapi.OF_MODELS)
async def model_metadata(request: Request) -> Response:
    """Its inputs and outputs; -1 is an axis of any length."""
    context = context_of(request)
    derived, engine = _served(request, context)
    versions = _serving(context.registry.models[derived.bundle])
    return document(metadata.metadata(derived, engine, versions))


@_route("GET", f"{_MODEL}/config", "A model's configuration", *openapi.OF_MODELS)
@_route("GET", f"{_VERSION}/config", "The configuration of a version", *openapi.OF_MODELS)
async def model_config(request: Request) -> Response:
    """As Triton words it, for clients that size their requests by it."""
    context = context_of(request)
    derived, engine = _served(request, context)
    return document(metadata.config(derived, engine, context.settings.max_n))


@_route("GET", f"{_MODEL}/stats", "Statistics of a model", *openapi.OF_MODELS)
@_route("GET", f"{_VERSION}/stats", "Statistics of a version", *openapi.OF_MODELS)
async def model_statistics(request: Request) -> Response:
    """Requests, batches and their times, in the process that answers."""
    context = context_of(request)
    derived, engine = _served(request, context)
    one = "version" in request.path_params
    numbers = [engine.version] if one else _serving(context.registry.models[derived.bundle])
    return _statistics(request, [(derived, number) for number in numbers])


@_route("POST", "/repository/index", "List the repository", *openapi.INDEX)
async def repository_index(request: Request) -> Response:
    """Every version of every model, with its state and why it does not serve."""
    context = context_of(request)
    asked = await _repository_request(request, context)
    models = context.registry.models.values()
    return document(metadata.index(models, only_ready=asked.ready))


@_route("POST", f"/repository{_MODEL}/load", "Load a model, or load it again", *openapi.REPOSITORY)
async def load(request: Request) -> Response:
    """Acts on the bundle, whichever of its models is named; off unless `VAE_REPOSITORY_API`."""
    context = context_of(request)
    parameters = await _repository_parameters(request, context)
    if any(name == "config" or name.startswith("file:") for name in parameters):
        msg = (
            "config and file overrides are not supported; put the changed bundle into the "
            "repository and load it"
        )
        raise NotImplementedByServiceError(msg, field="parameters")
    await context.registry.load(bundle_of(request.path_params["model"]))
    return Response()


@_route("POST", f"/repository{_MODEL}/unload", "Unload a model", *openapi.REPOSITORY)
async def unload(request: Request) -> Response:
    """Acts on the bundle, whichever of its models is named; off unless `VAE_REPOSITORY_API`."""
    context = context_of(request)
    await _repository_parameters(request, context)
    await context.registry.unload(bundle_of(request.path_params["model"]))
    return Response()


def _served(request: Request, context: Context) -> tuple[Derived, Engine]:
    """The model that the path names, and the engine that serves it."""
    derived = parse_name(request.path_params["model"])
    version = request.path_params.get("version")
    number = None if version is None else parse_version(version)
    return derived, context.registry.engine(derived.bundle, number)


def _serving(model: Model) -> list[int]:
    """The bundle's versions that serve."""
    return [version.number for version in model.versions if version.engine is not None]


def _statistics(request: Request, served: Iterable[tuple[Derived, int]]) -> Response:
    found = statistics_of(request)
    entries = [found.of(*one).document(one[0].name, one[1]) for one in served]
    return document({"model_stats": entries})


async def _repository_parameters(request: Request, context: Context) -> Members:
    if not context.settings.repository_api:
        msg = "loading and unloading over HTTP is off; the server's operator can set "
        raise ForbiddenError(msg + "VAE_REPOSITORY_API=true")
    return (await _repository_request(request, context)).parameters or {}


async def _repository_request(request: Request, context: Context) -> requests.RepositoryRequest:
    with Deadline(request, context.settings.timeout) as deadline:
        content = await read_content(request)
        deadline.body_is_complete()
    return requests.parse_repository(content, context.settings.max_json_bytes)
