"""Finds the Responses API to talk to: a configured one, a running local kodo, or one started for this command.

It knows a kodo server only by its contract: ``KODO_HOME/server.json`` ``{"pid", "host", "port", "url"}``, locked while it
runs, ``GET /health`` with ``"server": "kodo"`` once it listens, ``GET /ready`` once it can answer.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal, TextIO
from urllib.parse import urlsplit

import httpx2
from filelock import FileLock, Timeout

from kodo.client.errors import EndpointError
from kodo.client.settings import ClientSettings
from kodo.home import kodo_home

Source = Literal["configured", "running", "started", "replay"]

DEFAULT_PORT = 8000
_PROBE_SECONDS = 1.0
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send calls. ``local``: on this machine, so calls are free unless the settings say otherwise."""

    base_url: str
    api_key: str | None
    source: Source
    local: bool

    def __repr__(self) -> str:  # the key stays out of logs and tracebacks
        return f"Endpoint({self.base_url!r}, source={self.source!r}, local={self.local})"


REPLAY = Endpoint("http://replay.invalid/v1", None, "replay", local=False)
"""Stands for the server when a cassette answers."""


NOT_STARTED = Endpoint("http://127.0.0.1/v1", None, "started", local=True)
"""Stands for a server that would be started, where a dry run starts none."""


def find_endpoint(
    settings: ClientSettings, *, start: bool = True, on_start: Callable[[], None] = lambda: None
) -> tuple[Endpoint, StartedServer | None]:
    """The endpoint to use, and the server that was started for it, which the caller stops.

    Args:
        settings: a ``base_url`` there settles it.
        start: whether a server may be started.
        on_start: called before one is started, to tell the user.

    Raises:
        EndpointError: nothing is configured or running and none could be started.
    """
    if settings.base_url:
        url = settings.base_url.rstrip("/")
        return Endpoint(url, settings.key(), "configured", is_loopback(url)), None
    running = find_running()
    if running:
        return Endpoint(running, settings.key(), "running", local=True), None
    if not (start and settings.autostart):
        raise EndpointError(
            "no Responses API: set OPENAI_BASE_URL (or base_url in config.toml), or run `kodo serve`"
        )
    on_start()
    server = StartedServer.start(settings.start_timeout)
    return Endpoint(server.base_url, settings.key(), "started", local=True), server


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine; one that cannot be read does not."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: resolved by the network's own servers


def find_running() -> str | None:
    """Base URL of a kodo that runs on this machine and answers, or None."""
    noted = _read_server_file()
    if noted and not _is_private(noted[0]) and _is_kodo(noted[1]):
        return f"{noted[1]}/v1"
    usual = f"http://127.0.0.1:{DEFAULT_PORT}"
    return f"{usual}/v1" if _is_kodo(usual) else None


def _read_server_file() -> tuple[int, str] | None:
    """Process number and URL in ``server.json``, if it is there, whole, and names this machine, and its server runs."""
    try:
        with (kodo_home() / "server.json").open(encoding="utf-8") as file:
            if not _is_locked(file):
                return None  # of a server that was killed: its port may be another program's
            note = json.loads(file.read())
        pid, url = int(note["pid"]), str(note["url"]).rstrip("/").removesuffix("/v1")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (pid, url) if is_loopback(url) else None


def _is_locked(file: TextIO) -> bool:
    """Whether a process holds a file locked; also on a file system that knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _server_lock(pid: int) -> FileLock:
    """The lock that a command holds on the server it started, for as long as it runs."""
    return FileLock(kodo_home() / f"server-{pid}.lock", thread_local=False)


def _is_private(pid: int) -> bool:
    """Whether a server was started by a command that still runs, and will end with it."""
    claim = _server_lock(pid)
    if not Path(claim.lock_file).exists():
        return False
    try:
        with claim.acquire(timeout=0):
            return False  # the command was killed and its server still runs: as good as any other
    except Timeout:
        return True


def _is_kodo(url: str) -> bool:
    """Whether a kodo listens there. No code is sent to another program on kodo's usual port."""
    answer = _get(f"{url}/health")
    return answer is not None and answer.get("server") == "kodo"


def _get(url: str) -> dict[str, object] | None:
    """The JSON object behind a URL of this machine, None if absent."""
    try:
        # No redirects and no proxies: only what listens on this machine itself is asked.
        with httpx2.Client(timeout=_PROBE_SECONDS, trust_env=False) as client:
            answer = client.get(url)
            found = answer.json() if answer.status_code == 200 else None
    except (httpx2.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _in_main_thread() -> bool:
    """Whether signals can be handled from here."""
    return threading.current_thread() is threading.main_thread()


class StartedServer:
    """A kodo server that lives as long as one command, and that no other command uses. Made by :meth:`start`.

    A signal that ends the command takes it along (SIGTERM, SIGHUP; not where the program has a handler of its own). After
    ``kill -9`` it stays, and is used like any other.
    """

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
        self._process, self.base_url, self._log = process, base_url, log
        self._server_lock = _server_lock(process.pid)
        Path(self._server_lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        self._server_lock.acquire(timeout=0)
        self._handlers: dict[int, Any] = {}
        """What the signals that end a command would do without this server."""
        for number in _ENDS if _in_main_thread() else ():
            before = signal.getsignal(number)
            if before is signal.SIG_DFL or isinstance(getattr(before, "__self__", None), StartedServer):
                self._handlers[number] = before
                signal.signal(number, self._end_with_command)

    def _end_with_command(self, number: int, _: FrameType | None) -> None:
        """End the server, and then this process as the signal would have."""
        self._process.terminate()
        self._log.unlink(missing_ok=True)
        signal.signal(number, self._handlers[number])
        os.kill(os.getpid(), number)

    @classmethod
    def start(cls, seconds: float, command: tuple[str, ...] = ()) -> StartedServer:
        """Start ``kodo serve`` on a free port of 127.0.0.1 and wait until it is ready.

        The port is bound and listened on here, and the server inherits the socket: nothing else can answer there, neither before the
        server is ready nor in its place.

        Args:
            seconds: how long that may take.
            command: what to run instead of kodo; ``--fd`` and the number of the socket are appended.

        Raises:
            EndpointError: it ended, or was not ready in time; the message carries its last line.
        """
        handle, name = tempfile.mkstemp(prefix="kodo-serve-", suffix=".log")
        with os.fdopen(handle, "wb") as log, socket.create_server(("127.0.0.1", 0)) as listener:
            port, number = listener.getsockname()[1], listener.fileno()
            process = subprocess.Popen(
                [*(command or (sys.executable, "-m", "kodo.cli.main", "serve")), "--fd", str(number)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(number,),
                start_new_session=True,  # Ctrl-C is for the command, which then stops the server itself
            )
        server = cls(process, f"http://127.0.0.1:{port}/v1", Path(name))
        try:
            server._wait(seconds)
        except BaseException:
            server.stop()
            raise
        return server

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        url = self.base_url.removesuffix("/v1")
        while _get(f"{url}/ready") is None:
            if self._process.poll() is not None:
                raise EndpointError(f"kodo serve ended with {self._process.returncode}: {self._last_line()}")
            if time.monotonic() > end:
                raise EndpointError(f"kodo serve was not ready after {seconds:.0f} s: {self._last_line()}")
            time.sleep(0.05)

    def _last_line(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def stop(self) -> None:
        """Ask it to end, then make it. Safe to call twice."""
        for number, before in self._handlers.items() if _in_main_thread() else ():
            if signal.getsignal(number) == self._end_with_command:
                signal.signal(number, before)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.unlink(missing_ok=True)
        self._server_lock.release()
        Path(self._server_lock.lock_file).unlink(missing_ok=True)
