"""Turns errors into responses: the table from code to status, and each protocol's JSON."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.errors import BodyTimeoutError, ServiceError

MEDIA_TYPE = "application/problem+json"

CLIENT_CLOSED_REQUEST = 499
"""No client reads this status; it separates lost clients from failures in logs and metrics."""

SENT_METHOD = "vaeserve.method"
"""The key in a request's scope for the method that was sent, if it is routed as another."""

STATUS: dict[str, int] = {
    "malformed_request": 400,
    "forbidden": 403,
    "not_found": 404,
    "unknown_model": 404,
    "unknown_version": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "body_timeout": 408,
    "unsupported_by_model": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_field": 422,
    "invalid_picture": 422,
    "picture_too_large": 422,
    "request_too_large": 422,
    "queue_full": 429,
    "client_disconnected": CLIENT_CLOSED_REQUEST,
    "internal": 500,
    "engine_failed": 500,
    "not_implemented": 501,
    "model_unavailable": 503,
    "shutting_down": 503,
    "deadline_exceeded": 504,
}

INFERENCE_PROTOCOL = "/v2"
"""Below this path every error has the shape of the Open Inference Protocol."""

_STATUS_OF_INFERENCE = {409: 400, 422: 400}
"""The protocol uses 400 for every error in a request's content."""

_CODES_OF_ROUTING = {404: "not_found", 405: "method_not_allowed"}


def problem(
    code: str,
    detail: str,
    *,
    request_id: str | None = None,
    headers: dict[str, str] | None = None,
    **members: str | float | None,
) -> Response:
    """Returns a problem document (RFC 9457) without the `members` that are None."""
    status = STATUS[code]
    document = {
        "type": f"urn:vaeserve:problem:{code}",
        "title": title(code),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        **members,
    }
    content = orjson.dumps({key: value for key, value in document.items() if value is not None})
    return Response(content, status, headers, media_type=MEDIA_TYPE)


def error_answer(
    scope: Scope,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **members: str | float | None,
) -> Response:
    """Returns a problem document, or `{"error": detail}` for paths of the inference protocol."""
    path: str = scope["path"]
    if path == INFERENCE_PROTOCOL or path.startswith(INFERENCE_PROTOCOL + "/"):
        status = _STATUS_OF_INFERENCE.get(STATUS[code], STATUS[code])
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers = {"Retry-After": "1", **(headers or {})}
        content = orjson.dumps({"error": detail})
        return Response(content, status, headers, media_type="application/json")
    return problem(code, detail, request_id=request_id_of(scope), headers=headers, **members)


def title(code: str) -> str:
    """Returns the title of a code, the code in words."""
    return code.replace("_", " ").capitalize()


async def on_service_error(request: Request, error: Exception) -> Response:
    """Answers a `ServiceError`."""
    assert isinstance(error, ServiceError)  # noqa: S101 registered for this type
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if isinstance(error, BodyTimeoutError):
        headers["Connection"] = "close"  # the server does not wait for the rest of the body
    return error_answer(
        request.scope,
        error.code,
        error.detail,
        headers=headers,
        field=error.field,
        index=error.index,
        bound=error.limit,
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answers unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 registered for this type
    method = request.scope.get(SENT_METHOD, request.method)
    code = _CODES_OF_ROUTING.get(error.status_code, "malformed_request")
    detail = {
        "not_found": f"{request.url.path} does not exist; see /docs",
        "method_not_allowed": f"{request.url.path} does not support {method}",
    }.get(code, HTTPStatus(error.status_code).phrase)
    return error_answer(request.scope, code, detail, headers=dict(error.headers or {}))


def request_id_of(scope: Scope) -> str | None:
    """Returns the request id that the access log set."""
    value: object = scope.get("state", {}).get("request_id")
    return value if isinstance(value, str) else None
