"""Where calls go: configured, running, or started for the command."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from kodo.client import endpoint
from kodo.client.endpoint import StartedServer, find_endpoint, find_running, is_loopback
from kodo.client.errors import EndpointError
from kodo.client.settings import load
from kodo.client.testing import FakeResponses

SERVE = """
import sys, http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"status": "ready"}')
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
server.serve_forever()
"""


@pytest.fixture(autouse=True)
def nothing_on_the_usual_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs on this machine's port 8000 is not part of the test."""
    monkeypatch.setattr(endpoint, "DEFAULT_PORT", 9)


@contextlib.contextmanager
def written(home: Path, text: str) -> Iterator[None]:
    """``server.json`` with a text, of a server that runs."""
    home.mkdir(exist_ok=True)
    with (home / "server.json").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        yield


def note(home: Path, url: str) -> contextlib.AbstractContextManager[None]:
    """``server.json`` of a server that runs there."""
    return written(home, json.dumps({"pid": os.getpid(), "host": "127.0.0.1", "port": 1, "url": url}))


def test_a_configured_url_settles_it() -> None:
    """A base URL is taken as it is, without a look at the network."""
    found, started = find_endpoint(load(base_url="https://api.example/v1/", api_key="k"))
    assert (found.base_url, found.api_key, found.source, found.local) == (
        "https://api.example/v1",
        "k",
        "configured",
        False,
    )
    assert started is None
    assert "'k'" not in repr(found)


def test_a_running_kodo_is_found_by_its_note(home: Path) -> None:
    """server.json leads to the server that runs, on whatever port."""
    with FakeResponses() as server, note(home, server.base_url.removesuffix("/v1")):
        found, _ = find_endpoint(load())
        assert (found.base_url, found.source, found.local) == (server.base_url, "running", True)
    assert find_running() is None


def test_the_note_of_a_server_that_was_killed_leads_nowhere(home: Path) -> None:
    """Another kodo that listens on its port by now, with another home, is not taken for it."""
    with FakeResponses() as stranger:
        with note(home, stranger.base_url.removesuffix("/v1")):
            assert find_running() == stranger.base_url
        assert find_running() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"pid": 1}',
        '{"pid": 1, "url": "http://elsewhere.example/v1"}',
        '{"pid": 1, "url": "http://[::1/v1"}',
    ],
)
def test_a_note_that_is_broken_or_points_elsewhere_is_ignored(home: Path, text: str) -> None:
    """A torn note, or one that names another machine, leads nowhere."""
    with written(home, text):
        assert find_running() is None


def test_a_running_kodo_is_found_on_its_usual_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a note the usual port is asked."""
    with FakeResponses() as server:
        port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
        monkeypatch.setattr(endpoint, "DEFAULT_PORT", port)
        assert find_running() == server.base_url


def test_nothing_found_and_nothing_may_start_says_what_to_do() -> None:
    """With autostart off the error names the variable to set."""
    with pytest.raises(EndpointError, match="OPENAI_BASE_URL"):
        find_endpoint(load(autostart=False))
    with pytest.raises(EndpointError, match="kodo serve"):
        find_endpoint(load(), start=False)


def test_a_started_server_answers_and_ends_with_the_command() -> None:
    """start waits until the server is ready; stop ends it and removes its log."""
    server = StartedServer.start(60, (sys.executable, "-c", SERVE))
    url = server.base_url.removesuffix("/v1")
    assert httpx2.get(f"{url}/ready").json() == {"status": "ready"}
    server.stop()
    server.stop()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/ready")


def test_nothing_else_can_take_the_port_of_a_started_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """From before its process exists until it ends, whoever asks for that port is refused, and the server that answers is the one."""
    taken: list[int] = []

    def rivals(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        number = options["pass_fds"][0]
        with socket.socket(fileno=os.dup(number)) as mine, socket.socket() as rival:
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                rival.bind(mine.getsockname())
            taken.append(mine.getsockname()[1])
        return real(*arguments, **options)

    real = subprocess.Popen
    monkeypatch.setattr(endpoint.subprocess, "Popen", rivals)
    server = StartedServer.start(60, (sys.executable, "-c", SERVE))
    server.stop()
    assert [f"http://127.0.0.1:{port}/v1" for port in taken] == [server.base_url]


def test_another_program_on_the_usual_port_is_no_kodo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what says that it is kodo is sent anybody's code."""
    server = StartedServer.start(60, (sys.executable, "-c", SERVE))
    try:
        monkeypatch.setattr(endpoint, "DEFAULT_PORT", int(server.base_url.split(":")[2].removesuffix("/v1")))
        assert find_running() is None
    finally:
        server.stop()


def test_a_server_of_another_command_is_not_used_while_that_command_runs(home: Path) -> None:
    """It would go away with the other command; once that is gone, what still runs is as good as any."""
    with FakeResponses() as server, note(home, server.base_url.removesuffix("/v1")):
        claim = endpoint._server_lock(os.getpid())
        with claim.acquire():
            assert find_running() is None
        assert find_running() == server.base_url


def test_a_server_that_dies_reports_its_last_line() -> None:
    """The error carries what the server said before it ended."""
    with pytest.raises(EndpointError, match=r"ended with 3: no model here"):
        StartedServer.start(60, (sys.executable, "-c", "import sys; print('no model here'); sys.exit(3)"))


def test_a_server_that_never_gets_ready_is_stopped() -> None:
    """After the time allowed the process is ended, and the error says so."""
    with pytest.raises(EndpointError, match="not ready after"):
        StartedServer.start(0.3, (sys.executable, "-c", "import time; time.sleep(60)"))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://127.0.0.1.evil.example/v1", False),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://[::1/v1", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, local: bool) -> None:
    """Only loopback addresses are local."""
    assert is_loopback(url) is local


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_command_ends_its_servers(tmp_path: Path, number: int) -> None:
    """Both of them; and the command ends as the signal would have ended it."""
    program = (
        "import signal, sys, time; from kodo.client.endpoint import StartedServer\n"
        f"signal.signal({int(number)}, signal.SIG_DFL)  # under nohup it is ignored, and stays so\n"
        "both = [StartedServer.start(30, (sys.executable, '-c', sys.argv[1])) for _ in range(2)]\n"
        "print(*(one._process.pid for one in both), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, SERVE]
    environment = {**os.environ, "KODO_HOME": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        process.send_signal(number)
        assert process.wait(30) == -number
    assert len(servers) == 2
    assert psutil.wait_procs(servers, timeout=30)[1] == []


def test_a_server_that_was_stopped_leaves_signals_as_they_were(tmp_path: Path) -> None:
    """And one that a program handles itself is never touched."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    StartedServer.start(30, (sys.executable, "-c", SERVE)).stop()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
