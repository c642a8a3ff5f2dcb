"""Keys that a server remembers, and other processes that change them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kodo.server.http.keys import new_key
from kodo.server.store import key_memory
from kodo.server.store.sqlite import SqliteStore


@asynccontextmanager
async def opened(home: Path, *, exclusive: bool) -> AsyncIterator[SqliteStore]:
    """A store, open."""
    store = SqliteStore(home, exclusive=exclusive)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def revoke(home: Path) -> None:
    """As a command beside the server does it, with a store of its own."""
    async with opened(home, exclusive=False) as tool:
        (row,) = await tool.keys()
        await tool.put_key(msgspec.structs.replace(row, revoked_at=1.0))


async def test_what_another_process_changes_is_seen_at_once(tmp_path: Path) -> None:
    """The first key of all, its revocation, and its return: whichever way the key is asked for."""
    row = new_key(name="n", project="p")[1]
    async with opened(tmp_path, exclusive=True) as server:
        assert not await server.has_keys()
        async with opened(tmp_path, exclusive=False) as tool:
            await tool.put_key(row)
        assert await server.has_keys()
        assert await server.key_by_hash(row.hash) == await server.key(row.id) == row
        await revoke(tmp_path)
        revoked = msgspec.structs.replace(row, revoked_at=1.0)
        assert await server.key_by_hash(row.hash) == await server.key(row.id) == revoked
        async with opened(tmp_path, exclusive=False) as tool:
            await tool.put_key(row)
        assert await server.key_by_hash(row.hash) == await server.key(row.id) == row


async def test_a_key_is_read_once_as_long_as_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is there; one that is not is looked for each time, so that nobody fills the memory."""
    monkeypatch.setattr(key_memory, "KEYS_SECONDS", 3600.0)
    row = new_key(name="n", project="p")[1]
    async with opened(tmp_path, exclusive=True) as server:
        await server.put_key(row)
        read, reads = server._read_row, []

        async def counted(what: Any) -> Any:
            reads.append(what)
            return await read(what)

        monkeypatch.setattr(server, "_read_row", counted)
        for _ in range(3):
            assert await server.key_by_hash(row.hash) == row
        assert len(reads) == 1
        for _ in range(3):
            assert await server.key_by_hash(b"another") is None
        assert len(reads) == 4


async def test_a_change_without_its_mark_is_seen_after_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full to the last byte, or a process that was killed in between."""
    monkeypatch.setattr(key_memory, "KEYS_SECONDS", 0.05)
    row = new_key(name="n", project="p")[1]
    async with opened(tmp_path, exclusive=True) as server:
        await server.put_key(row)
        assert await server.key(row.id) == row
        (tmp_path / "keys-changed").unlink()
        (tmp_path / "keys-changed").mkdir()
        await revoke(tmp_path)
        while await server.key(row.id) == row:
            await asyncio.sleep(0.01)


async def test_a_key_that_was_read_before_a_change_is_not_kept_after_it() -> None:
    """The change came while the reading went on."""
    memory = key_memory.KeyMemory()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await go_on.wait()
        return "old"

    async def new() -> str:
        return "new"

    reading = asyncio.create_task(memory.read("k", slow))
    await begun.wait()
    memory.forget()
    go_on.set()
    assert await reading == "old"
    assert await memory.read("k", new) == "new"


async def test_whoever_changes_a_key_waits_until_a_server_has_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server looks at the mark only now and then; a change is done when no server goes by an older look."""
    monkeypatch.setattr(key_memory, "LOOK_SECONDS", 0.3)
    async with opened(tmp_path, exclusive=True) as server, opened(tmp_path, exclusive=False) as tool:
        for _ in range(2):
            row = new_key(name="n", project="p")[1]
            assert await server.key_by_hash(row.hash) is None
            await tool.put_key(row)
            assert await server.key_by_hash(row.hash) == row
            revoked = msgspec.structs.replace(row, revoked_at=1.0)
            await tool.put_key(revoked)
            assert await server.key_by_hash(row.hash) == revoked
