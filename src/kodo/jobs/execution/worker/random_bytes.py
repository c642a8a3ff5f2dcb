"""The random bytes of the operating system, held still: the same ones for every call, so that what is made of them tells no versions apart.

Tokens, identifiers and the boundaries of parts are made of them (``os.urandom``, ``secrets``, ``uuid.uuid4``).
"""

from __future__ import annotations

import os
import random

HELD_STILL = "import os, random", "os.urandom = random._urandom = random.Random(0).randbytes"
"""The same for a program that makes one call alone, before it imports what it calls."""


class RandomBytes:
    """Bytes that begin anew with each :meth:`begin`; ``drawn`` counts those that were asked for since."""

    def __init__(self) -> None:
        self._random = random.Random(0)  # noqa: S311 - to be foreseen is what it is for
        self.drawn = 0

    def put(self) -> None:
        """Give them to all code of this process from now on; what was bound to the system's own before keeps that."""
        os.urandom = self._read
        vars(random)["_urandom"] = (
            self._read
        )  # what ``random.SystemRandom`` and with it ``secrets`` draw from

    def begin(self) -> None:
        """Begin a call."""
        self._random.seed(0)
        self.drawn = 0

    def _read(self, size: int, /) -> bytes:
        self.drawn += size
        return self._random.randbytes(size)
