"""Notices that a file of the store was removed or replaced while it is open.

SQLite goes on writing into a file that has no name any more, and what it then commits is gone with the process. A lock whose
file was removed keeps no second server out. So a writer that has lost a file acknowledges nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


class FileGuard:
    """Files that have to stay the same from when they are first seen."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._seen: dict[Path, tuple[int, int] | None] = dict.fromkeys(paths)

    def lost(self) -> Path | None:
        """The first file that is not the one it was; None: all are."""
        for path, before in self._seen.items():
            try:
                found = os.stat(path)  # noqa: PTH116 - a few microseconds for each commit
            except OSError:
                if before is not None:
                    return path
                continue
            now = (found.st_dev, found.st_ino)
            if before is None:
                self._seen[path] = now
            elif before != now:
                return path
        return None
