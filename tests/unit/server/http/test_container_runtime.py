"""Which processes of containers run, with processes that only say whether they do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kodo.server.config import CodeInterpreterSettings
from kodo.server.http.containers import runtime
from kodo.server.http.containers.runtime import ContainerRuntime


class FakeProcess:
    """A process that takes a while to end."""

    def __init__(self) -> None:
        self.alive = True

    async def end(self) -> None:
        """As of a real one: dead at once, gone later."""
        self.alive = False
        await asyncio.sleep(0.05)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    """The processes that were started."""
    made: list[FakeProcess] = []

    async def start(*_: Any) -> FakeProcess:
        made.append(FakeProcess())
        return made[-1]

    monkeypatch.setattr(runtime.ContainerProcess, "start", start)
    return made


async def test_a_call_keeps_its_process_while_a_dead_one_is_ended(started: list[FakeProcess]) -> None:
    """The next call starts a process of its own before the one that died is gone."""
    containers = ContainerRuntime(CodeInterpreterSettings())
    begun = asyncio.Event()

    async def dies() -> None:
        async with containers.running("c", 1) as entry:
            begun.set()
            await asyncio.sleep(0.01)
            assert entry.process is not None
            entry.process.alive = False

    async def waits() -> None:
        await begun.wait()
        async with containers.running("c", 1) as entry:
            await asyncio.sleep(0.1)
            assert entry.process is not None and entry.process.alive

    await asyncio.gather(dies(), waits())
    assert [process.alive for process in started] == [False, True]
    await containers.close()
    assert not started[1].alive


async def test_a_container_that_is_stopped_leaves_no_process(started: list[FakeProcess]) -> None:
    """Also not the one that a call has started that waited for its turn meanwhile."""
    containers = ContainerRuntime(CodeInterpreterSettings())
    begun = asyncio.Event()

    async def call() -> None:
        async with containers.running("c", 1):
            begun.set()
            await asyncio.sleep(0.02)

    calls = [asyncio.create_task(call()) for _ in range(2)]
    await begun.wait()
    await containers.stop("c")
    await asyncio.gather(*calls)
    assert len(started) == 2
    assert not any(process.alive for process in started)
