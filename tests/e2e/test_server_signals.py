"""How a server process ends: each signal that asks for it finishes the streams in flight and takes the note away."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.kodo_command import KODO, Kodo
from tests.postgres_server import shared_server

WORDS = 40
PACED = '[models."codex-mini-latest"]\nengine = "scripted"\ntarget = "{}"\n'


@contextlib.contextmanager
def hangups_heard() -> Iterator[None]:
    """What is started inside hears SIGHUP, also where the tests themselves run under ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def serving(home: Path, more: str = "") -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`kodo serve` on a socket of this process, 20 ms a token; the process and its URL."""
    script = home / "script.json"
    script.write_text(json.dumps({"pace": 0.02, "turns": []}))
    (home / "config.toml").write_text(more + PACED.format(script))
    with (
        (home / "log").open("wb") as log,
        hangups_heard(),
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        port, number = listener.getsockname()[1], listener.fileno()
        process = subprocess.Popen(
            [KODO, "serve", "--fd", str(number)],
            pass_fds=(number,),
            env=Kodo(home, "").env,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx2.TransportError):  # until it accepts, a request waits
                if httpx2.get(f"{url}/ready").status_code == 200:
                    break
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """A stream in flight comes to its end, `server.json` is gone, and the exit code is not the signal's."""
    with serving(tmp_path) as (process, url):
        body: dict[str, Any] = {"model": "codex-mini-latest", "stream": True, "input": "word " * WORDS}
        with httpx2.stream("POST", f"{url}/v1/responses", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if "output_text.delta" in line)
            process.send_signal(number)
            names = [line for line in lines if line.startswith("event: ")]
        assert names[-1] == "event: response.completed"
        assert process.wait(30) >= 0
        assert not (tmp_path / "server.json").exists()


def test_signals_that_come_while_the_server_ends_lose_nothing(tmp_path: Path) -> None:
    """One every few milliseconds until it is gone: it signs off in order all the same, and what was acknowledged goes on at once at the
    next start."""
    database = shared_server().new_database()
    nodes = f"SELECT count(*) FROM {database.rpartition('%3D')[2]}.nodes"
    setting = f'database = "{database}"\n'
    with serving(tmp_path, setting) as (process, url):
        body = {"model": "codex-mini-latest", "background": True, "input": "word " * WORDS}
        made = [httpx2.post(f"{url}/v1/responses", json=body, timeout=60).json()["id"] for _ in range(5)]
        assert shared_server().execute(nodes) == [(1,)]
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
        assert shared_server().execute(nodes) == [(0,)], (tmp_path / "log").read_text()
    with serving(tmp_path, setting) as (_, url):
        for name in made:
            found = httpx2.get(f"{url}/v1/responses/{name}").json()
            while found["status"] in ("queued", "in_progress"):
                time.sleep(0.05)
                found = httpx2.get(f"{url}/v1/responses/{name}").json()
            assert found["status"] == "completed"
            assert found["output"][-1]["content"][0]["text"].split() == ["word"] * WORDS


def test_a_server_on_a_socket_that_it_inherits_takes_its_address(tmp_path: Path) -> None:
    """Connections wait from before it is ready; its note names the port, which is free once it ends, children and all."""
    with serving(tmp_path) as (process, url):
        assert json.loads((tmp_path / "server.json").read_text())["url"] == url
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
            pass


def test_what_is_no_bound_tcp_socket_is_refused(tmp_path: Path) -> None:
    """A number that is not open, a file, a socket without an address, one of every interface without a key, and --port beside it."""
    kodo = Kodo(tmp_path, "")
    with (
        (tmp_path / "file").open("wb") as file,
        socket.socket() as loose,
        socket.create_server(("0.0.0.0", 0)) as public,
        socket.socket(socket.AF_UNIX) as local,
    ):
        for number, more, said in (
            (900, (), "--fd 900 is not an open socket: Bad file descriptor."),
            (file.fileno(), (), "is not an open socket"),
            (loose.fileno(), (), "is not a TCP socket that is bound to an address"),
            (local.fileno(), (), "is not a TCP socket that is bound to an address"),
            (public.fileno(), (), "Refusing to serve on 0.0.0.0 without an API key"),
            (public.fileno(), ("--port", "0"), "--fd stands in place of --host and --port"),
        ):
            done = subprocess.run(
                [KODO, "serve", "--fd", str(number), *more],
                env=kodo.env,
                pass_fds=() if number == 900 else (number,),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (2, True, 1), (
                done.stderr
            )


def test_a_folder_in_place_of_the_note_is_one_line(tmp_path: Path) -> None:
    """The server runs and answers; its log says in one line that clients do not find it by themselves."""
    (tmp_path / "server.json").mkdir()
    with serving(tmp_path) as (process, url):
        assert httpx2.get(f"{url}/v1/models").status_code == 200
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    said = (tmp_path / "log").read_text()
    assert said.count("server.json cannot be written") == 1, said
    assert "Traceback" not in said
