"""Fetching a model for the dashboard: what the page is told of its end, and that no stop of the server waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kodo.server.engines.weights.errors import WeightsError
from kodo.server.http import admin
from kodo.server.ui.pulls import Pull, Pulls


async def ended(pulls: Pulls) -> Pull:
    """The last fetch, once it is over."""
    async with asyncio.timeout(20):
        while pulls.last is None or not pulls.last.finished:
            await asyncio.sleep(0.01)
    return pulls.last


def fetches_as(patch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    """Have a fetch do this."""

    def pull_model(home: Path, source: str, name: None, progress: Any) -> None:
        progress(1, 2)
        work()

    patch.setattr(admin, "pull_model", pull_model)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (WeightsError("no such repository"), "no such repository"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (ModuleNotFoundError("No module named 'huggingface_hub'"), "No module named 'huggingface_hub'"),
    ],
    ids=["expected", "disk", "unexpected"],
)
async def test_whatever_ends_a_fetch_is_told(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is told of no error calls the model fetched. The next fetch may begin."""

    def fail() -> None:
        raise error

    fetches_as(monkeypatch, fail)
    pulls = Pulls()
    pulls.start(tmp_path, "one")
    assert told in str((await ended(pulls)).error)
    fetches_as(monkeypatch, lambda: None)
    pulls.start(tmp_path, "two")
    last = await ended(pulls)
    assert (last.source, last.done, last.total, last.error) == ("two", 1, 2, None)


def test_a_server_that_stops_does_not_wait_for_a_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a second fetch begin beside the first."""
    begun, release = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(60)

    fetches_as(monkeypatch, hang)
    pulls = Pulls()

    async def serve() -> None:
        pulls.start(tmp_path, "one")
        pulls.start(tmp_path, "two")
        await asyncio.to_thread(begun.wait, 30)

    before = time.monotonic()
    asyncio.run(serve())
    took = time.monotonic() - before
    assert pulls.last is not None
    assert (pulls.last.source, pulls.last.finished) == ("one", False)
    release.set()
    assert took < 50
