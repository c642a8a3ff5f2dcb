"""The file of results: appended to, one line for each custom_id, readable after any kind of end.

A line is written with one ``write`` on a descriptor opened for appending, after its answer is complete. A process
that is killed in the middle leaves at most a last line without its newline; it is cut off when the file is
opened again, and that request is asked again. ``sync`` flushes to disk, which matters for power cuts only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from kodo.jobs.batch.ids import IdSet
from kodo.jobs.batch.lines import BatchInputError, ResultLine

_BLOCK = 1 << 16


class OutputInUseError(OSError):
    """Another run is writing to this file."""


class ResultFile:
    """Results on disk and the custom_ids that have one. A context manager; one writer at a time, by a file lock.

    Opening it raises OutputInUseError if another process has it open, BatchInputError if a line in it is not a
    result (a wrong file name must not be appended to), and OSError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._done = IdSet()
        try:
            self._lock()
            self._cut_torn_tail()
            self._index()
        except BaseException:
            self.close()
            raise
        self.found = len(self._done)
        """Results that were in the file when it was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __contains__(self, custom_id: str) -> bool:
        return custom_id in self._done

    def add(self, result: ResultLine) -> bool:
        """Append a result; False, and nothing written, if its custom_id has one already."""
        if not self._done.add(result.custom_id):
            return False
        data = msgspec.json.encode(result) + b"\n"
        while data:  # a regular file takes it whole, a full disk raises; the loop is for the rare short write
            data = data[os.write(self._fd, data) :]
        return True

    def sync(self) -> None:
        """Flush what was added to the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file, which also frees the lock."""
        os.close(self._fd)
        self._done.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputInUseError(f"{self.path}: another run is writing to it") from error

    def _cut_torn_tail(self) -> None:
        """Drop the bytes after the last newline: a line that a killed process did not finish."""
        end = size = os.fstat(self._fd).st_size
        while end > 0:
            start = max(0, end - _BLOCK)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end == 0 < size and not os.pread(self._fd, 1, 0).startswith(b"{"):
            raise BatchInputError(self.path, 1, "", "the output file exists and holds no batch results")
        if end < size:
            os.ftruncate(self._fd, end)

    def _index(self) -> None:
        decoder = msgspec.json.Decoder(ResultLine)
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    self._done.add(decoder.decode(raw).custom_id)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise BatchInputError(
                        self.path,
                        number,
                        "",
                        f"the output file exists and this line is not a batch result: {error}",
                    ) from error
