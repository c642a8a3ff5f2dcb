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
    """`kodo serve` on a port that was free, 20 ms a token; the process and its URL."""
    script = home / "script.json"
    script.write_text(json.dumps({"pace": 0.02, "turns": []}))
    (home / "config.toml").write_text(more + PACED.format(script))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (home / "log").open("wb") as log, hangups_heard():
        process = subprocess.Popen(
            [KODO, "serve", "--port", str(port)],
            env=Kodo(home, "").env,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx2.TransportError):
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
