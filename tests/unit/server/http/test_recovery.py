"""Starts after a crash that left many responses: ready at once, and each of them is ended or resumed exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from tests.contract.stores import said
from tests.serving import MODEL, served, settings

from kodo.server.http import keys
from kodo.server.http.app import open_state
from kodo.server.http.keys import DEFAULT_PROJECT, new_key
from kodo.server.lifecycle import plan
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.ports import ModelCard, Sampling
from kodo.server.lifecycle.records import KeyRow, ResponseRow
from kodo.server.lifecycle.recovery import Recovery
from kodo.server.lifecycle.row_codec import StoredRequest
from kodo.server.store.sqlite import SqliteStore
from kodo.server.wire.request import CreateResponse

CARD = ModelCard(name=MODEL, engine="scripted", context_window=1000, max_output_tokens=1000, parallel=4)

T = TypeVar("T")


async def leave_unfinished(home: Path, count: int, key: KeyRow | None = None) -> None:
    """Store responses as a crash leaves them: every other one in the background."""
    store = SqliteStore(home)
    await store.open()
    if key is not None:
        await store.put_key(key)
    key_id = None if key is None else key.id
    for number in range(count):
        background = number % 2 == 0
        request = CreateResponse(model=MODEL, background=background)
        name = f"resp_{number}"
        begun = plan.initial_response(name, request, CARD, 1000.0, background=background, store=True)
        row = ResponseRow(
            id=name,
            owner=DEFAULT_PROJECT,
            status=begun.status,
            created_at=1000.0,
            background=background,
            request=msgspec.json.encode(
                StoredRequest(request=request, sampling=Sampling(), priority=2, key_id=key_id)
            ),
            response=msgspec.json.encode(begun),
        )
        await store.create_response(row, [said(f"msg_{number}", f"say {number}")])
    await store.close()


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each response was read or written, by the store's method."""
    seen: Counter[tuple[str, str]] = Counter()

    def counted(name: str, real: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        def count(store: SqliteStore, *arguments: object, **options: object) -> Awaitable[T]:
            names = [one.id if isinstance(one, ResponseRow) else str(one) for one in arguments]
            seen[name, next(one for one in names if one.startswith("resp_"))] += 1
            return real(store, *arguments, **options)

        return count

    for name in ("read_log", "chain", "finish_response"):
        monkeypatch.setattr(SqliteStore, name, counted(name, getattr(SqliteStore, name)))
    return seen


async def test_a_start_waits_for_no_response_that_a_crash_left(
    tmp_path: Path, counts: Counter[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: none is read or written before the start goes on."""
    await leave_unfinished(tmp_path, 300)
    real, waited_for = Recovery.open, list[Counter[tuple[str, str]]]()

    async def watched(recovery: Recovery) -> int:
        resumed = await real(recovery)
        waited_for.append(counts.copy())
        return resumed

    monkeypatch.setattr(Recovery, "open", watched)
    async with open_state(settings(tmp_path)):
        assert waited_for == [Counter()]


@pytest.mark.parametrize("method", ["chain", "read_log", "key"])
async def test_a_store_that_is_away_for_a_moment_fails_no_background_response(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Not when it is taken up, and not when its key is looked at before its turn: both wait."""
    _, key = new_key(name="", project=DEFAULT_PROJECT)
    await leave_unfinished(tmp_path, 4, key)
    real, failures = getattr(SqliteStore, method), iter(range(3))

    async def failing(store: SqliteStore, *arguments: object, **options: object) -> object:
        for _ in failures:
            raise StoreFailed("The database cannot be reached.")
        return await real(store, *arguments, **options)

    monkeypatch.setattr(SqliteStore, method, failing)
    monkeypatch.setattr(keys, "RETRY_SECONDS", 0.01)
    async with open_state(settings(tmp_path)) as state:
        while await state.store.unfinished():
            await asyncio.sleep(0.01)
        for number in (0, 2):
            assert (await state.service.get(DEFAULT_PROJECT, f"resp_{number}")).status == "completed"
    assert list(failures) == []


async def test_each_response_that_a_crash_left_comes_to_its_end_once(
    tmp_path: Path, counts: Counter[tuple[str, str]]
) -> None:
    """Those of clients that are gone have failed, background ones are answered; nothing twice, nothing forgotten."""
    await leave_unfinished(tmp_path, 300)
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        last = await asyncio.gather(*(sdk.responses.retrieve("resp_299") for _ in range(5)))
        assert {response.status for response in last} == {"failed"}, "one that is asked for comes first"
        while await server.state.store.unfinished():
            await asyncio.sleep(0.01)
        for number in (0, 1, 150, 151, 298, 299):
            response = await sdk.responses.retrieve(f"resp_{number}")
            expected = ("failed", "") if number % 2 else ("completed", f"say {number}")
            assert (response.status, response.output_text) == expected
    ends = {which: times for (name, which), times in counts.items() if name == "finish_response"}
    assert ends == {f"resp_{number}": 1 for number in range(300)}
