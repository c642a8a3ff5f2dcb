"""Ids. Their random part is drawn from the system's random bytes, of which some are fetched at a time: a call of the system costs
more than the rest of an id."""

from __future__ import annotations

import io
import os
import time
from typing import Final

_TIME_DIGITS: Final = 14
"""Hexadecimal digits of the microseconds since the epoch: enough until the year 4253."""
_RANDOM_BYTES: Final = 17
_FETCHED_BYTES: Final = 4096

_fetched = io.BytesIO()


def random_hex(size: int) -> str:
    """``size`` random bytes, in hexadecimal. No two calls get the same ones, in whichever thread."""
    global _fetched  # noqa: PLW0603 - the bytes that are left are the process's
    while len(found := _fetched.read(size)) < size:
        _fetched = io.BytesIO(os.urandom(_FETCHED_BYTES))
    return found.hex()


class RandomIds:
    """Ids of the time, which a client is told anyway, and 136 random bits: an id is not a key, but it cannot be guessed either.

    They grow with time, so that new rows stand side by side in the indexes of ids. With random ones, a transaction writes a
    page of an index for each id.
    """

    def new(self, prefix: str) -> str:
        """A fresh ``<prefix>_<hex>``, 48 digits."""
        return f"{prefix}_{time.time_ns() // 1000:0{_TIME_DIGITS}x}{random_hex(_RANDOM_BYTES)}"
