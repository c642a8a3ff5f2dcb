"""What signals do to a server, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

PROGRAM = """
import asyncio, contextlib, signal, sys
from pathlib import Path
import kodo.server.http.app as app
from kodo.server.config import ModelSettings, Settings
from kodo.server.http.serve import serve

opened = app.open_state

@contextlib.asynccontextmanager
async def open_slowly_closed(*given, **named):
    async with opened(*given, **named) as state:
        yield state
    print("closing", flush=True)
    await asyncio.sleep(float(sys.argv[3]))
    print("closed", flush=True)

app.open_state = open_slowly_closed
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "nohup" else signal.SIG_DFL)
serve(Settings(home=Path(sys.argv[1]), port=0, models={"m": ModelSettings(engine="scripted", target="")}))
"""


@contextmanager
def server(home: Path, how: str = "", closing: float = 0.7) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that takes requests, and its URL. ``closing``: seconds that its end takes."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), how, str(closing)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not (home / "server.json").exists():
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            yield process, json.loads((home / "server.json").read_text())["url"]
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """The next line that the server prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_second_signal_does_not_cut_off_the_closing(tmp_path: Path, first: signal.Signals) -> None:
    """What is closed behind the last request is closed to its end, and the server has ended in order."""
    with server(tmp_path) as (process, _):
        os.kill(process.pid, first)
        assert said(process) == "closing"
        os.kill(process.pid, signal.SIGTERM)
        assert said(process) == "closed"
        assert process.wait(30) == 0


def test_a_third_ctrl_c_ends_it_where_it_is(tmp_path: Path) -> None:
    """Who has asked three times does not want to wait."""
    with server(tmp_path, closing=120) as (process, _):
        os.kill(process.pid, signal.SIGINT)
        assert said(process) == "closing"
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        while process.poll() is None:  # two that come before it has seen the first are one for it
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.2)
        assert said(process) == ""
        assert process.wait(30) != 0


def test_a_server_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    """Who ignores SIGHUP when it starts goes on ignoring it."""
    with server(tmp_path, "nohup") as (process, url):
        os.kill(process.pid, signal.SIGHUP)
        time.sleep(0.3)
        assert httpx2.get(f"{url}/health", timeout=30, trust_env=False).status_code == 200
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
