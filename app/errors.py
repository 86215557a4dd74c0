"""Errors that a request can meet, without HTTP. `app.http.problems` maps each code to a status."""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """Base of every error that a caller is told about.

    Args:
        detail: one sentence: what was wrong, and what would be right.
        field: the member, parameter or header it is about.
        index: position of the image or row it is about, from 0.
        limit: the limit that was passed.
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
    """The body or its framing can't be parsed, or options came twice."""

    code = "malformed_request"


class InvalidFieldError(ServiceError):
    """A field is missing, unknown, of the wrong type or shape, or out of its range."""

    code = "invalid_field"


class InvalidImageError(ServiceError):
    """The bytes are no usable image."""

    code = "invalid_picture"


class ImageTooLargeError(ServiceError):
    """An image's header announces more pixels than the server decodes."""

    code = "picture_too_large"


class BodyTooLargeError(ServiceError):
    """The body has more bytes than the server takes."""

    code = "body_too_large"


class BodyTimeoutError(ServiceError):
    """The body did not arrive within the request deadline."""

    code = "body_timeout"


class UnsupportedMediaTypeError(ServiceError):
    """The body's content type is not one that the verb takes."""

    code = "unsupported_media_type"


class NotAcceptableError(ServiceError):
    """No answer format of the verb fits the Accept header."""

    code = "not_acceptable"


class NotFoundError(ServiceError):
    """The bundle that serves does not keep what was asked for."""

    code = "not_found"


class UnknownModelError(ServiceError):
    """No model of that name."""

    code = "unknown_model"


class UnknownVersionError(ServiceError):
    """The model has no such version."""

    code = "unknown_version"


class ModelUnavailableError(ServiceError):
    """The model is known and can't serve, is still loading, or was unloaded."""

    code = "model_unavailable"


class UnsupportedByModelError(ServiceError):
    """The model lacks what the request needs, such as a likelihood for a bound."""

    code = "unsupported_by_model"


class RequestTooLargeError(ServiceError):
    """The request costs more than the whole queue holds; it must be split."""

    code = "request_too_large"


class QueueFullError(ServiceError):
    """The queue has no room for the request now."""

    code = "queue_full"


class DeadlineExceededError(ServiceError):
    """The answer was not ready within the request deadline."""

    code = "deadline_exceeded"


class ClientDisconnectedError(ServiceError):
    """The caller closed the connection before the answer was ready."""

    code = "client_disconnected"


class ForbiddenError(ServiceError):
    """The operator has not switched on what was asked for."""

    code = "forbidden"


class NotImplementedByServiceError(ServiceError):
    """A part of a protocol that this service does not have."""

    code = "not_implemented"


class ShuttingDownError(ServiceError):
    """The server is stopping and takes no new work."""

    code = "shutting_down"


class EngineFailedError(ServiceError):
    """The graph failed, or answered with a wrong number of rows."""

    code = "engine_failed"
