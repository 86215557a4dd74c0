"""The repository over the Open Inference Protocol: what there is, loading and unloading."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api.dependencies import Context, context_of
from app.errors import (
    BodyTooLargeError,
    ForbiddenError,
    InvalidFieldError,
    NotImplementedByServiceError,
)
from app.http.body import parse_object, read_content
from app.http.deadline import Deadline
from app.http.routing import VerbRoute
from app.protocols.oip import metadata, openapi
from app.protocols.oip.infer import document
from app.protocols.oip.model_names import bundle_of

router = APIRouter(prefix="/v2/repository", tags=[openapi.TAG], route_class=VerbRoute)

_MODEL = "/models/{model}"
_MOST_VALUES = 4096
_PARAMETERS = openapi.json_body(parameters={"type": "object"})


@router.post(
    "/index",
    summary="List the repository",
    responses=openapi.errors(openapi.OF_INDEX),
    openapi_extra=openapi.operation("", openapi.json_body(ready={"type": "boolean"})),
)
async def repository_index(request: Request) -> Response:
    """Every version of every model, with its state and why it does not serve."""
    context = context_of(request)
    members = await _members(request, context)
    only_ready = members.get("ready", False)
    if not isinstance(only_ready, bool):
        raise InvalidFieldError("ready must be true or false", field="ready")
    models = context.registry.models.values()
    return document(metadata.index(models, only_ready=only_ready))


@router.post(
    f"{_MODEL}/load",
    summary="Load a model, or load it again",
    responses=openapi.errors(openapi.OF_REPOSITORY),
    openapi_extra=openapi.operation(_MODEL, _PARAMETERS),
)
async def load(request: Request) -> Response:
    """Acts on the bundle, whichever of its models is named; off unless `VAE_REPOSITORY_API`."""
    context = context_of(request)
    parameters = await _repository_parameters(request, context)
    if any(name == "config" or name.startswith("file:") for name in parameters):
        msg = (
            "a model is loaded as its bundle is: config and file overrides are not served; put "
            "the bundle into the repository and load it"
        )
        raise NotImplementedByServiceError(msg, field="parameters")
    await context.registry.load(bundle_of(request.path_params["model"]))
    return Response()


@router.post(
    f"{_MODEL}/unload",
    summary="Unload a model",
    responses=openapi.errors(openapi.OF_REPOSITORY),
    openapi_extra=openapi.operation(_MODEL, _PARAMETERS),
)
async def unload(request: Request) -> Response:
    """Acts on the bundle, whichever of its models is named; off unless `VAE_REPOSITORY_API`."""
    context = context_of(request)
    await _repository_parameters(request, context)
    await context.registry.unload(bundle_of(request.path_params["model"]))
    return Response()


async def _repository_parameters(request: Request, context: Context) -> dict[str, object]:
    if not context.settings.repository_api:
        msg = "loading and unloading over HTTP is off; the server's operator can set "
        raise ForbiddenError(msg + "VAE_REPOSITORY_API=true")
    members = await _members(request, context)
    parameters = members.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidFieldError("parameters must be an object", field="parameters")
    return parameters


async def _members(request: Request, context: Context) -> dict[str, object]:
    """The members of a JSON body that may be empty."""
    with Deadline(request, context.settings.timeout) as deadline:
        content = await read_content(request)
        deadline.body_is_complete()
    limit = context.settings.max_json_bytes
    if len(content) > limit:
        msg = f"a JSON body has at most {limit} bytes"
        raise BodyTooLargeError(msg, field="body", limit=limit)
    if not content.strip():
        return {}
    bounds = {"max_values": _MOST_VALUES, "max_containers": _MOST_VALUES}
    return parse_object(content, **bounds)
