"""Do a piece of work in a child process and hear its messages, with a limit on silence and on time.

Each piece of generated code is judged in a child, so a crash, an endless loop or a broken interpreter
state ends there. Knows nothing of tests.
"""

import math
import os
import select
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable
from typing import Literal

End = Literal["done", "silent", "died"]
Send = Callable[[bytes], None]
_HEADER = struct.Struct("=I")
_ASKED_SECONDS = 0.1


def cpu_seconds() -> float:
    """The CPU time of this process and its finished children: a clock that does not run while the machine does other work."""
    return sum(os.times()[:4])


def forked(
    work: Callable[[Send], None],
    silence: float,
    until: float = math.inf,
    hear: Callable[[bytes], None] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> tuple[list[bytes], End]:
    """Run ``work`` in a child with an empty working folder of its own.

    ``work`` gets a function that sends one message. A child that is silent for ``silence`` seconds is killed
    with all it started, and so is one that still works at the monotonic time ``until``. Returns the messages sent until then, and how it ended.
    ``hear`` is given each message as it comes; the child is killed too when ``is_stopped`` says so, which is asked now and then.
    """
    folder = tempfile.mkdtemp(prefix="case-")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(work, write, folder)
    os.close(write)
    try:
        messages, end = _listen(read, silence, until, hear, is_stopped)
    finally:
        os.close(read)
        _kill_group(pid)
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(folder, ignore_errors=True)
    if end == "done" and os.waitstatus_to_exitcode(status) != 0:
        end = "died"
    return messages, end


def _child(work: Callable[[Send], None], write: int, folder: str) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)

        def send(message: bytes) -> None:
            data = _HEADER.pack(len(message)) + message
            while data:
                data = data[os.write(write, data) :]

        work(send)
        status = 0
    finally:
        os._exit(status)


def _listen(
    read: int,
    silence: float,
    until: float,
    hear: Callable[[bytes], None] | None,
    is_stopped: Callable[[], bool],
) -> tuple[list[bytes], End]:
    messages: list[bytes] = []
    buffer = b""
    deadline = min(until, time.monotonic() + silence)
    while True:
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([read], [], [], min(left, _ASKED_SECONDS))
        if time.monotonic() > (until if ready else deadline) or is_stopped():
            return messages, "silent"
        if not ready:
            continue
        chunk = os.read(read, 1 << 16)
        if not chunk:
            return messages, "done"
        buffer += chunk
        while len(buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(buffer)
            if len(buffer) < _HEADER.size + length:
                break
            messages.append(buffer[_HEADER.size : _HEADER.size + length])
            if hear is not None:
                hear(messages[-1])
            buffer = buffer[_HEADER.size + length :]
            deadline = min(until, time.monotonic() + silence)


def _kill_group(pid: int) -> None:
    """End the child and what it started; the child made the group its own before any other code ran."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
