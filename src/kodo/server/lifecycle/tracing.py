"""Where a response's time went, as spans: a port that does nothing until start-up puts a tracer in.

The lifecycle, the engines and the store's callers say what they do through :func:`span`, :func:`record` and
:func:`outgoing_headers`; what a span is and where it goes is known to the tracer alone
(:mod:`kodo.server.http.tracing`). A text of a prompt or an answer is given to it by :func:`add_content` alone: where the
tracer wants it, and start-up has lent what masks secrets in it (:func:`lend_mask`). The current span travels with the task, as
the standard library's context variables do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

Attributes: TypeAlias = Mapping[str, str | int | float | bool]


Mask: TypeAlias = Callable[[str], str]


class Tracer(Protocol):
    """Makes spans."""

    @property
    def wants_content(self) -> bool:
        """Whether the texts of prompts and answers are to be in them."""

    def add(self, attributes: Attributes) -> None:
        """Attributes for the current span; :data:`~kodo.server.lifecycle.genai.ERROR_TYPE` says that it failed."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[None]:
        """A span around a block, below the current one. An exception that leaves the block is its error."""

    def record(self, name: str, start: float, end: float, attributes: Attributes) -> None:
        """A span that is over, below the current one. Times in seconds since the epoch."""

    def outgoing_headers(self) -> Mapping[str, str]:
        """The headers that a request to another server carries: ``traceparent`` and ``tracestate``."""


_NO_SPAN = contextlib.nullcontext()


class NoTracer:
    """Nothing is traced."""

    wants_content = False

    def add(self, attributes: Attributes) -> None:
        """Do nothing."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[None]:
        """Do nothing."""
        return _NO_SPAN

    def record(self, name: str, start: float, end: float, attributes: Attributes) -> None:
        """Do nothing."""

    def outgoing_headers(self) -> Mapping[str, str]:
        """None."""
        return {}


_tracer: Tracer = NoTracer()
_mask: Mask | None = None


def install(tracer: Tracer) -> None:
    """Trace with this from now on; for start-up, and for tests."""
    global _tracer  # noqa: PLW0603 - one tracer for the process, as OpenTelemetry itself has it
    _tracer = tracer


def lend_mask(mask: Mask) -> None:
    """Mask the secrets in texts with this; the server itself does not know how, and shows no text without it."""
    global _mask  # noqa: PLW0603 - as the tracer
    _mask = mask


def add_content(make: Callable[[Mask], Attributes]) -> None:
    """Add texts to the current span, if the tracer wants any; they are not made otherwise."""
    if _tracer.wants_content and _mask is not None:
        _tracer.add(make(_mask))


def is_on() -> bool:
    """Whether anything is traced: attributes need not be put together for nothing."""
    return not isinstance(_tracer, NoTracer)


def add(attributes: Attributes) -> None:
    """See :class:`Tracer`."""
    _tracer.add(attributes)


def span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[None]:
    """See :class:`Tracer`."""
    return _tracer.span(name, attributes or {})


def record(name: str, start: float, end: float, attributes: Attributes | None = None) -> None:
    """See :class:`Tracer`."""
    _tracer.record(name, start, end, attributes or {})


def outgoing_headers() -> Mapping[str, str]:
    """See :class:`Tracer`."""
    return _tracer.outgoing_headers()
