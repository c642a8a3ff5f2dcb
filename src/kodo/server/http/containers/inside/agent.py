"""The first program of a container: keeps its Python, runs commands, and hands files in and out.

    python -I -S agent.py PYTHON KERNEL FOLDER OUTSIDE

Requests come on standard input, answers go to standard output: each a line of JSON, then as many bytes as its ``size``
says. OUTSIDE is the namespace of processes that the server is in. Stands alone, and knows nothing of limits but those that a
request names. The server believes nothing of what it answers: the code that runs here may have taken it over.

Between two requests nothing runs: the Python is stopped, and what else was started is ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from typing import Any

CHUNK = 65536
GRACE_SECONDS = 2.0
"""How long a Python may take to end a call that it was interrupted in; then it is killed."""
FLOOD = 8
"""Output beyond this many times of what is kept ends the call."""
ROUNDS = 40
PID_NAMESPACE = "/proc/self/ns/pid"
_SET_DUMPABLE = 4


class Kernel:
    """The Python of the container, started when it is first needed."""

    def __init__(self, python: str, program: str, folder: str) -> None:
        asking, self._requests = os.pipe()
        self._answers, answering = os.pipe()
        self._output, output = os.pipe()
        self._process = subprocess.Popen(
            [python, "-I", program, str(asking), str(answering), folder],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(asking, answering),
            start_new_session=True,
            cwd=folder,
        )
        for fd in (asking, answering, output):
            os.close(fd)
        os.set_blocking(self._output, False)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def run(self, code: bytes, seconds: float, most: int) -> tuple[str, bytes]:
        """Run a piece of code: how it ended, and the first bytes of what it wrote, one more than ``most`` where it was more."""
        os.killpg(self.pid, signal.SIGCONT)
        os.write(self._requests, b"%d\n" % len(code))
        _write_all(self._requests, code)
        kept = bytearray()
        ended = self._follow(kept, most, time.monotonic() + seconds)
        if ended in ("timeout", "flood"):
            os.killpg(self.pid, signal.SIGINT)
            if self._follow(kept, most, time.monotonic() + GRACE_SECONDS, still=True) in ("timeout", "flood"):
                ended = f"{ended}_killed"
        self._drain(kept, most)
        return ended, bytes(kept)

    def stop(self) -> None:
        """Let it use no processor time until the next call."""
        os.killpg(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it."""
        _kill_group(self.pid)
        self._process.wait()
        for fd in (self._requests, self._answers, self._output):
            os.close(fd)

    def _follow(self, kept: bytearray, most: int, deadline: float, *, still: bool = False) -> str:
        """Read what it writes until it answers. ``still``: output alone ends nothing any more."""
        total = 0
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            ready, _, _ = select.select([self._output, self._answers], [], [], left)
            if self._output in ready:
                chunk = _read(self._output)
                total += len(chunk)
                kept += chunk[: max(0, most + 1 - len(kept))]
                if total > FLOOD * most and not still:
                    return "flood"
            if self._answers in ready:
                answer = os.read(self._answers, 64)
                return answer.decode("ascii", "replace").strip() if answer else "died"

    def _drain(self, kept: bytearray, most: int) -> None:
        for _ in range(64):
            chunk = _read(self._output)
            if not chunk:
                break
            kept += chunk[: max(0, most + 1 - len(kept))]


class Agent:
    """Answers requests, one after the other.

    ``outside`` is the namespace of processes that the server is in, as ``PID_NAMESPACE`` names it. Other processes are ended
    in another one only; where it is not given, none are.
    """

    def __init__(self, python: str, program: str, folder: str, outside: str | None = None) -> None:
        self._is_apart = outside is not None and os.readlink(PID_NAMESPACE) != outside
        self._place = (python, program, folder)
        self._folder = folder
        self._kernel: Kernel | None = None

    def answer(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer to a request."""
        try:
            return getattr(self, f"do_{request['do']}")(request, body)  # type: ignore[no-any-return]
        except OSError as error:
            return {"error": error.strerror or str(error)}, b""
        except ValueError as error:  # a NUL in a command or in a path
            return {"error": str(error)}, b""

    def do_run(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Run code in the Python."""
        if self._kernel is None:
            self._kernel = Kernel(*self._place)
        try:
            ended, output = self._kernel.run(body, request["seconds"], request["most"])
        except OSError:  # it is gone: a thread that the last call left may have ended it
            ended, output = "died", b""
        if ended == "died" or ended.endswith("_killed"):
            self._kernel.kill()
            self._kernel = None
        cut = len(output) > request["most"]
        return {"ended": ended, "cut": cut, "clean": self._end_others()}, output[: request["most"]]

    def do_shell(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Run a command in the shell."""
        shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
        process = subprocess.Popen(
            [shell, "-c", body.decode()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=self._folder,
        )
        most = request["most"]
        kept, in_time = _collect(process, most, time.monotonic() + request["seconds"])
        _kill_group(process.pid)
        code = process.wait()
        clean = self._end_others()
        out, err = (bytes(part[:most]) for part in kept)
        ended = "ok" if in_time else "timeout"
        cut = any(len(part) > most for part in kept)
        return {"ended": ended, "code": code, "out": len(out), "cut": cut, "clean": clean}, out + err

    def do_put(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Write a file."""
        path = self._path(request["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.islink(path):
            os.unlink(path)
        with open(path, "wb") as file:
            file.write(body)
        found = os.lstat(path)
        return {"stamp": found.st_mtime_ns}, b""

    def do_get(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Read a file."""
        fd = os.open(self._path(request["path"]), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return {"error": "not a file"}, b""
            return {}, file.read(request["most"])

    def do_remove(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Delete a file."""
        os.unlink(self._path(request["path"]))
        return {}, b""

    def do_list(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The first ``most`` files below the folder: path, size, time of the last change."""
        found: list[tuple[str, int, int]] = []
        for folder, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                path = os.path.join(folder, name)
                try:
                    path.encode()
                    seen = os.lstat(path)
                except (OSError, UnicodeEncodeError):
                    continue
                if stat.S_ISREG(seen.st_mode):
                    found.append((os.path.relpath(path, self._folder), seen.st_size, seen.st_mtime_ns))
                if len(found) > request["most"]:
                    return {"more": True}, json.dumps(found[:-1]).encode()
        return {}, json.dumps(found).encode()

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _end_others(self) -> bool:
        """End what a call has left running, and stop the Python; whether that succeeded."""
        if self._kernel is not None:
            self._kernel.stop()
        if not self._is_apart or os.getppid() != 1:  # nothing here is known to be ours
            return False
        spared = {1, os.getpid(), 0 if self._kernel is None else self._kernel.pid}
        for _ in range(ROUNDS):
            others = [pid for pid in _running() if pid not in spared]
            if not others:
                return True
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in others:
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
            time.sleep(0.005)
        return False


def _running() -> list[int]:
    """The processes of the namespace that are not over."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    state = file.read().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state not in "ZX":
                found.append(int(name))
    return found


def _collect(process: subprocess.Popen[bytes], most: int, deadline: float) -> tuple[list[bytearray], bool]:
    """What a command writes to its two streams, until both end or it takes too long or writes too much."""
    assert process.stdout and process.stderr  # noqa: S101 - both pipes were requested
    streams = [process.stdout.fileno(), process.stderr.fileno()]
    kept = [bytearray(), bytearray()]
    waiting = list(streams)
    total = 0
    while waiting:
        left = deadline - time.monotonic()
        if left <= 0 or total > FLOOD * most:
            return kept, False
        over = process.poll() is not None  # what a background child holds open is not waited for
        ready, _, _ = select.select(waiting, [], [], min(left, 0.05))
        if over and not ready:
            return kept, True
        for fd in ready:
            chunk = os.read(fd, CHUNK)
            total += len(chunk)
            if not chunk:
                waiting.remove(fd)
            part = kept[streams.index(fd)]
            part += chunk[: max(0, most + 1 - len(part))]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return kept, False
    return kept, True


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return b""


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def main() -> None:
    """Answer requests until standard input ends."""
    ctypes.CDLL(None).prctl(
        _SET_DUMPABLE, 0, 0, 0, 0
    )  # no other process of the container opens its descriptors
    os.umask(0o022)
    agent = Agent(*sys.argv[1:5])
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := requests.readline():
        request = json.loads(line)
        answer, body = agent.answer(request, requests.read(request.get("size", 0)))
        answers.write(json.dumps({**answer, "size": len(body)}).encode() + b"\n")
        answers.write(body)
        answers.flush()


if __name__ == "__main__":
    main()
