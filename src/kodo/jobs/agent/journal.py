"""The journal of a run: every step on disk before the next one begins, so that a killed run continues where it was.

A file of JSON lines. A line counts once it ends in a newline; the rest of a cut line is dropped when the file is
opened again. Entries in order: ``begin``, then for each step ``ask`` and ``answer``, then for each call of that answer
``call`` and ``result``, and ``end``. An ``ask`` without ``answer`` is sent again under the same idempotency key; a
``call`` without ``result`` is run again if its tool reads, and is an error that the model sees if it writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

Entry = dict[str, Any]


class JournalError(Exception):
    """The journal cannot be used: another process holds it, it is not a journal, or it is of another task."""


class Journal:
    """One run's journal. Use it with ``with``; a second process that opens the same file gets :class:`JournalError`.

    Without a path it is kept in memory and nothing can be resumed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._file: int | None = None
        self._lock = FileLock(f"{path}.lock", timeout=0) if path is not None else None

    def __enter__(self) -> Self:
        if self.path is None or self._lock is None:
            return self
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise JournalError(f"{self.path}: another process works on this run") from error
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            self._lock.release()

    def _read(self) -> None:
        """Take in the entries of an earlier process and cut off a line that it did not finish."""
        assert self._file is not None and self.path is not None  # noqa: S101 - opened just now
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file, len(whole))
        os.lseek(self._file, 0, os.SEEK_END)
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise JournalError(f"{self.path}: line {number} is not an entry of a journal") from error
            if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
                raise JournalError(f"{self.path}: line {number} is not an entry of a journal")
            self.entries.append(entry)

    def write(self, kind: str, **fields: Any) -> None:
        """Append an entry; it is on disk when this returns."""
        entry: Entry = {"kind": kind, **fields}
        if self._file is not None:
            data = (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        self.entries.append(entry)

    def of_kind(self, kind: str) -> Iterator[Entry]:
        """The entries of one kind, in order."""
        return (entry for entry in list(self.entries) if entry["kind"] == kind)

    def begin(self, fields: Mapping[str, Any]) -> Entry:
        """The first entry: written now, or, where the run began earlier, the one that was written then."""
        first = next(self.of_kind("begin"), None)
        if first is None:
            self.write("begin", **fields)
            first = self.entries[-1]
        return first
