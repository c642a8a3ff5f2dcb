"""The result files of a batch: two append-only files of JSON lines that survive a crash.

A result counts once its line is stored. A torn last line is dropped when the files are opened again, and its request
is run again. Results that arrive together are written together.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Self

import msgspec
from msgspec import Struct

from kodo.server.http.batches.input_file import custom_id_digest
from kodo.server.lifecycle.blobs import BlobStore, GrowingBlob
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.wire.batches import ResultLine
from kodo.server.wire.response import InputTokensDetails, OutputTokensDetails, ResponseUsage

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
    """The open output and error files; :meth:`open` makes one."""

    def __init__(self, output: GrowingBlob, errors: GrowingBlob) -> None:
        self.finished: set[bytes] = set()
        """Digests of the custom_ids that have a result."""
        self.completed = 0
        self.failed = 0
        self._tokens = dict.fromkeys(("input", "cached", "output", "reasoning"), 0)
        self._queued: list[ResultLine] = []
        self._flush_lock = asyncio.Lock()
        self._file_lock = asyncio.Lock()
        self._writes: set[asyncio.Task[None]] = set()
        self._failure: str | None = None
        self._files = (output, errors)

    @classmethod
    async def open(cls, blobs: BlobStore, output: str, errors: str) -> Self:
        """Open the files of these ids, new or as they were left, and read both once.

        Raises:
            StoreFailed: a file cannot be opened or read.
        """
        async with AsyncExitStack() as stack:
            files = []
            for blob_id in (output, errors):
                files.append(await blobs.grow(blob_id))
                stack.push_async_callback(files[-1].close)
            found = cls(*files)
            for file in files:
                async for line in file.lines():
                    found._count(line)
            stack.pop_all()
        return found

    async def add(self, line: ResultLine) -> None:
        """Write a result; it is stored when this returns. A request that already has a result keeps the first one.

        Raises:
            StoreFailed: writing failed. Every later call fails, too, until the files are opened again.
        """
        self._queued.append(line)
        async with self._flush_lock:
            lines, self._queued = self._queued, []
            write = asyncio.create_task(self._write(lines))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)
            await asyncio.shield(write)  # what others have queued is written even if this caller is cancelled

    def sizes(self) -> tuple[int, int]:
        """Return the sizes in bytes of the output file and the error file."""
        output, errors = self._files
        return output.size, errors.size

    async def publish(self) -> None:
        """Make the files that have lines readable as others are. May be done again. Raises ``StoreFailed``."""
        for file in self._files:
            if file.size:
                await file.publish()

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

    async def close(self) -> None:
        """Close both files, after a write in progress has ended."""
        async with self._file_lock:
            self._failure = self._failure or "The files of the batch's results are closed."
            for file in self._files:
                with contextlib.suppress(StoreFailed):  # of a write that failed, and said so
                    await file.close()

    # --- inside ---

    async def _write(self, lines: list[ResultLine]) -> None:
        """Append the new lines. One call at a time, even if its caller was cancelled."""
        async with self._file_lock:
            if self._failure is not None:
                raise StoreFailed(self._failure)
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
                        await file.append(b"".join(raws))
            except BaseException as error:
                self._failure = error.message if isinstance(error, StoreFailed) else "A write was broken off."
                raise

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
