"""From the lifecycle's errors to a status and the envelope: total, and the only place that does it.

``{"error": {"message", "type", "param", "code"}}``, statuses and codes as openai-python 3.54 expects them
(docs/reference/errors.md has the table; a test holds the two together).
"""

from __future__ import annotations

import logging
import math

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.lifecycle.errors import (
    Conflict,
    EngineFailed,
    InvalidRequest,
    KodoError,
    NotFound,
    Overloaded,
    PermissionDenied,
    StoreFailed,
    TooLarge,
)
from kodo.server.wire.decode import BadBody

logger = logging.getLogger(__name__)


class Unauthorized(KodoError):
    """No key, or not a valid one."""

    code = "invalid_api_key"


class RateLimited(KodoError):
    """Over the key's limit. ``retry_after`` in seconds; ``headers`` say which limit."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = headers


class UnsupportedMediaType(KodoError):
    """The body is not JSON."""

    code = "unsupported_media_type"


class UpgradeRequired(KodoError):
    """A WebSocket was asked for where there is none: 426, which clients fall back from at once."""

    code = "websocket_not_supported"


STATUS: tuple[tuple[type[KodoError], int, str], ...] = (
    (InvalidRequest, 400, "invalid_request_error"),
    (Unauthorized, 401, "authentication_error"),
    (PermissionDenied, 403, "permission_error"),
    (NotFound, 404, "invalid_request_error"),
    (Conflict, 409, "conflict_error"),
    (TooLarge, 413, "invalid_request_error"),
    (UnsupportedMediaType, 415, "invalid_request_error"),
    (UpgradeRequired, 426, "invalid_request_error"),
    (RateLimited, 429, "rate_limit_error"),
    (Overloaded, 503, "server_error"),
    (EngineFailed, 503, "server_error"),
    (StoreFailed, 500, "server_error"),
    (KodoError, 500, "server_error"),
)
"""First match wins; subclasses are covered by their bases. A failed engine is restarted at once, so its requests are
told to come again."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under ``error``."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error."""

    error: ErrorBody


def translate(error: KodoError | BadBody) -> tuple[int, Envelope]:
    """Status and envelope of an error."""
    if isinstance(error, BadBody):
        body = ErrorBody(
            message=error.message, type="invalid_request_error", param=error.param, code=error.code
        )
        return 400, Envelope(error=body)
    status, kind = next((status, kind) for cls, status, kind in STATUS if isinstance(error, cls))
    return status, Envelope(
        error=ErrorBody(message=error.message, type=kind, param=error.param, code=error.code)
    )


def headers_of(error: KodoError | BadBody) -> dict[str, str]:
    """``retry-after`` and its finer twin where coming again helps; a hint to the SDK where it does not."""
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


def error_response(error: KodoError | BadBody) -> Response:
    """An error as an answer."""
    status, envelope = translate(error)
    return Response(
        msgspec.json.encode(envelope), status, headers=headers_of(error), media_type="application/json"
    )


async def on_known(request: Request, error: Exception) -> Response:
    """Starlette's handler for :class:`KodoError` and :class:`BadBody`."""
    assert isinstance(error, KodoError | BadBody)  # noqa: S101 — registered for these two only
    return error_response(error)


async def on_http(request: Request, error: Exception) -> Response:
    """Starlette's own errors: an unknown route, a wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 — registered for this one only
    words = {
        404: (f"Unknown request URL: {request.method} {request.url.path}.", "unknown_url"),
        405: (f"Not allowed: {request.method} {request.url.path}.", "method_not_allowed"),
    }
    message, code = words.get(error.status_code, (error.detail, "invalid_request"))
    body = Envelope(error=ErrorBody(message=message, type="invalid_request_error", code=code))
    headers = dict(error.headers or {})
    return Response(
        msgspec.json.encode(body), error.status_code, headers=headers, media_type="application/json"
    )


async def on_bug(request: Request, error: Exception) -> Response:
    """Anything else: Starlette raises it again, to the log; nothing of it leaves the server.

    This answer passes no middleware any more, so it names its request itself.
    """
    headers = {"x-request-id": request.state.request_id}
    return Response(
        msgspec.json.encode(internal_error()), 500, headers=headers, media_type="application/json"
    )


def internal_error() -> Envelope:
    """What is said of a bug."""
    return Envelope(
        error=ErrorBody(message="The server had an internal error.", type="server_error", code="server_error")
    )
