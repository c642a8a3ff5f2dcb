"""News between nodes, over a connection that only the test knows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from kodo.server.store.postgres.news import EVERYBODY, MAX_PAYLOAD, PostgresNews


class FakeRaw:
    """A connection of psycopg: what is said on it is heard on it. Its first statement fails in a way nobody thought of."""

    def __init__(self) -> None:
        self.failures = 2
        """One for each thread."""
        self.payloads: list[str] = []
        self._new = threading.Event()

    def execute(self, sql: Any, values: tuple[str, str] | None = None) -> None:
        """LISTEN, or the statement that notifies."""
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a defect")
        if values is not None:
            self.payloads.append(values[1])
            self._new.set()

    def notifies(self, timeout: float) -> Iterator[Any]:
        """What was said since."""
        if self._new.wait(timeout):
            self._new.clear()
            yield SimpleNamespace(payload=self.payloads[-1])

    def close(self) -> None:
        """It is opened again by the next one who needs it."""


async def test_no_error_ends_the_threads_that_say_and_hear_news() -> None:
    """Both go on after a pause; too many names for one message are everybody's, whatever letters they have."""
    raw, heard = FakeRaw(), []
    news = PostgresNews(lambda: SimpleNamespace(raw=raw), heard.append)  # type: ignore[arg-type,return-value]  # as much as is used
    try:
        async with asyncio.timeout(30):
            while "resp_1" not in heard:
                news.say("resp_1")
                await asyncio.sleep(0.05)
        news.say(*(f"{number:06}{'語' * 10}" for number in range(MAX_PAYLOAD // 30)))
        async with asyncio.timeout(30):
            while heard[-1] != EVERYBODY:
                await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(news.stop)
