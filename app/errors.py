"""The errors of requests: each has a code, which clients read, and an HTTP status."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

STATUS: dict[str, int] = {"internal": 500}
"""Error code → HTTP status, of every class below."""


@dataclass(eq=False, repr=False)
class ServiceError(Exception):
    """Base class of every error that a client sees, and the error of a defect of the server."""

    code: ClassVar[str] = "internal"
    detail: str
    """One sentence: what was wrong, and what would be right."""
    _: KW_ONLY
    field: str | None = None
    """The member, parameter or header that is wrong."""
    index: int | None = None
    """Position of the wrong image or row, from 0."""
    limit: int | float | None = None
    """The limit that was exceeded."""
    retry_after: int | None = None
    """Whole seconds after which a retry may succeed."""

    def __init_subclass__(cls, code: str, status: int) -> None:
        cls.code = code
        STATUS[code] = status


class MalformedRequestError(ServiceError, code="malformed_request", status=400):
    """The body or its framing can't be parsed, or options appear in two places."""


class InvalidFieldError(ServiceError, code="invalid_field", status=422):
    """A field is missing, unknown, of the wrong type or shape, or out of its range."""


class InvalidImageError(ServiceError, code="invalid_picture", status=422):
    """The bytes are not a usable image."""


class ImageTooLargeError(ServiceError, code="picture_too_large", status=422):
    """An image's header announces more pixels than the server accepts."""


class BodyTooLargeError(ServiceError, code="body_too_large", status=413):
    """The body has more bytes than the server accepts."""


class BodyTimeoutError(ServiceError, code="body_timeout", status=408):
    """The body did not arrive within the request deadline."""


class UnsupportedMediaTypeError(ServiceError, code="unsupported_media_type", status=415):
    """The verb does not support the body's content type."""


class MethodNotAllowedError(ServiceError, code="method_not_allowed", status=405):
    """The route does not support the method."""


class NotAcceptableError(ServiceError, code="not_acceptable", status=406):
    """The verb has no response format that the Accept header allows."""


class NotFoundError(ServiceError, code="not_found", status=404):
    """No such route, or the serving bundle does not contain the requested data."""


class UnknownModelError(ServiceError, code="unknown_model", status=404):
    """No model has that name."""


class UnknownVersionError(ServiceError, code="unknown_version", status=404):
    """The model has no such version."""


class ModelUnavailableError(ServiceError, code="model_unavailable", status=503):
    """The model exists, but failed to load, is still loading or was unloaded."""


class UnsupportedByModelError(ServiceError, code="unsupported_by_model", status=409):
    """The model lacks what the request needs, such as a likelihood for a bound."""


class RequestTooLargeError(ServiceError, code="request_too_large", status=422):
    """The request costs more than the queue's whole capacity; the client must split it."""


class QueueFullError(ServiceError, code="queue_full", status=429):
    """The queue has no room for the request now."""


class DeadlineExceededError(ServiceError, code="deadline_exceeded", status=504):
    """The response was not ready within the request deadline."""


class ClientDisconnectedError(ServiceError, code="client_disconnected", status=499):
    """The client closed the connection before the response was ready.

    No client reads its status, which separates lost clients from failures in logs and metrics.
    """


class ForbiddenError(ServiceError, code="forbidden", status=403):
    """The operator has not enabled the requested operation."""


class NotImplementedByServiceError(ServiceError, code="not_implemented", status=501):
    """The service does not implement this part of a protocol."""


class ShuttingDownError(ServiceError, code="shutting_down", status=503):
    """The server is stopping and accepts no new work."""


class EngineFailedError(ServiceError, code="engine_failed", status=500):
    """The graph failed, or returned a wrong number of rows."""
