"""Fetching a model for the page about models: in a thread, one at a time, with its progress to look at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from kodo.server.http import admin


@dataclass
class Pull:
    """A model that is being fetched, or was fetched last. Bytes; ``error`` None: none so far."""

    source: str
    done: int = 0
    total: int = 0
    finished: bool = False
    error: str | None = None

    def show(self, done: int, total: int) -> None:
        """Take note of progress; called in a thread."""
        self.done, self.total = done, total


class Pulls:
    """At most one model is fetched at a time."""

    def __init__(self) -> None:
        self.last: Pull | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, home: Path, source: str) -> None:
        """Begin to fetch a model in a thread, unless one is being fetched."""
        if self._task is not None and not self._task.done():
            return
        pull = self.last = Pull(source)

        async def run() -> None:
            try:
                await asyncio.to_thread(admin.pull_model, home, source, None, pull.show)
            except (admin.WeightsError, OSError) as error:
                pull.error = str(error)
            finally:
                pull.finished = True

        self._task = asyncio.create_task(run(), name=f"pull {source}")
