"""A lock that lets one server use a home folder.

A POSIX record lock: the kernel lets go of it when the process ends, however it ends, and a forked child (an engine that
outlives a killed server) does not hold it. It does not see a second lock inside the same process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kodo.server.lifecycle.errors import StoreFailed


class Lock:
    """The lock file, held from :meth:`take` to :meth:`release`. Its content is the holder's process id, for people."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> None:
        """Take it, without waiting.

        Raises:
            StoreFailed: another process has it.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(fd, 20).decode("ascii", "replace").strip()
            os.close(fd)
            raise StoreFailed(
                f"Another kodo server{f' (process {holder})' if holder else ''} is using this KODO_HOME. "
                "Stop it first, or set KODO_HOME to another folder."
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let go. The file stays: removing it would let two processes lock two files of the same name."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
