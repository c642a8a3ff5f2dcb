"""Every task that keeps something alive is supervised: each fails once here, is logged, and its work goes on.

Two lists are held to the sources: the supervised tasks, each with a way to fail, and the other tasks, each of which ends
with what it was started for. A new task has to be put into one of them.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.serving import MODEL, script, served, settings
from tests.unit.server.http.test_recovery import leave_unfinished

import kodo.server
from kodo.server.config import McpSettings, ToolSettings
from kodo.server.engines.llama.process import supervisor
from kodo.server.engines.upstream import pool
from kodo.server.http import app
from kodo.server.http.assistants import manager as assistants
from kodo.server.http.batches import worker as batch_worker
from kodo.server.http.containers import manager as containers
from kodo.server.http.files import manager as files
from kodo.server.http.files import upload_manager as uploads
from kodo.server.http.vector_stores import manager as vector_stores
from kodo.server.lifecycle import cluster
from kodo.server.lifecycle import run as runs
from kodo.server.lifecycle.errors import EngineUnavailable, StoreFailed
from kodo.server.lifecycle.recovery import Recovery
from kodo.server.store.sqlite import SqliteStore
from kodo.server.tools.mcp import sessions

SOURCES = Path(kodo.server.__file__).parent

OTHERS = {
    "engines/llama/process/supervisor.py: start_soon": "awaited by start",
    "engines/llama/prompting/tokenize_batcher.py: __call__": "ends with the texts that wait; a failure is theirs",
    "engines/llama/tools/structured.py: _checked": "ends with its grammar; the request does not wait for long",
    "http/assistants/manager.py: _ask_driver": "ends with its request",
    "http/assistants/manager.py: _start_worker": "ends with its run, which it fails itself",
    "http/assistants/manager.py: call_when_idle": "ends with its run",
    "http/assistants/manager.py: open": "awaited by the start",
    "http/assistants/worker.py: _await_index": "ends with the wait, which cancels it",
    "http/assistants/worker.py: execute": "ends with its run",
    "http/backends.py: open_resources": "awaited by the start",
    "http/batches/manager.py: _cancel_elsewhere": "ends with its request",
    "http/batches/manager.py: _start": "ends with its batch; tries again itself",
    "http/batches/worker.py: _dispatch": "ends with its line",
    "http/batches/worker.py: _run_requests": "ends with its batch",
    "http/batches/results.py: add": "ends with its write, which the next one and the end wait for",
    "http/bodies.py: __call__": "ends with its request",
    "http/bodies.py: _cancel_on_message": "ends with its request",
    "http/budgets.py: written": "ends with what the store did not take; the next request begins again",
    "http/chat/pipeline.py: merge_chunks": "ends with its request",
    "http/containers/runtime.py: require": "awaited by the request; the next one asks again",
    "http/realtime/websocket.py: _respond": "ends with its response",
    "http/responses/websocket.py: _handle_frame": "ends with its connection",
    "http/serve.py: shutdown": "awaited by the end",
    "http/serve.py: startup": "the greeting, once",
    "http/vector_stores/store_files.py: _start": "ends with its file, which it fails itself",
    "lifecycle/cluster.py: _do_requests": "ends with its answer",
    "lifecycle/cluster.py: open": "waits for the one moment at which the server ends",
    "lifecycle/generate.py: _drive": "ends with its response",
    "lifecycle/hosted/steps.py: _run_open_steps": "ends with its turn",
    "lifecycle/recovery.py: _end": "ends with its response; tried again by the recovery",
    "lifecycle/recovery.py: ensure": "ends with its response",
    "lifecycle/remote.py: stop": "awaited by the request",
    "lifecycle/service.py: _hand_over": "ends with its response",
    "lifecycle/service.py: start": "ends with its response",
    "lifecycle/supervised.py: supervise": "the helper itself",
    "tools/mcp/sessions.py: __init__": "ends with its session; the next call opens one",
    "tools/mcp/stdio.py: stdio_transport": "ends with its session's program",
    "tools/web_search/backends/command.py: search": "ends with its search",
    "lifecycle/process_end.py: wait_until_gone": "ends with the wait",
    "store/blobs/bucket.py: _send": "ends with its upload",
}


def tasks(*names: str) -> set[str]:
    """The functions of the server's sources that call one of these, as ``file: function``."""
    found: set[str] = set()
    for file in SOURCES.rglob("*.py"):
        where = file.relative_to(SOURCES).as_posix()
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                        found.add(f"{where}: {function.name}")
    return found


Failing: TypeAlias = "Callable[..., FailsOnce]"


class FailsOnce:
    """A method that raises an ``OSError`` the first time, and works from then on."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, after: int = 0) -> None:
        self.real: Callable[..., Awaitable[Any]] = getattr(owner, name)
        self.calls = 0
        self.after = after
        self.worked = asyncio.Event()
        me = self

        async def method(*arguments: Any, **options: Any) -> Any:
            me.calls += 1
            if me.calls == me.after + 1:
                raise OSError(24, "Too many open files")
            result = await me.real(*arguments, **options)
            if me.calls > me.after + 1:
                me.worked.set()
            return result

        patch.setattr(owner, name, method)


@asynccontextmanager
async def plain_server(home: Path) -> AsyncIterator[None]:
    """A server, which says that it is ready all the time: what fails here is not the engine."""
    tools = ToolSettings.model_validate({"code_interpreter": {"enabled": True}})
    async with served(settings(home, tools=tools)) as server, server.http() as http:
        yield
        assert (await http.get("/ready")).status_code == 200


async def _pruning(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(app, "PRUNE_SECONDS", 0.01)
    failing = FailsOnce(patch, app, "prune_and_log")
    async with plain_server(home):
        await failing.worked.wait()


async def _sweeping(home: Path, patch: pytest.MonkeyPatch, module: Any, manager: type) -> None:
    patch.setattr(module, "SWEEP_SECONDS", 0.01)
    failing = FailsOnce(patch, manager, "sweep", after=1)  # the first one is the start's own
    async with plain_server(home):
        await failing.worked.wait()


async def _expiry_of_runs(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assistants, "EXPIRY_SECONDS", 0.01)
    failing = FailsOnce(
        patch, assistants.RunManager, "_expire_waiting", after=1
    )  # the first one is the start's own
    async with plain_server(home):
        await failing.worked.wait()


async def _counts(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(batch_worker, "COUNTS_SECONDS", 0.01)
    failing = FailsOnce(patch, batch_worker.BatchWorker, "_store_counts")
    patch.setattr(SqliteStore, "shared", True)
    async with served(settings(home, script(home / "script", pace=0.02))) as server:
        sdk, body = server.sdk(), {"model": MODEL, "input": "word " * 50}
        line = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": body}
        file = await sdk.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        await sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
        await failing.worked.wait()


async def _recovery(home: Path, patch: pytest.MonkeyPatch) -> None:
    await leave_unfinished(home, 3)
    failing = FailsOnce(patch, Recovery, "_end_next")
    async with plain_server(home):
        await failing.worked.wait()


async def _log(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs, "RETRY_SECONDS", 0.01)
    failing = FailsOnce(patch, SqliteStore, "append_log")
    async with served(settings(home, script(home / "script", pace=0.02))) as server:
        sdk = server.sdk()
        asked = await sdk.responses.create(model=MODEL, input="one two three " * 20, background=True)
        await failing.worked.wait()
        while (response := await sdk.responses.retrieve(asked.id)).status != "completed":
            await asyncio.sleep(0.01)
        assert response.output_text == "one two three " * 20


async def _engine(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(supervisor, "RESTART_DELAYS", (0.0, 0.2))
    failing = FailsOnce(patch, supervisor.Supervisor, "_launch", after=1)

    async def launch(child: supervisor.Supervisor) -> dict[str, Any]:
        child._process = await asyncio.create_subprocess_exec("sleep", "100", stdin=asyncio.subprocess.PIPE)
        return {"ready": True}

    failing.real = launch
    child = supervisor.Supervisor(supervisor.ChildConfig(home, 1, 1, 1, 1))
    await child.start()
    assert child.ready
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    while child.ready:
        await asyncio.sleep(0.01)
    assert not child.ready, "not before the start that works"
    await failing.worked.wait()
    while not child.ready:
        await asyncio.sleep(0.01)
    await child.stop()


async def _upstream(home: Path, patch: pytest.MonkeyPatch) -> None:
    class Target:
        name = "t"

        async def healthy(self) -> bool:
            return True

    patch.setattr(pool, "HEALTH_SECONDS", 0.01)
    failing = FailsOnce(patch, Target, "healthy")
    target: Any = Target()
    servers = pool.Pool([target])
    while servers.ready:
        servers.failed(target, EngineUnavailable("down"))
    servers.breakers["t"].retry_at = 0.0
    await failing.worked.wait()
    while not servers.ready:
        await asyncio.sleep(0.01)
    await servers.close()


async def _cluster(home: Path, patch: pytest.MonkeyPatch) -> None:
    class Shared:
        shared = True

        async def work_is_left(self) -> bool:
            return False

        async def requests(self) -> list[tuple[str, str, bytes]]:
            return []

        async def wait_for_news(self, *_: object) -> None:
            await asyncio.sleep(0.01)

        async def cut_off(self) -> None:
            await asyncio.Event().wait()

    patch.setattr(cluster, "SWEEP_SECONDS", 0.01)
    both = FailsOnce(patch, Shared, "work_is_left"), FailsOnce(patch, Shared, "requests")
    store: Any = Shared()
    servers = cluster.Cluster(store, adopt=(), answer={}, cut_off=lambda: None)
    servers.open()
    for failing in both:
        await failing.worked.wait()
    await servers.close()


async def test_a_takeover_that_failed_in_the_middle_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store tells of a departure once; what is left of each kind is taken up all the same."""

    class Shared:
        shared = True

        def __init__(self) -> None:
            self.news = [True]

        async def work_is_left(self) -> bool:
            return bool(self.news) and self.news.pop()

        async def requests(self) -> list[tuple[str, str, bytes]]:
            return []

        async def wait_for_news(self, *_: object) -> None:
            await asyncio.sleep(0.01)

        async def cut_off(self) -> None:
            await asyncio.Event().wait()

    calls: list[str] = []
    done = asyncio.Event()

    async def first() -> None:
        calls.append("first")
        if len(calls) == 1:
            raise StoreFailed("The database is away.")

    async def second() -> None:
        calls.append("second")
        done.set()

    store: Any = Shared()
    servers = cluster.Cluster(store, adopt=(first, second), answer={}, cut_off=lambda: None)
    servers.open()
    async with asyncio.timeout(20):
        await done.wait()
    await asyncio.sleep(0.05)
    await servers.close()
    assert calls == ["first", "first", "second"]


async def _mcp(home: Path, patch: pytest.MonkeyPatch) -> None:
    failing = FailsOnce(patch, sessions.McpSessions, "_close_idle")
    kept = sessions.McpSessions(McpSettings(idle_seconds=0.04))
    kept._watch()
    await failing.worked.wait()
    await kept.close()


SUPERVISED: dict[str, tuple[str, Callable[[Path, pytest.MonkeyPatch], Awaitable[None]]]] = {
    "http/app.py: open_state": ("the pruning of old data", _pruning),
    "http/assistants/manager.py: open": ("the expiry of runs that wait", _expiry_of_runs),
    "http/batches/worker.py: _run_requests": ("the counts of batch batch_", _counts),
    "http/files/manager.py: open": (
        "the deletion of expired files",
        lambda home, patch: _sweeping(home, patch, files, files.FileManager),
    ),
    "http/files/upload_manager.py: open": (
        "the deletion of expired uploads",
        lambda home, patch: _sweeping(home, patch, uploads, uploads.UploadManager),
    ),
    "http/vector_stores/manager.py: open": (
        "the expiry of vector stores",
        lambda home, patch: _sweeping(home, patch, vector_stores, vector_stores.VectorStoreManager),
    ),
    "http/containers/manager.py: open": (
        "the expiry of containers",
        lambda home, patch: _sweeping(home, patch, containers, containers.ContainerManager),
    ),
    "lifecycle/cluster.py: open": ("requests of other servers", _cluster),
    "lifecycle/recovery.py: open": ("the recovery of responses", _recovery),
    "lifecycle/run.py: created": ("the log of resp_", _log),
    "engines/llama/process/supervisor.py: _start": ("the engine's supervisor", _engine),
    "engines/upstream/pool.py: _start_watch": ("the health checks of upstream servers", _upstream),
    "tools/mcp/sessions.py: _watch": ("the closing of idle MCP sessions", _mcp),
}


@pytest.mark.parametrize("place", SUPERVISED)
async def test_a_supervised_task_goes_on_after_a_failure(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is in the log with the pause, and the next round does the work."""
    name, fail = SUPERVISED[place]
    async with asyncio.timeout(20):
        await fail(tmp_path, monkeypatch)
    said = re.escape(name) + r"\w* failed and is tried again in [\d.]+ s: .*[Tt]oo many open files"
    assert re.search(said, caplog.text)


def test_the_supervised_tasks_are_these() -> None:
    """A new one has to be made to fail here."""
    assert tasks("supervise", "supervise_every") - {"lifecycle/supervised.py: supervise_every"} == set(
        SUPERVISED
    )


def test_each_other_task_ends_with_what_it_was_started_for() -> None:
    """What keeps something alive may not be one of them: nothing would notice its end."""
    assert tasks("create_task", "ensure_future") == set(OTHERS)
