"""A server among others on one store: it takes up what the dead have left, does what it is asked, and ends if it is cut off.

Who works on a row is written in the row; this only acts on it. On a store of its own a server has nothing to do here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.store_ports import SharedStore
from kodo.server.lifecycle.supervised import cancel, supervise

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
"""Pause between two looks for work that nobody does."""
WORK: Final = "work"
"""The news that a server has handed work over."""
POLL_SECONDS: Final = 1.0
"""Pause between two looks for requests of other servers, where no news come."""

Adopt: TypeAlias = Callable[[], Awaitable[None]]
Answer: TypeAlias = Callable[[str, bytes], Awaitable[None]]


class Cluster:
    """This server's part in it.

    Args:
        adopt: take up unfinished work of one kind that no server has.
        answer: do what another server asks, by the kind of the request, with the id and the body.
        cut_off: called once, when another server has taken this one for dead.
    """

    def __init__(
        self,
        store: SharedStore,
        *,
        adopt: Sequence[Adopt],
        answer: Mapping[str, Answer],
        cut_off: Callable[[], None],
    ) -> None:
        self._store = store
        self._adopt = adopt
        self._answer = answer
        self._cut_off = cut_off
        self._adopting = False
        """Whether a takeover was begun, and not all of it is done."""
        self._tasks: list[asyncio.Task[None]] = []
        self._answers: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin, where the store is shared."""
        if self._store.shared:
            self._tasks = [
                supervise("the takeover of other servers' work", self._take_over),
                supervise("requests of other servers", self._do_requests),
                asyncio.create_task(self._watch(), name="the server's lease"),
            ]

    async def close(self) -> None:
        """Stop."""
        for task in (*self._tasks, *self._answers):
            await cancel(task)

    async def _take_over(self) -> None:
        if self._adopting or await self._store.work_is_left():
            self._adopting = True  # the store tells of a departure once
            for adopt in self._adopt:
                await adopt()
            self._adopting = False
        await self._store.wait_for_news(WORK, SWEEP_SECONDS)

    async def _do_requests(self) -> None:
        for kind, id_, body in await self._store.requests():
            task = asyncio.create_task(self._do(kind, id_, body))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
        await self._store.wait_for_news("", POLL_SECONDS)

    async def _do(self, kind: str, id_: str, body: bytes) -> None:
        answer = self._answer.get(kind)
        if answer is None:
            logger.warning("another server asks for %s, which this one does not know", kind)
            return
        try:
            await answer(id_, body)
        except ServiceError as error:
            logger.info("%s of %s: %s", kind, id_, error.message)

    async def _watch(self) -> None:
        await self._store.cut_off()
        logger.critical(
            "cut off from the database for too long: another server has taken over; this one ends"
        )
        self._cut_off()
