"""One error tree. Whatever goes wrong inside is one of these; the server maps each to a status, once.

::

    KodoError
    ├── InvalidRequest            the caller's fault: names the field                      400
    │   └── ContextLengthExceeded the prompt does not fit the window                       400
    ├── PermissionDenied          known, but not allowed                                   403
    ├── NotFound                  no such object, or somebody else's                       404
    ├── Conflict                  not in this state, or not while another writes           409
    ├── TooLarge                  a body or file over its limit                            413
    ├── Overloaded                the queue is full; try again after ``retry_after``       503
    ├── EngineUnavailable         the engine is not there (starting, restarting, gone)     503
    ├── EngineFailed              the engine broke off in the middle                       500
    └── StoreFailed               the database could not write or read                     500

Messages are for the caller: no path of the machine, no secret, no stack.
"""

from __future__ import annotations


class KodoError(Exception):
    """Base. ``code`` is the contract's machine-readable word, ``param`` the path of the field at fault."""

    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code


class InvalidRequest(KodoError):
    """The request cannot be honoured as it stands."""

    code = "invalid_value"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and window do not fit. ``window`` and ``needed`` in tokens."""

    code = "context_length_exceeded"

    def __init__(self, *, window: int, needed: int, param: str | None = "input") -> None:
        super().__init__(
            f"This model's context window is {window} tokens, but the request needs {needed}. "
            "Shorten the input, set truncation to 'auto', or serve a model with a larger window.",
            param=param,
        )
        self.window = window
        self.needed = needed


class PermissionDenied(KodoError):
    """The caller is known, but may not."""

    code = "permission_denied"


class NotFound(KodoError):
    """There is no such object for this caller."""

    code = "not_found"


class Conflict(KodoError):
    """The object is not in a state that allows this."""

    code = "conflict"


class TooLarge(KodoError):
    """Over a size limit."""

    code = "request_too_large"


class Overloaded(KodoError):
    """No room now. ``retry_after`` in seconds."""

    code = "server_overloaded"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineUnavailable(Overloaded):
    """The engine is not there."""

    code = "engine_unavailable"


class EngineFailed(KodoError):
    """The engine broke off."""

    code = "server_error"


class StoreFailed(KodoError):
    """State could not be written or read; nothing was acknowledged."""

    code = "server_error"
