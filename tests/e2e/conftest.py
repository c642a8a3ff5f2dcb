"""The installed command with the real default model, as its own process, once for all tests of a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from kodo.home import kodo_home

KODO = str(Path(sys.executable).with_name("kodo"))


@dataclass
class Server:
    """A `kodo serve` that runs."""

    process: subprocess.Popen[str]
    home: Path
    url: str

    def sdk(self, api_key: str = "any", **options: object) -> openai.OpenAI:
        """The unmodified SDK, without its own retries."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, **options)  # type: ignore[arg-type]

    def async_sdk(self, api_key: str = "any") -> openai.AsyncOpenAI:
        """Its asynchronous twin."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0)

    def children(self) -> list[int]:
        """The engine's processes."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; exit code and what it said."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def start(home: Path, *arguments: str, config: str = "", env: dict[str, str] | None = None) -> Server:
    """Start `kodo serve` on a free port, with the models that are installed on this machine."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to(kodo_home() / "models")
    if config:
        (home / "config.toml").write_text(config)
    (home / "server.json").unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KODO_", "OPENAI_"))}
    process = subprocess.Popen(
        [KODO, "serve", "--port", "0", *arguments],
        env={**kept, "KODO_HOME": str(home), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    note = home / "server.json"
    deadline = time.monotonic() + 120
    while not note.exists():
        if process.poll() is not None:
            raise RuntimeError(f"kodo serve ended with {process.returncode}: {process.communicate()[1]}")
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError("kodo serve did not start")
        time.sleep(0.02)
    return Server(process, home, json.loads(note.read_text())["url"])


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default model."""
    server = start(tmp_path_factory.mktemp("kodo") / "home")
    yield server
    server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers of one's own; those that still run are ended."""
    started: list[Server] = []

    def begin(*arguments: str, home: Path | None = None, **options: object) -> Server:
        server = start(home or tmp_path / "home", *arguments, **options)  # type: ignore[arg-type]
        started.append(server)
        return server

    yield begin
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()
