"""One server to a home folder, and tools beside it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.contract.stores import document, replay
from tests.unit.server.store.processes import HOLD, python

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.sqlite import SqliteStore


def held(home: Path, how: str = "alone") -> subprocess.Popen[str]:
    """Another server on this home, with its store open."""
    process = python(HOLD, home, how)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


async def test_a_second_server_refuses_to_start_and_says_who_is_there(tmp_path: Path) -> None:
    """The message names the process and what to do, and no path."""
    other = held(tmp_path)
    try:
        with pytest.raises(StoreFailed) as caught:
            await SqliteStore(tmp_path).open()
        assert f"process {other.pid}" in caught.value.message
        assert "KODO_HOME" in caught.value.message
        assert str(tmp_path) not in caught.value.message
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("how", ["alone", "fork"])
async def test_a_killed_server_leaves_no_lock(tmp_path: Path, how: str) -> None:
    """Also when a process that it forked lives on."""
    other = held(tmp_path, how)
    orphans = children(other.pid)
    assert len(orphans) == (how == "fork")
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    try:
        store = SqliteStore(tmp_path)
        await store.open()
        await store.close()
    finally:
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        other.communicate()


def children(pid: int) -> list[int]:
    """Ids of a process's children."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    if found.exists():
        return [int(word) for word in found.read_text().split()]
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


async def test_a_tool_works_beside_a_server(tmp_path: Path) -> None:
    """It reads and writes, does not take the lock away, and leaves the server's running claims alone."""
    server = SqliteStore(tmp_path)
    await server.open()
    await server.claim_replay("ada", "k", replay(), expired=0)
    tool = SqliteStore(tmp_path, exclusive=False)
    await tool.open()
    await tool.put_document(document("from-tool"))
    await tool.close()
    assert await server.get_document("conversation", "ada", "from-tool") is not None
    assert await server.claim_replay("ada", "k", replay(), expired=0) == replay()
    await server.close()


async def test_claims_of_a_crashed_server_are_let_go_when_the_next_one_opens(tmp_path: Path) -> None:
    """Answers that were kept stay."""
    server = SqliteStore(tmp_path)
    await server.open()
    await server.claim_replay("ada", "running", replay(), expired=0)
    await server.settle_replay("ada", "answered", replay(status=200))
    await server.close()
    server = SqliteStore(tmp_path)
    await server.open()
    assert await server.claim_replay("ada", "running", replay(), expired=0) is None
    assert await server.claim_replay("ada", "answered", replay(), expired=0) == replay(status=200)
    await server.close()


async def test_only_the_user_can_read_the_files(tmp_path: Path) -> None:
    """The home, the database and its log."""
    home = tmp_path / "new" / "home"
    store = SqliteStore(home)
    await store.open()
    await store.put_document(document("d"))
    assert home.stat().st_mode & 0o077 == 0
    files = list(home.iterdir())
    assert {"kodo.db", "kodo.db-wal", "kodo.lock"} <= {file.name for file in files}
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    await store.close()
