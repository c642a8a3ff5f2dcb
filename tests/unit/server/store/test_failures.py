"""A full disk and I/O errors: a StoreFailed for who asked, and a database as it was."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.contract.stores import context_ids, document, response, said, turn
from tests.paths import REPOSITORY
from tests.unit.server.store.processes import HOLD, python

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store import connections
from kodo.server.store.connections import SqliteConnection
from kodo.server.store.sqlite import SqliteStore

ROOT = REPOSITORY


def integrity(home: Path) -> str:
    """SQLite's own word on the file."""
    connection = connections.open_reader(home)
    try:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


async def page_limit(store: SqliteStore, extra: int) -> None:
    """Let the database grow by so many pages and no more."""

    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0] if extra < 2**20 else 0
        connection.execute(f"PRAGMA max_page_count = {pages + extra}")

    assert store._writer is not None
    await store._writer.run(limit)


async def test_a_full_disk_fails_the_write_and_keeps_what_was_there(tmp_path: Path) -> None:
    """Reads continue; when there is room again, writes do."""
    store = SqliteStore(tmp_path)
    await store.open()
    await turn(store, "before")
    await page_limit(store, 20)
    stored = 0
    with pytest.raises(StoreFailed, match="disk is full"):
        for stored in range(100):
            await store.put_document(document(f"d{stored}", body=b"x" * 9000))
    assert 0 < stored < 20
    assert await context_ids(store, "before") == ["before-in", "before-out"]
    assert await store.get_document("conversation", "ada", f"d{stored}") is None
    assert await store.get_document("conversation", "ada", f"d{stored - 1}") is not None
    with pytest.raises(StoreFailed, match="disk is full"):
        await store.create_response(response("r"), [said("i", "x" * 500_000)])
    assert await store.get_response("ada", "r") is None
    await page_limit(store, 2**30)
    await turn(store, "after", parent="before")
    await store.close()
    assert integrity(tmp_path) == "ok"


async def test_a_write_too_large_for_the_disk_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    """Small writes that waited beside it are committed."""
    store = SqliteStore(tmp_path)
    await store.open()
    await page_limit(store, 40)
    writes = [store.put_document(document(f"d{number}")) for number in range(10)]
    writes.insert(5, store.put_document(document("huge", body=b"x" * 10**6)))
    results = await asyncio.gather(*writes, return_exceptions=True)
    failed = [number for number, result in enumerate(results) if isinstance(result, StoreFailed)]
    assert failed == [5]
    assert (await store.stats())["rows"]["documents"] == 10
    await store.close()
    assert integrity(tmp_path) == "ok"


class FailingConnection(SqliteConnection):
    """A connection whose next ``COMMIT`` fails as it does on a broken disk."""

    broken = False

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
        """The statement, unless it is the one that fails."""
        if self.broken and sql == "COMMIT":
            self.broken = False
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)  # type: ignore[arg-type]


async def test_a_commit_that_fails_fails_its_batch_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the batch are not there, those before and after are."""
    real = sqlite3.connect

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        return real(*args, **{**options, "factory": FailingConnection})  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr("kodo.server.store.connections.sqlite3.connect", connect)
    store = SqliteStore(tmp_path)
    await store.open()
    await turn(store, "a")
    assert store._writer is not None
    connection = store._writer._connection
    assert isinstance(connection, FailingConnection)
    connection.broken = True
    with pytest.raises(StoreFailed):
        await turn(store, "b")
    assert await store.get_response("ada", "b") is None
    await turn(store, "b", parent="a")
    assert await context_ids(store, "b") == ["a-in", "a-out", "b-in", "b-out"]
    await store.close()
    assert integrity(tmp_path) == "ok"


LIMITED = textwrap.dedent(
    """
    import asyncio, resource, sys
    from pathlib import Path
    from kodo.server.lifecycle.errors import StoreFailed
    from kodo.server.store.sqlite import SqliteStore
    from tests.contract.stores import document

    async def main(home):
        store = SqliteStore(home)
        await store.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
        kept, failures = [], []
        for number in range(200):
            try:
                await store.put_document(document(f"d{number}", body=b"x" * 20_000))
                kept.append(number)
            except StoreFailed as error:
                failures.append(error.message)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.put_document(document("after"))
        there = [n for n in range(200) if await store.get_document("conversation", "ada", f"d{n}")]
        await store.close()
        assert failures and kept, (failures, kept)
        assert there == kept, (there, kept)
        print(sorted(set(failures)))

    asyncio.run(main(Path(sys.argv[1])))
    """
)


def test_writes_that_the_kernel_refuses_are_clean_failures(tmp_path: Path) -> None:
    """With a limit on file sizes, real writes fail in the middle: what was acknowledged, and only that, is there."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "disk" in done.stdout or "SQLITE_IOERR" in done.stdout
    assert integrity(tmp_path) == "ok"


async def test_a_database_that_another_process_holds_is_a_failure_and_then_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes that waited too long are refused together; the next one goes through."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    store = SqliteStore(tmp_path)
    await store.open()
    other = connections.open_writer(tmp_path)
    other.execute("BEGIN IMMEDIATE")
    writes = [store.put_document(document(f"d{number}")) for number in range(3)]
    for result in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(result, StoreFailed)
        assert "locked by another process" in result.message
    other.execute("ROLLBACK")
    other.close()
    await store.put_document(document("d0"))
    await store.close()


async def test_a_start_that_fails_holds_nothing(tmp_path: Path) -> None:
    """After a damaged file was taken away, another process can open the store."""
    (tmp_path / "kodo.db").write_bytes(b"this is not a database" * 100)
    failing = SqliteStore(tmp_path)
    with pytest.raises(StoreFailed):
        await failing.open()
    (tmp_path / "kodo.db").unlink()
    other = python(HOLD, tmp_path, "alone")
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    other.kill()
    other.communicate()


async def test_a_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    """What is not a database is not opened, and not written over."""
    (tmp_path / "kodo.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreFailed, match="not a database"):
        await SqliteStore(tmp_path).open()
    assert (tmp_path / "kodo.db").read_bytes().startswith(b"this is not")


async def test_a_home_that_cannot_be_used_is_said_in_words(tmp_path: Path) -> None:
    """A file where the folder should be; the message names no path."""
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreFailed, match="KODO_HOME") as caught:
        await SqliteStore(tmp_path / "home").open()
    assert str(tmp_path) not in caught.value.message


async def test_nothing_is_acknowledged_without_its_log(tmp_path: Path) -> None:
    """A log removed by hand: what was acknowledged is in the database, the next write fails, in words; so do all others."""
    store = SqliteStore(tmp_path)
    await store.open()
    for number in range(20):
        await store.put_document(document(f"d{number}"))
    (tmp_path / "kodo.db-wal").unlink()
    for number in range(20, 23):
        with pytest.raises(StoreFailed, match=r"kodo\.db-wal was removed or replaced"):
            await store.put_document(document(f"d{number}"))
    copy = tmp_path / "as-after-a-kill"
    copy.mkdir()
    shutil.copy(tmp_path / "kodo.db", copy)
    await store.close()
    after = SqliteStore(copy)
    await after.open()
    for number in range(20):
        assert await after.get_document("conversation", "ada", f"d{number}") is not None
    await after.close()


async def test_a_server_whose_lock_was_taken_away_stops_writing(tmp_path: Path) -> None:
    """A second server can then start: the first one acknowledges nothing more."""
    first, second = SqliteStore(tmp_path), SqliteStore(tmp_path)
    await first.open()
    await first.put_document(document("a"))
    (tmp_path / "kodo.lock").unlink()
    await second.open()
    with pytest.raises(StoreFailed, match=r"kodo\.lock was removed or replaced"):
        await first.put_document(document("b"))
    await second.put_document(document("c"))
    await first.close()
    await second.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """Before opening and after closing, reads and writes are StoreFailed; closing twice is closing."""
    store = SqliteStore(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreFailed, match="not open"):
            await store.get_response("ada", "r")
        with pytest.raises(StoreFailed, match="not open"):
            await store.put_document(document("d"))
        await store.open()
        await store.close()
        await store.close()
