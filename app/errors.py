"""The errors of requests, without HTTP; `app.http.problems` maps each code to a status."""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """Base class of every error that a client sees.

    Args:
        detail: one sentence: what was wrong, and what would be right.
        field: the member, parameter or header that is wrong.
        index: position of the wrong image or row, from 0.
        limit: the limit that was exceeded.
        retry_after: whole seconds after which a retry may succeed.
    """

    code: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        index: int | None = None,
        limit: int | float | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.index = index
        self.limit = limit
        self.retry_after = retry_after


class MalformedRequestError(ServiceError):
    """The body or its framing can't be parsed, or options appear in two places."""

    code = "malformed_request"


class InvalidFieldError(ServiceError):
    """A field is missing, unknown, of the wrong type or shape, or out of its range."""

    code = "invalid_field"


class InvalidImageError(ServiceError):
    """The bytes are not a usable image."""

    code = "invalid_picture"


class ImageTooLargeError(ServiceError):
    """An image's header announces more pixels than the server accepts."""

    code = "picture_too_large"


class BodyTooLargeError(ServiceError):
    """The body has more bytes than the server accepts."""

    code = "body_too_large"


class BodyTimeoutError(ServiceError):
    """The body did not arrive within the request deadline."""

    code = "body_timeout"


class UnsupportedMediaTypeError(ServiceError):
    """The verb does not support the body's content type."""

    code = "unsupported_media_type"


class NotAcceptableError(ServiceError):
    """The verb has no response format that the Accept header allows."""

    code = "not_acceptable"


class NotFoundError(ServiceError):
    """The serving bundle does not contain the requested data."""

    code = "not_found"


class UnknownModelError(ServiceError):
    """No model has that name."""

    code = "unknown_model"


class UnknownVersionError(ServiceError):
    """The model has no such version."""

    code = "unknown_version"


class ModelUnavailableError(ServiceError):
    """The model exists, but failed to load, is still loading or was unloaded."""

    code = "model_unavailable"


class UnsupportedByModelError(ServiceError):
    """The model lacks what the request needs, such as a likelihood for a bound."""

    code = "unsupported_by_model"


class RequestTooLargeError(ServiceError):
    """The request costs more than the queue's whole capacity; the client must split it."""

    code = "request_too_large"


class QueueFullError(ServiceError):
    """The queue has no room for the request now."""

    code = "queue_full"


class DeadlineExceededError(ServiceError):
    """The response was not ready within the request deadline."""

    code = "deadline_exceeded"


class ClientDisconnectedError(ServiceError):
    """The client closed the connection before the response was ready."""

    code = "client_disconnected"


class ForbiddenError(ServiceError):
    """The operator has not enabled the requested operation."""

    code = "forbidden"


class NotImplementedByServiceError(ServiceError):
    """The service does not implement this part of a protocol."""

    code = "not_implemented"


class ShuttingDownError(ServiceError):
    """The server is stopping and accepts no new work."""

    code = "shutting_down"


class EngineFailedError(ServiceError):
    """The graph failed, or returned a wrong number of rows."""

    code = "engine_failed"
