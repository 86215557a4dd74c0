"""Turns errors into responses: problem documents, and the JSON of the inference protocol."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.errors import (
    STATUS,
    BodyTimeoutError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    ServiceError,
)

MEDIA_TYPE = "application/problem+json"

SENT_METHOD = "vaeserve.method"
"""The key in a request's scope for the method that was sent, if it is routed as another."""

INFERENCE_PROTOCOL = "/v2"
"""Below this path every error has the shape of the Open Inference Protocol."""

_STATUS_OF_INFERENCE = {409: 400, 422: 400}
"""The protocol uses 400 for every error in a request's content."""


def error_answer(
    scope: Scope, error: ServiceError, headers: dict[str, str] | None = None
) -> Response:
    """Returns a problem document (RFC 9457) without members that are None, or
    `{"error": detail}` for paths of the inference protocol."""
    headers, status = dict(headers or {}), STATUS[error.code]
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, BodyTimeoutError):
        headers["Connection"] = "close"  # the server does not wait for the rest of the body
    path: str = scope["path"]
    if path == INFERENCE_PROTOCOL or path.startswith(INFERENCE_PROTOCOL + "/"):
        status = _STATUS_OF_INFERENCE.get(status, status)
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers.setdefault("Retry-After", "1")
        content = orjson.dumps({"error": error.detail})
        return Response(content, status, headers, media_type="application/json")
    document = {
        "type": f"urn:vaeserve:problem:{error.code}",
        "title": title(error.code),
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "request_id": scope.get("state", {}).get("request_id"),
        "field": error.field,
        "index": error.index,
        "bound": error.limit,
    }
    content = orjson.dumps({key: value for key, value in document.items() if value is not None})
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def title(code: str) -> str:
    """Returns the title of a code, the code in words."""
    return code.replace("_", " ").capitalize()


async def on_service_error(request: Request, error: Exception) -> Response:
    """Answers a `ServiceError`."""
    assert isinstance(error, ServiceError)  # noqa: S101 registered for this type
    return error_answer(request.scope, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answers unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 registered for this type
    path, method = request.url.path, request.scope.get(SENT_METHOD, request.method)
    answer: ServiceError = MalformedRequestError(HTTPStatus(error.status_code).phrase)
    if error.status_code == HTTPStatus.NOT_FOUND:
        answer = NotFoundError(f"{path} does not exist; see /docs")
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer = MethodNotAllowedError(f"{path} does not support {method}")
    return error_answer(request.scope, answer, dict(error.headers or {}))
