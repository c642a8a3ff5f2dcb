"""Waiting for a process that was killed."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from typing import Final

_CHUNK: Final = 2**16


async def wait_until_gone(process: Process, seconds: float) -> None:
    """Wait until a killed process is gone, so many seconds at most. What it wrote to standard output and nobody read is thrown away.

    ``Process.wait`` alone may never return: in Python 3.11 it waits for the ends of the process' pipes too, and these do not come
    where what is in a pipe is not read, or where another process that it started holds it (CPython's issue 119710).
    """
    tasks = [asyncio.create_task(process.wait())]
    if process.stdout is not None:
        tasks.append(asyncio.create_task(_read_to_end(process.stdout)))
    await asyncio.wait(tasks[:1], timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _read_to_end(stream: asyncio.StreamReader) -> int:
    """How many bytes were left."""
    count = 0
    try:
        while chunk := await stream.read(_CHUNK):
            count += len(chunk)
    except RuntimeError:  # somebody else still waits for what it writes, and so reads it
        return count
    return count
