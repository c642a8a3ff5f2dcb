"""A server in a process of its own that is forked from one where everything is imported already: it starts in no time,
and it is killed as any other."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import openai
from tests.journal_tool import JournalTool
from tests.serving import MODEL

import kodo.server.http.app
from kodo.server.config import ModelSettings, Settings, ToolSettings
from kodo.server.http.serve import serve
from kodo.server.lifecycle.hosted.ports import HostedTool

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.crash.process"])


def _serve(
    home: Path,
    scripts: dict[str, Path],
    run_seconds: float,
    journal: Path | None,
    tools: dict[str, Any],
    more: dict[str, Any],
) -> None:
    os.setsid()  # a test that is interrupted does not interrupt the server instead
    signal.signal(signal.SIGUSR2, _print_tasks)
    if journal is not None:
        tool = JournalTool(journal)
        own = kodo.server.http.app.open_tools

        async def open_tools(*given: Any, **named: Any) -> dict[str, HostedTool]:
            found = dict(await own(*given, **named))
            kind = "web_search_preview" if "web_search" in found else "web_search"
            return {**found, kind: tool}

        kodo.server.http.app.open_tools = open_tools  # type: ignore[assignment]  # the tests' tool beside the settings'
    models = {name: ModelSettings(engine="scripted", target=str(script)) for name, script in scripts.items()}
    serve(
        Settings(
            home=home,
            port=0,
            models=models,
            heartbeat_seconds=0.2,
            shutdown_seconds=2,
            run_seconds=run_seconds,
            tools=ToolSettings.model_validate(tools),
            **more,
        )
    )


def _print_tasks(*_: object) -> None:
    """What every task waits for, on standard error: for a server that does not end."""
    for task in asyncio.tasks._all_tasks:  # type: ignore[attr-defined]  # the public one wants the running loop
        task.print_stack(limit=12)
    sys.stderr.flush()


@dataclass
class Killable:
    """A server that runs."""

    process: BaseProcess
    home: Path
    url: str

    def sdk(self) -> openai.OpenAI:
        """The unmodified SDK, without its own retries."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0)

    def print_tasks(self) -> None:
        """Have it print what its tasks wait for."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGUSR2)
            time.sleep(1)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        """SIGTERM; the exit code."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.join(30)
        return self.process.exitcode


def start(
    home: Path,
    script: Path,
    *,
    run_seconds: float = 600,
    journal: Path | None = None,
    tools: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    **others: Path,
) -> Killable:
    """Start a server with the scripted engine on a free port, and wait until it takes requests. ``others``: scripts of
    more models, by name; ``journal``: that of a hosted tool, ``web_search`` or where that is a real one
    ``web_search_preview``; ``tools``: the settings of hosted tools; ``more``: other settings."""
    note = home / "server.json"
    note.unlink(missing_ok=True)
    scripts = {MODEL: script, **others}
    process = _FORKS.Process(
        target=_serve, args=(home, scripts, run_seconds, journal, tools or {}, more or {}), daemon=True
    )
    process.start()
    deadline = time.monotonic() + 120
    while not note.exists():
        if not process.is_alive():
            raise RuntimeError(f"the server ended with {process.exitcode}")
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError("the server did not start")
        time.sleep(0.005)
    return Killable(process, home, json.loads(note.read_text())["url"])
