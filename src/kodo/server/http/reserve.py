"""Room on the disk that is kept for getting out of a full disk: deleting from a database needs room first."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

NAME: Final = "reserve"
BYTES: Final = 8 * 2**20


def keep(home: Path) -> None:
    """Make the reserve, where it is missing and there is room for it."""
    path = home / NAME
    if path.exists():
        return
    with contextlib.suppress(OSError):  # no room now: the next start tries again
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, BYTES)
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def release(home: Path) -> bool:
    """Give the reserve's room up; whether there was any."""
    try:
        (home / NAME).unlink()
    except OSError:
        return False
    return True
