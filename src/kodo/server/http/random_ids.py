"""Random ids. They are drawn from the system's random bytes, of which some are fetched at a time: a call of the system costs more
than the rest of an id."""

from __future__ import annotations

import io
import os
from typing import Final

ID_BYTES: Final = 24
_FETCHED_BYTES: Final = 4096

_fetched = io.BytesIO()


def random_hex(size: int) -> str:
    """``size`` random bytes, in hexadecimal. No two calls get the same ones, in whichever thread."""
    global _fetched  # noqa: PLW0603 - the bytes that are left are the process's
    while len(found := _fetched.read(size)) < size:
        _fetched = io.BytesIO(os.urandom(_FETCHED_BYTES))
    return found.hex()


class RandomIds:
    """Ids of 192 random bits. An id is not a key, but it cannot be guessed either."""

    def new(self, prefix: str) -> str:
        """A fresh ``<prefix>_<hex>``."""
        return f"{prefix}_{random_hex(ID_BYTES)}"
