"""The ways in which the fault server can go wrong: one frozen value each, a closed union."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refuse:
    """Answer with an error status and the envelope."""

    status: int
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    kind: str = "server_error"
    message: str = "refused by plan"


@dataclass(frozen=True)
class Reset:
    """Read the request, then reset the connection (RST) without a byte of answer."""


@dataclass(frozen=True)
class Stall:
    """Answer nothing for `seconds`, then close. The client is expected to lose patience first."""

    seconds: float = 30.0


@dataclass(frozen=True)
class Cut:
    """Begin a good answer and cut it: a stream after `events` events, a plain body after half its bytes.

    `reset` tells a reset from an orderly end of the connection; for a stream the latter is a chunked body that
    ends as it should, but without a terminal event.
    """

    events: int = 0
    reset: bool = True


@dataclass(frozen=True)
class StallStream:
    """Send `events` events, then nothing for `seconds`. A plain request stalls as with `Stall`."""

    events: int = 1
    seconds: float = 30.0


@dataclass(frozen=True)
class WrongBody:
    """Answer 200 with a body that is not a Response (or, streamed, not an event)."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class FailEvent:
    """Streamed: `response.failed` after the first delta. Plain: a Response with status `failed`."""

    code: str = "server_error"


Fault = Refuse | Reset | Stall | Cut | StallStream | WrongBody | FailEvent
