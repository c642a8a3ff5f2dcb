"""The engine comes back: from every way its process can go, and from every way its next start can fail."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_model import write_tiny_model

from kodo.server.engines.llama.process import supervisor as module
from kodo.server.engines.llama.process.supervisor import ChildConfig, Supervisor
from kodo.server.lifecycle.errors import EngineUnavailable

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # a process that was never started
_SPAWN = asyncio.create_subprocess_exec


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, as that of a home usually is."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "run"


@pytest.fixture
async def child(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """A child that runs, whose supervisor does not wait for long."""
    monkeypatch.setattr(module, "RESTART_DELAYS", (0.0, 0.01, 0.02))
    monkeypatch.setattr(module, "HEALTH_SECONDS", 0.1)
    monkeypatch.setattr(module, "MAX_HEALTH_SECONDS", 1.0)
    config = ChildConfig(
        model=write_tiny_model(tmp_path / "tiny.gguf"),
        threads=1,
        parallel=1,
        batch=32,
        context=64,
        runtime_dir=runtime,
    )
    started = Supervisor(config)
    await started.start()
    yield started
    await started.stop()


async def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def _failing_starts(monkeypatch: pytest.MonkeyPatch, failures: list[Exception | str]) -> list[object]:
    """Let the next starts fail: by an exception, or by a child that says a line. Returns the list of starts."""
    starts: list[object] = []

    async def spawn(*command: str, **options: Any) -> Any:
        starts.append(command)
        if not failures:
            return await _SPAWN(*command, **options)
        failure = failures.pop(0)
        if isinstance(failure, Exception):
            raise failure
        return await _SPAWN("/bin/sh", "-c", f"echo '{failure}'", **options)

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", spawn)
    return starts


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        "no JSON",
        "[1]",
        '{"error": "the model could not be loaded"}',
        RuntimeError("a bug"),
    ],
    ids=str,
)
async def test_a_start_that_fails_is_tried_until_it_works(
    child: Supervisor, failure: Exception | str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Whatever the next starts fail of is logged, and the engine is there again once they work."""
    starts = _failing_starts(monkeypatch, [failure, failure, failure])
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await _until(lambda: child.generation == 2)
    assert len(starts) == 4
    assert child.ready
    assert caplog.text.count("supervisor failed") == 3
    await (await child.channel()).request("GET", "/health")


async def test_a_child_that_hangs_is_replaced(child: Supervisor) -> None:
    """A stopped process answers no question: it is not ready, then killed, and another one answers."""
    pid = child.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await _until(lambda: not child.ready)
    await _until(lambda: child.generation == 2)
    assert child.ready
    assert child.pid != pid


async def test_a_socket_that_was_removed_comes_back(child: Supervisor, runtime: Path) -> None:
    """A cleaner may take the folder away while the child runs; its folder is under the one that the settings name."""
    assert len(list(runtime.iterdir())) == 1
    shutil.rmtree(runtime)
    await _until(lambda: child.generation == 2)
    assert child.ready
    await (await child.channel()).request("GET", "/health")


async def test_a_server_out_of_descriptors_does_not_kill_its_engine(
    child: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """A health check that fails for want of descriptors says nothing about the child."""

    async def no_descriptor(self: Supervisor) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Supervisor, "_ask_health", no_descriptor)
    await _until(lambda: caplog.text.count("health check failed") > 3)
    assert child.ready
    assert child.generation == 1


async def test_a_first_start_without_descriptors_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first start is not tried again: whoever started the server is told why."""
    _failing_starts(monkeypatch, [OSError(errno.EMFILE, "Too many open files")])
    model = write_tiny_model(tmp_path / "tiny.gguf")
    child = Supervisor(ChildConfig(model=model, threads=1, parallel=1, batch=32, context=64))
    with pytest.raises(EngineUnavailable, match="Too many open files"):
        await child.start()
    await child.stop()
