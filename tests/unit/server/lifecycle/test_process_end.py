"""Processes that were killed while nobody read what they wrote."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE

from kodo.server.lifecycle.process_end import wait_until_gone

FLOOD = "import sys\nwhile True: sys.stdout.write('x' * 65536)"


async def started(program: str) -> asyncio.subprocess.Process:
    """A Python that runs a program."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", program, stdin=PIPE, stdout=PIPE, limit=1024
    )


async def test_what_was_written_and_not_read_does_not_hold_it() -> None:
    """The pipe is full and reading is paused: the end of it is only seen by reading on."""
    process = await started(FLOOD)
    assert process.stdout is not None
    await process.stdout.read(1)
    while not process.stdout._paused:  # type: ignore[attr-defined]  # not to be seen otherwise; a pipe's is_reading is newer than 3.11.2
        await asyncio.sleep(0.01)
    process.kill()
    async with asyncio.timeout(60):
        await wait_until_gone(process, 120)
    assert process.returncode == -9


async def test_a_pipe_that_somebody_else_holds_is_not_waited_for() -> None:
    """A process in a session of its own, which no kill of the group reaches."""
    process = await started(
        "import os, subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "os.read(0, 1)\n"
    )
    assert process.stdout is not None
    holder = int(await process.stdout.readline())
    process.kill()
    try:
        async with asyncio.timeout(60):
            await wait_until_gone(process, 0.5)
        assert process.returncode == -9
    finally:
        os.kill(holder, signal.SIGKILL)
    async with asyncio.timeout(60):  # now its pipe ends, and nothing of it is left for a closed loop
        await process.stdout.read()
        await process.wait()


async def test_somebody_who_still_reads_goes_on() -> None:
    """And gets all of it."""
    process = await started("import os, sys; print('begin', flush=True); os.read(0, 1)")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begin\n"
    reading = asyncio.create_task(process.stdout.read())
    await asyncio.sleep(0)
    process.kill()
    async with asyncio.timeout(60):
        await wait_until_gone(process, 30)
        assert await reading == b""
    assert process.returncode == -9
