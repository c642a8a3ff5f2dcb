"""What a program that was started here writes to its standard error, in the log: whole lines, and not without bounds.

The program is the operator's choice, but what it writes may come from whoever it talks to. This module knows no program.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

logger = logging.getLogger(__name__)

MAX_LINE: Final = 500
"""Bytes of a line that are kept; the rest of it is left out."""
BURST: Final = 50
"""Lines that are logged at once."""
PER_SECOND: Final = 1.0
"""And so many more, on the average."""
_CHUNK: Final = 2**14


async def log_errors(stream: asyncio.StreamReader, name: str) -> None:
    """Log the lines of a stream until its end. ``name`` says in the log whose they are."""
    lines = _Lines(name)
    begun = b""
    while chunk := await stream.read(_CHUNK):
        *whole, begun = (begun + chunk).split(b"\n")
        for line in whole:
            lines.add(line)
        begun = begun[:MAX_LINE]
    lines.add(begun)
    lines.close()


class _Lines:
    """Logs lines as long as there is room for them, and says how many there was none for."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._room = float(BURST)
        self._at = time.monotonic()
        self._left_out = 0

    def add(self, line: bytes) -> None:
        text = line[:MAX_LINE].decode(errors="replace").strip()
        if not text:
            return
        now = time.monotonic()
        self._room = min(self._room + (now - self._at) * PER_SECOND, BURST)
        self._at = now
        if self._room < 1:
            self._left_out += 1
            return
        self._room -= 1
        self.close()
        shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
        logger.warning("%s: %s", self._name, shown)

    def close(self) -> None:
        if self._left_out:
            logger.warning("%s: %d more lines were left out", self._name, self._left_out)
            self._left_out = 0
