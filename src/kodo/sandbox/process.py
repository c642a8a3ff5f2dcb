"""Start one command, give it time and room for output, and end it and all it started.

Knows nothing of isolation: it is handed a finished command line.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from kodo.sandbox.model import ProcessResult, ResourceLimits, SandboxError

_CHUNK = 65536
_GRACE_SECONDS = 2.0
_running: set[int] = set()
"""The process groups that :func:`execute` has started, in whatever thread."""
_ending = threading.Event()


def end_all() -> None:
    """Kill every command that runs, and let no other begin: this process is about to end, and nobody waits for a result."""
    _ending.set()
    for group in tuple(_running):
        _kill(group)


def execute(
    command: Sequence[str],
    env: Mapping[str, str],
    limits: ResourceLimits,
    fds: Sequence[int],
    cwd: str,
    stdin: bytes = b"",
    hear: Callable[[bytes], None] | None = None,
) -> ProcessResult:
    """Run ``command`` in a process group of its own; kill the group at the wall limit or when output overflows.

    The wall limit counts from here, so it includes the time the sandbox takes to come up. A process
    that left its group dies with its namespace. ``hear`` is given each piece of standard output as it comes.

    Raises:
        SandboxError: :func:`end_all` was called.
    """
    if _ending.is_set():
        raise SandboxError("nothing is run any more: kodo is ending")
    started = time.monotonic()
    with subprocess.Popen(
        command,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=fds,
        start_new_session=True,
    ) as process:
        assert process.stdin  # noqa: S101 - a pipe was requested
        _running.add(process.pid)
        if _ending.is_set():  # it was set while the command was being started
            _kill(process.pid)
        output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        timed_out = truncated = False
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(stdin)
                process.stdin.close()
            timed_out, truncated = _read_output(process, output, limits, started + limits.wall_seconds, hear)
            if not (timed_out or truncated):
                left = limits.wall_seconds - (time.monotonic() - started)
                try:
                    process.wait(max(left, 0.01))
                except subprocess.TimeoutExpired:
                    timed_out = True
        finally:
            _running.discard(process.pid)
            _end(process)
    return ProcessResult(
        status=process.returncode,
        stdout=output["stdout"].decode("utf-8", "replace"),
        stderr=output["stderr"].decode("utf-8", "replace"),
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        truncated=truncated,
    )


def _read_output(
    process: subprocess.Popen[bytes],
    output: dict[str, bytearray],
    limits: ResourceLimits,
    deadline: float,
    hear: Callable[[bytes], None] | None,
) -> tuple[bool, bool]:
    """Read both streams into ``output`` until they end; returns whether the time or the size limit stopped it."""
    assert process.stdout and process.stderr  # noqa: S101 - both pipes were requested
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, "stdout")
        selector.register(process.stderr, selectors.EVENT_READ, "stderr")
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return True, False
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                output[key.data] += chunk
                if hear is not None and key.data == "stdout":
                    hear(chunk)
            if sum(map(len, output.values())) > limits.output_bytes:
                return False, True
    return False, False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group, which this function's caller made."""
    _kill(process.pid)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
