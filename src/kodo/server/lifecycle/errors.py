"""The server's error tree. :data:`kodo.server.http.errors.STATUS` gives each class its status.

::

    ServiceError                      an error that has no class of its own                  500
    ├── InvalidRequest                the request cannot be honoured; names the field        400
    │   ├── ContextLengthExceeded     the prompt does not fit the context window             400
    │   └── UnpairedCall              a call without its output, or an output without a call 400
    ├── PermissionDenied              the caller is known, but not allowed                   403
    ├── NotFound                      no such object, or one of another project              404
    ├── Conflict                      the object's state, or another writer, forbids it      409
    ├── TooLarge                      a body or file over its limit                          413
    ├── Overloaded                    no room; try again after ``retry_after`` seconds       503
    │   ├── TooManyQueued             the key has too much unfinished background work        429
    │   │   └── TooManyUploads        the key's open uploads are too many or too large       429
    │   └── EngineUnavailable         the engine is starting, restarting or gone             503
    ├── EngineFailed                  the engine broke off; it is restarted                  503
    └── StoreFailed                   the database could not write or read                   500

:mod:`kodo.server.http.errors` adds the errors of HTTP itself. Messages are for the caller: they hold no path of the
machine, no secret and no stack trace. The client's tree is another one: :class:`kodo.KodoError`.
"""

from __future__ import annotations

from kodo.server.wire.decode import BadBody
from kodo.server.wire.echo import shorten, shorten_param


class ServiceError(Exception):
    """Base of every error that the server reports. ``code`` is the machine-readable code, ``param`` the path of the
    field at fault."""

    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.message = shorten(message)
        super().__init__(self.message)
        self.param = shorten_param(param)
        self.code = code if code is not None else type(self).code


def rename_param(error: ServiceError | BadBody, new: str) -> None:
    """Name another field in an error: in ``param``, and in the message, where it stands in quotes."""
    error.message = error.message.replace(f"'{error.param}'", f"'{new}'")
    error.param = new
    error.args = (error.message,)


class InvalidRequest(ServiceError):
    """The request cannot be honoured as it stands."""

    code: str | None = "invalid_value"


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit the context window. ``window`` and ``needed`` in tokens."""

    code = "context_length_exceeded"

    def __init__(self, *, window: int, needed: int, param: str | None = "input") -> None:
        super().__init__(
            f"This model's context window is {window} tokens, but the request needs {needed}. "
            "Shorten the input, set truncation to 'auto', or serve a model with a larger window.",
            param=param,
        )
        self.window = window
        self.needed = needed


class UnpairedCall(InvalidRequest):
    """A call has no output, or an output no call. The hosted API gives it no code."""

    code = None


class PermissionDenied(ServiceError):
    """The caller is known, but not allowed to do this."""

    code = "permission_denied"


class NotFound(ServiceError):
    """There is no such object for this caller."""

    code = "not_found"


class Conflict(ServiceError):
    """The object is not in a state that allows this."""

    code = "conflict"


class TooLarge(ServiceError):
    """A body or file is over its size limit."""

    code = "request_too_large"


class Overloaded(ServiceError):
    """At capacity; try again after ``retry_after`` seconds."""

    code = "server_overloaded"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyQueued(Overloaded):
    """The caller's key has too much that is not over: background work."""

    code = "too_many_background_responses"


class TooManyUploads(TooManyQueued):
    """The caller's key has too many open uploads, or they hold too many bytes."""

    code = "too_many_uploads"


class EngineUnavailable(Overloaded):
    """The engine is starting, restarting or gone."""

    code = "engine_unavailable"


class EngineFailed(ServiceError):
    """The engine broke off while it answered."""

    code = "server_error"


class StoreFailed(ServiceError):
    """The database could not write or read; nothing was acknowledged."""

    code = "server_error"
