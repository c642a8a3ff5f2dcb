"""The result files of a batch: two append-only files of JSON lines that survive a crash.

A result counts once its line is on disk. A torn last line is truncated when the files are opened again, and its request
is run again. Results that arrive together are written together, with one sync.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from kodo.server.http.batches.input_file import custom_id_digest
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.wire.batches import ResultLine
from kodo.server.wire.response import InputTokensDetails, OutputTokensDetails, ResponseUsage

_BLOCK = 2**16
_encode = msgspec.json.Encoder().encode


class _Details(Struct):
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class _Usage(Struct):
    """Usage with the field names of the Responses API or of the other APIs."""

    input_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Body(Struct):
    usage: _Usage | None = None


class _Answer(Struct):
    status_code: int
    body: _Body


class _CountedLine(Struct):
    """The part of a result line that is counted."""

    custom_id: str
    response: _Answer | None = None


_counted_line = msgspec.json.Decoder(_CountedLine)


class ResultFiles:
    """The open output and error files. The constructor blocks: it reads both files once."""

    def __init__(self, output: Path, errors: Path) -> None:
        """Open or create the files.

        Raises:
            StoreFailed: a file cannot be opened or read.
        """
        self.finished: set[bytes] = set()
        """Digests of the custom_ids that have a result."""
        self.completed = 0
        self.failed = 0
        self._tokens = dict.fromkeys(("input", "cached", "output", "reasoning"), 0)
        self._queued: list[ResultLine] = []
        self._flush_lock = asyncio.Lock()
        self._file_lock = threading.Lock()
        self._failure: str | None = None
        self._files: list[IO[bytes]] = []
        try:
            for path in (output, errors):
                self._files.append(_open_for_append(path))
                with path.open("rb") as lines:
                    for raw in lines:
                        self._count(raw)
        except OSError as error:
            self.close()
            raise _write_error(error.strerror) from error

    async def add(self, line: ResultLine) -> None:
        """Write a result; it is on disk when this returns. A request that already has a result keeps the first one.

        Raises:
            StoreFailed: writing failed. Every later call fails, too, until the files are opened again.
        """
        self._queued.append(line)
        async with self._flush_lock:
            lines, self._queued = self._queued, []
            await asyncio.to_thread(self._write, lines)

    def sizes(self) -> tuple[int, int]:
        """Return the sizes in bytes of the output file and the error file."""
        output, errors = (os.fstat(file.fileno()).st_size for file in self._files)
        return output, errors

    @property
    def usage(self) -> ResponseUsage:
        """The total token usage of all answers."""
        tokens = self._tokens
        return ResponseUsage(
            input_tokens=tokens["input"],
            input_tokens_details=InputTokensDetails(cached_tokens=tokens["cached"]),
            output_tokens=tokens["output"],
            output_tokens_details=OutputTokensDetails(reasoning_tokens=tokens["reasoning"]),
            total_tokens=tokens["input"] + tokens["output"],
        )

    def close(self) -> None:
        """Close both files, after a write in progress has ended."""
        with self._file_lock:
            for file in self._files:
                file.close()

    # --- inside ---

    def _write(self, lines: list[ResultLine]) -> None:
        """Append the new lines, then sync. Runs in a thread, one call at a time, even if its caller was cancelled."""
        with self._file_lock:
            if self._failure is not None or any(file.closed for file in self._files):
                raise _write_error(self._failure or "it was closed")
            new: tuple[list[bytes], list[bytes]] = ([], [])
            for line in lines:
                if custom_id_digest(line.custom_id) in self.finished:
                    continue
                raw = _encode(line) + b"\n"
                self._count(raw)
                succeeded = line.response is not None and line.response.status_code < 400
                new[0 if succeeded else 1].append(raw)
            try:
                for file, raws in zip(self._files, new, strict=True):
                    if raws:
                        file.write(b"".join(raws))
                        file.flush()
                        os.fsync(file.fileno())
            except OSError as error:
                self._failure = error.strerror
                raise _write_error(error.strerror) from error

    def _count(self, raw: bytes) -> None:
        counted = _counted_line.decode(raw)
        self.finished.add(custom_id_digest(counted.custom_id))
        if counted.response is None:
            return
        if counted.response.status_code >= 400:
            self.failed += 1
            return
        self.completed += 1
        usage = counted.response.body.usage
        if usage is None:
            return
        input_details = usage.input_tokens_details or usage.prompt_tokens_details or _Details()
        output_details = usage.output_tokens_details or usage.completion_tokens_details or _Details()
        self._tokens["input"] += usage.input_tokens + usage.prompt_tokens
        self._tokens["cached"] += input_details.cached_tokens
        self._tokens["output"] += usage.output_tokens + usage.completion_tokens
        self._tokens["reasoning"] += output_details.reasoning_tokens


def _open_for_append(path: Path) -> IO[bytes]:
    """Open a file for appending, and truncate a torn line at its end."""
    path.touch(mode=0o600)
    file = path.open("r+b")
    end = size = os.fstat(file.fileno()).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    file.seek(end)
    return file


def _write_error(reason: str | None) -> StoreFailed:
    return StoreFailed(f"A batch's results could not be written: {reason}.")
