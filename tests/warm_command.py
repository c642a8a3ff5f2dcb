"""The ``kodo`` command in processes that are forked off a warm one, which has imported what the commands need.

Each run is a process of its own with its own environment, folder and streams, and ends as Python does; only the start of
Python and its imports, a second of CPU, are those of one process for each worker of the tests. Tests of that start, of
locales and of signals run the installed command itself.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

KODO = str(Path(sys.executable).with_name("kodo"))
WARM = (
    "kodo.cli.ask", "kodo.cli.batch", "kodo.cli.ci", "kodo.cli.review", "kodo.cli.tests", "kodo.cli.usage", "kodo.cli.fix",
    "kodo.ci.publication", "kodo.ci.review_job", "kodo.ci.connection", "kodo.ci.environment", "kodo.ci.fix_job", "kodo.ci.fix_publication",
    "kodo.client.session", "kodo.client.async_session", "kodo.jobs.review.behaviour", "kodo.jobs.testgen.job",
    "kodo.jobs.report.terminal", "kodo.jobs.report.junit", "openai", "openai.types.responses",
)  # fmt: skip
"""What commands import when they run; nothing of it reads the environment, the folder or the streams."""
MAX_REQUEST = 1 << 17
_KEPT_TOGETHER = 1 << 15
"""Bytes of standard input that a pipe takes without a reader."""


def run(
    *arguments: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float = 240.0,
) -> subprocess.CompletedProcess[str]:
    """Run ``kodo`` to its end; as ``subprocess.run`` with ``text``, and raises what that does when the time is up."""
    argv = [KODO, *arguments]
    request = json.dumps({"argv": argv, "env": dict(env), "cwd": str(cwd or Path.cwd())}).encode()
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        _input(stdin) as given,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
    ):
        connection.settimeout(timeout)
        connection.connect(_server())
        socket.send_fds(connection, [request], [given.fileno(), out.fileno(), err.fileno()])
        try:
            status = connection.recv(64)
        except TimeoutError:
            raise subprocess.TimeoutExpired(argv, timeout) from None
        assert status, "the warm process has died"
        said = [_text(stream) for stream in (out, err)]
    return subprocess.CompletedProcess(argv, int(status), *said)


def _input(text: str | None) -> IO[bytes]:
    """Standard input: a pipe with a text, or nothing."""
    if text is None:
        return Path(os.devnull).open("rb")
    data = text.encode()
    assert len(data) <= _KEPT_TOGETHER, "a pipe would not hold it"
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data)
    return os.fdopen(reading, "rb")


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode().replace("\r\n", "\n").replace("\r", "\n")


@functools.cache
def _server() -> str:
    """Where the warm process of this worker listens; it ends with the worker."""
    folder = tempfile.mkdtemp(prefix="kodo-warm-")
    place = f"{folder}/socket"
    process = subprocess.Popen(
        [sys.executable, __file__, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    atexit.register(_end, process, folder)
    return place


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    process.communicate()  # closes its standard input
    Path(folder, "socket").unlink()
    Path(folder).rmdir()


def serve(place: str) -> None:
    """Fork a keeper for each request, until standard input ends."""
    for name in WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(place)
        listener.listen(16)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [], 1.0)
            _reap()
            if sys.stdin in ready:
                return
            if listener not in ready:
                continue
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _keep(connection)
            connection.close()


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def _keep(connection: socket.socket) -> None:
    """Fork the command, and say how it ended; where nobody waits for that any more, end it. Returns in the command only."""
    data, streams, _, _ = socket.recv_fds(connection, MAX_REQUEST, 3)
    request = json.loads(data)
    command = os.fork()
    if command == 0:
        connection.close()
        _become(request, streams)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(command)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        os.kill(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    if ended in ready:
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Run the command in this process, with what belongs to it."""
    for number, given in enumerate(streams):
        os.dup2(given, number)
        os.close(given)
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "surrogateescape"),
        (sys.stderr, "backslashreplace"),
    ):
        stream.reconfigure(encoding="utf-8", errors=errors)  # as Python has them in C.UTF-8
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = request["argv"]
    tempfile.tempdir = None
    random.seed()
    from kodo.cli.main import main

    main()


if __name__ == "__main__":
    serve(sys.argv[1])
    os._exit(0)  # nothing here has to be put away
