"""The answer to one request as it arrives: bytes of an exchange in, batches of events out.

Knows no URL and no profile; what the events mean is the reader's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from kodo.server.engines.http_client import ConnectionLost, HttpExchange
from kodo.server.engines.upstream.sse import EventParser
from kodo.server.engines.upstream.unknown_tools import UnknownCall
from kodo.server.lifecycle.errors import EngineFailed, EngineUnavailable, ServiceError
from kodo.server.lifecycle.ports import EngineEvent

MAX_WHOLE_BYTES: Final = 64 * 2**20


class AnswerReader(Protocol):
    """Reads one answer: :class:`ChatStream` or :class:`ResponsesStream`."""

    done: bool

    @property
    def ended(self) -> bool:
        """Whether the server said why the answer ended: all of it is here."""

    @property
    def unknown_calls(self) -> list[UnknownCall]:
        """Calls of tools that were not offered, where nothing else was called."""

    @property
    def unopened_thoughts(self) -> bool | None:
        """Whether the text began with thoughts that no mark had opened. None: it does not show."""

    def decode(self, batch: Sequence[bytes]) -> Sequence[Any]:
        """The data of events that arrived together, in the form in which :meth:`feed` takes them fastest."""

    def feed(self, data: Any) -> list[EngineEvent]:
        """The events that one event of the server stands for; its data, or what :meth:`decode` made of it."""

    def finish(self, estimate: int, cap: int | None) -> list[EngineEvent]:
        """The last events, ``Finished`` among them."""


class Incoming:
    """The events of an answer whose head is here. Read :meth:`next_batch` until it is None, then :meth:`close`."""

    def __init__(self, exchange: HttpExchange, reader: AnswerReader) -> None:
        self.reader = reader
        self._exchange = exchange
        self._parser = EventParser()
        self._begun = False
        self._failure: ServiceError | None = None
        """Of an event behind those that were given out."""

    async def next_batch(self) -> list[EngineEvent] | None:
        """Events that arrived together, at least one; None: there are no more.

        Raises:
            EngineUnavailable: it is a web page, or the server broke off before the answer began.
            EngineFailed, InvalidRequest: the server broke off in the middle of it, or sent an error.
        """
        if self._failure is not None:
            raise self._failure
        form = self._exchange.headers.get("content-type", "")
        try:
            if "event-stream" not in form and not self.reader.done:
                if "text/html" in form:
                    raise EngineUnavailable(
                        "The model's server sent a web page in place of an answer; the URL in this server's settings may be wrong."
                    )
                if "json" in form:  # the server does not stream
                    events = self.reader.feed(await self._exchange.read(MAX_WHOLE_BYTES))
                    self.reader.done = True
                    return events or None
            return await self._next_events()
        except ConnectionLost as error:
            if self.reader.ended:
                return None  # nothing of the answer is missing
            if self._begun:
                raise EngineFailed("The model's server broke off in the middle of the answer.") from error
            raise EngineUnavailable("The model's server cannot be reached.") from error

    def close(self) -> None:
        """Give the connection back, or drop it where the answer is not whole. May be called again."""
        self._exchange.close(drain=self.reader.done)

    async def _next_events(self) -> list[EngineEvent] | None:
        while not self.reader.done:
            received = await self._exchange.next_piece()
            batch = self._parser.flush() if received is None else self._parser.feed(received)
            self._begun = self._begun or bool(batch)
            events: list[EngineEvent] = []
            try:
                for data in self.reader.decode(batch):
                    events += self.reader.feed(data)
            except ServiceError as error:
                if not events:
                    raise
                self._failure = error
            if events or received is None:
                return events or None
        return None
