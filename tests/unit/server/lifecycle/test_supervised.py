"""Tasks that keep something alive end only when they are cancelled, whatever their rounds raise."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.supervised import cancel, supervise, supervise_every

FAILURES: tuple[Exception, ...] = (
    OSError(errno.EMFILE, "Too many open files"),
    MemoryError(),
    StoreFailed("The server's disk is full."),
    ValueError("bad JSON"),
    RuntimeError("a bug"),
    ExceptionGroup("several", [OSError("one"), KeyError("two")]),
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
async def test_a_round_that_fails_is_logged_and_tried_again(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Any exception of a round is in the log, and the next round comes."""
    rounds: list[int] = []
    worked = asyncio.Event()

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 4:
            raise failure
        worked.set()
        await asyncio.Event().wait()

    task = supervise("the test", work, delays=(0.0, 0.001))
    await asyncio.wait_for(worked.wait(), 5)
    assert not task.done()
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 3
    assert "the test failed" in caplog.text
    await cancel(task)
    assert task.cancelled()


async def test_pauses_grow_and_start_over_after_a_round_that_worked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pause depends on the failures in a row; the last one is repeated."""
    pauses: list[float] = []
    plan = [True, True, True, True, False, True]
    ended = asyncio.Event()

    async def pause(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)

    async def work() -> None:
        if not plan:
            ended.set()
            await asyncio.Event().wait()
        elif plan.pop(0):
            raise OSError

    monkeypatch.setattr("kodo.server.lifecycle.supervised.asyncio.sleep", pause)
    task = supervise("the test", work, delays=(1.0, 2.0, 3.0))
    await asyncio.wait_for(ended.wait(), 5)
    assert pauses == [1.0, 2.0, 3.0, 3.0, 1.0]
    await cancel(task)


async def test_a_periodic_task_outlives_a_failed_round() -> None:
    """The sweepers of files, uploads and old data are made this way."""
    rounds = 0
    again = asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise OSError(errno.EIO, "the disk")
        again.set()

    task = supervise_every("the test", 0.001, work)
    await asyncio.wait_for(again.wait(), 5)
    await cancel(task)
    await cancel(None)
