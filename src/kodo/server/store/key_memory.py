"""What was read of API keys a moment ago. Every request asks for its key, and keys change a few times a year.

Who keeps it forgets it at the first word of a change: PostgreSQL's news, or the change mark beside a SQLite file. Where that
word does not come, it is believed for :data:`KEYS_SECONDS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

KEYS_SECONDS: Final = 1.0
"""How long what was read of a key is believed where no word of a change comes."""
LOOK_SECONDS: Final = 0.002
"""How long what was seen of a file's change mark is believed: whoever changes a key waits for so long before it says that it is done."""


class KeyMemory:
    """What was read of keys, by what it was asked by: an id, a hash, or "" for whether there are any."""

    def __init__(self) -> None:
        self._known: dict[str | bytes, tuple[object, float]] = {}
        self.changes = 0
        """Changes that were heard of."""

    def forget(self) -> None:
        """Keys have changed; what is being read now may be older than that, and is not kept either."""
        self._known.clear()
        self.changes += 1

    def known(self, name: str | bytes) -> Any:
        """What is known; None: nothing."""
        known = self._known.get(name)
        return known[0] if known is not None and time.monotonic() < known[1] else None

    async def read(self, name: str | bytes, read: Callable[[], Awaitable[T]]) -> T:
        """What is known, else what ``read`` finds. A key that is not there is not kept: clients could fill the memory with them."""
        known: T | None = self.known(name)
        if known is not None:
            return known
        until, begun = time.monotonic() + KEYS_SECONDS, self.changes
        found = await read()
        if found is not None and begun == self.changes:
            self._known[name] = found, until
        return found


class ChangeMark:
    """A file that grows by a byte with each change, for processes of one machine: its size tells two changes apart that fall
    into one tick of the file system's clock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = -1
        self._looked = float("-inf")

    async def add(self) -> None:
        """Say that something has changed, and wait until everybody has to see it. It is committed already: where no byte can be
        written, others hear of it later."""
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, b".")
            finally:
                os.close(file)
        await asyncio.sleep(LOOK_SECONDS)

    def moved(self) -> bool:
        """Whether something has changed since this was last asked."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:  # each look gives the other threads of this process their turn
            return False
        self._looked = now
        try:
            size = self._path.stat().st_size
        except OSError:  # no change yet
            size = 0
        moved, self._seen = size != self._seen, size
        return moved
