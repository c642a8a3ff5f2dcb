"""Errors as HTTP responses: the one place that gives an error its status and its envelope.

The envelope is ``{"error": {"message", "type", "param", "code"}}``; statuses and codes are those that openai-python 3.54
expects. docs/reference/errors.md has the same table; a test compares the two. Under ``/v1/messages`` it is Anthropic's
envelope, :class:`AnthropicError`.
"""

from __future__ import annotations

import logging
import math

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from kodo.server.lifecycle.errors import (
    Conflict,
    ContextLengthExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServiceError,
    StoreFailed,
    TooLarge,
    TooManyQueued,
    TooManyUploads,
)
from kodo.server.wire.decode import BadBody
from kodo.server.wire.echo import shorten_param

logger = logging.getLogger(__name__)


class Unauthorized(ServiceError):
    """No API key was sent, or an invalid one."""

    code = "invalid_api_key"


class RateLimited(ServiceError):
    """The key is over a limit. ``retry_after`` in seconds; ``headers`` name the limit."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = headers


class BudgetSpent(RateLimited):
    """The key has spent its tokens of a day or a month; ``retry_after`` until that is over."""

    code = "insufficient_quota"


class UnsupportedMediaType(ServiceError):
    """The body is not JSON."""

    code = "unsupported_media_type"


class UnknownUrl(NotFound):
    """No route has this path."""

    code = "unknown_url"


class UpgradeRequired(ServiceError):
    """WebSockets are switched off. Clients fall back to HTTP when they get this status (426)."""

    code = "websocket_not_supported"


STATUS: tuple[tuple[type[ServiceError], int, str], ...] = (
    (InvalidRequest, 400, "invalid_request_error"),
    (Unauthorized, 401, "authentication_error"),
    (PermissionDenied, 403, "permission_error"),
    (NotFound, 404, "invalid_request_error"),
    (Conflict, 409, "conflict_error"),
    (TooLarge, 413, "invalid_request_error"),
    (UnsupportedMediaType, 415, "invalid_request_error"),
    (UpgradeRequired, 426, "invalid_request_error"),
    (BudgetSpent, 429, "insufficient_quota"),
    (RateLimited, 429, "rate_limit_error"),
    (TooManyUploads, 429, "rate_limit_error"),
    (TooManyQueued, 429, "rate_limit_error"),
    (Overloaded, 503, "server_error"),
    (EngineFailed, 503, "server_error"),
    (StoreFailed, 500, "server_error"),
    (ServiceError, 500, "server_error"),
)
"""Class, status and type; the first match wins, and a base covers its subclasses. ``EngineFailed`` is 503, not 500: the
engine is restarted, so the client should try again."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a message for people, and a type and code for programs. ``param`` names the parameter at fault."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error response."""

    error: ErrorBody


class AnthropicErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The object under ``error``."""

    type: str
    message: str


class AnthropicError(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """The body of every error under ``/v1/messages``."""

    error: AnthropicErrorBody
    request_id: str | None = None


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
"""By status; any other below 500 is ``invalid_request_error``."""

_OVERLOADED = (Overloaded.code, EngineUnavailable.code)


def encode_envelope(envelope: Envelope, status: int, scope: Scope) -> bytes:
    """The envelope in the form of the API that a request came to."""
    path: str = scope["path"]
    if path != "/v1/messages" and not path.startswith("/v1/messages/"):
        return msgspec.json.encode(envelope)
    error = envelope.error
    if status < 500:
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error")
    else:
        kind = "overloaded_error" if error.code in _OVERLOADED else "api_error"
    message = error.message if error.param is None else f"{error.param}: {error.message}"
    if error.code == ContextLengthExceeded.code:
        message = f"prompt is too long: {error.message}"  # clients compact their history at these words
    return msgspec.json.encode(
        AnthropicError(
            error=AnthropicErrorBody(type=kind, message=message),
            request_id=scope.get("state", {}).get("request_id"),
        )
    )


def encode_error_event(error: ServiceError, scope: Scope) -> bytes:
    """An error in the middle of a stream of ``/v1/messages``, as a frame."""
    status, envelope = translate(error)
    return b"event: error\ndata: " + encode_envelope(envelope, status, scope) + b"\n\n"


def translate(error: ServiceError | BadBody) -> tuple[int, Envelope]:
    """Return the status and the envelope of an error."""
    if isinstance(error, BadBody):
        body = ErrorBody(
            message=error.message, type="invalid_request_error", param=error.param, code=error.code
        )
        return 400, Envelope(error=body)
    status, kind = next((status, kind) for cls, status, kind in STATUS if isinstance(error, cls))
    return status, Envelope(
        error=ErrorBody(message=error.message, type=kind, param=error.param, code=error.code)
    )


def headers_of(error: ServiceError | BadBody) -> dict[str, str]:
    """``retry-after`` and ``retry-after-ms`` where a retry helps; ``x-should-retry: false`` for a conflict."""
    headers = dict(error.headers) if isinstance(error, RateLimited) else {}
    retry_after = error.retry_after if isinstance(error, Overloaded | RateLimited) else None
    if isinstance(error, EngineFailed):
        retry_after = 1.0
    if retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(retry_after)))
        headers["retry-after-ms"] = str(max(1, round(retry_after * 1000)))
    if isinstance(error, Conflict):
        headers["x-should-retry"] = "false"
    if isinstance(error, UpgradeRequired):
        headers["upgrade"] = "HTTP/1.1"
    return headers


def error_response(error: ServiceError | BadBody, scope: Scope) -> Response:
    """Build the response for an error of a request."""
    status, envelope = translate(error)
    return Response(
        encode_envelope(envelope, status, scope),
        status,
        headers=headers_of(error),
        media_type="application/json",
    )


async def handle_service_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for :class:`ServiceError` and :class:`BadBody`."""
    assert isinstance(error, ServiceError | BadBody)  # noqa: S101 — registered for these two only
    return error_response(error, request.scope)


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own errors: an unknown route, a method that is not allowed."""
    assert isinstance(error, HTTPException)  # noqa: S101 — registered for this one only
    path = shorten_param(request.url.path)
    words = {
        404: (f"Unknown request URL: {request.method} {path}.", "unknown_url"),
        405: (f"Method not allowed: {request.method} {request.url.path}.", "method_not_allowed"),
    }
    message, code = words.get(error.status_code, (error.detail, "invalid_request"))
    body = Envelope(error=ErrorBody(message=message, type="invalid_request_error", code=code))
    headers = dict(error.headers or {})
    return Response(
        encode_envelope(body, error.status_code, request.scope),
        error.status_code,
        headers=headers,
        media_type="application/json",
    )


async def handle_unexpected_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for unexpected errors. Starlette logs the error; the response shows nothing of it.

    This response bypasses the middleware, so the request id is set here.
    """
    headers = {"x-request-id": request.state.request_id}
    body = encode_envelope(internal_error(), 500, request.scope)
    return Response(body, 500, headers=headers, media_type="application/json")


def internal_error() -> Envelope:
    """Return the envelope for an unexpected error, which shows nothing of its cause."""
    return Envelope(
        error=ErrorBody(message="The server had an internal error.", type="server_error", code="server_error")
    )
