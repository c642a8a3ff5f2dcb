"""Migrations: an empty file and every released schema open, a newer one is refused."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from pathlib import Path

import pytest
from tests.contract.stores import ASCENDING, context_ids, item_ids
from tests.paths import DATA
from tests.unit.server.store.processes import HOLD, python

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store import connections, schema
from kodo.server.store.sqlite import SqliteStore

FROZEN = DATA / "store"
RELEASED = {
    1: "b400547ebd484b25694680636edc6d11ef54218b72051c7f138a66dbf0b2828a",
    2: "249dc74313c94368c0b719220f62b60f494be3dde7cf2aaf9cc8d35bcb5e5893",
    3: "b41b9305e895e3f52da909cbade0ed379c1bbc02e72d416d8bfc955efdf5b3d4",
    4: "eb5ef39bb18371410441c8fea378e968ed26af61106d623e8ccd1926cf7fdd23",
    5: "74358511250efe20e537897301b5335db8a23ca4870d6ac8a0fad11e3d54e198",
    6: "0bce9e1501d9cde520d61500d8b674743aa32ec9eb57bbed8b39d3df2fc4f4e9",
    7: "de40f38cb162f0c25a9b78de09bf217b1bcd622ac1dbe5379114003ab5fef4a3",
}
"""SHA-256 of each migration, once it is released."""


def raw(home: Path) -> sqlite3.Connection:
    """The file, opened without kodo."""
    return sqlite3.connect(home / "kodo.db", isolation_level=None)


def shape(home: Path) -> list[tuple[str, str]]:
    """Every table and index, as SQLite keeps them."""
    connection = raw(home)
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    return found


def frozen(home: Path, version: int) -> None:
    """A database as that version of kodo left it."""
    connection = raw(home)
    connection.executescript((FROZEN / f"version-{version}.sql").read_text(encoding="utf-8"))
    connection.close()


def test_a_released_migration_never_changes() -> None:
    """There is one for each version, and a frozen database to try it on."""
    digests = {
        number: hashlib.sha256(script.encode()).hexdigest()
        for number, script in enumerate(schema.migrations(), start=1)
    }
    assert digests == RELEASED
    assert {file.name for file in FROZEN.glob("version-*.sql")} == {
        f"version-{number}.sql" for number in RELEASED
    }


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    """Version 0 is a file with nothing in it."""
    (tmp_path / "kodo.db").touch()
    store = SqliteStore(tmp_path)
    await store.open()
    assert (await store.stats())["schema"] == len(schema.migrations())
    await store.close()


@pytest.mark.parametrize("version", RELEASED)
async def test_each_earlier_schema_opens_with_all_it_holds(tmp_path: Path, version: int) -> None:
    """Responses, chains, conversations, logs, replays and keys are read as they were written."""
    frozen(tmp_path, version)
    store = SqliteStore(tmp_path)
    await store.open()
    stats = await store.stats()
    assert stats["schema"] == len(schema.migrations())
    assert stats["rows"] == {
        "responses": 2,
        "items": 7,
        "log": 2,
        "documents": 2,
        "replays": 1,
        "keys": 1,
        "deleted_but_needed": 1,
    }
    assert await context_ids(store, "b") == ["a-in", "a-out", "b-in", "b-out"]
    assert await item_ids(store, "c") == ["x", "b-in", "b-out"]
    assert list(await store.read_log("running", 0)) == [b"two", b"three"]
    assert [row.id for row in await store.unfinished()] == ["running"]
    rows, _ = await store.list_documents("message", "ada", ASCENDING, parent="c")
    assert [row.status for row in rows] == ["done"]
    assert [key.name for key in await store.keys()] == ["ci"]
    await store.close()
    fresh = tmp_path / "fresh"
    store = SqliteStore(fresh)
    await store.open()
    await store.close()
    assert shape(tmp_path) == shape(fresh)


async def test_a_restored_dump_keeps_its_free_pages_and_is_pruned(tmp_path: Path) -> None:
    """A dump does not hold the setting by which SQLite gives pages back: nothing waits for that."""
    frozen(tmp_path, max(RELEASED) - 1)
    connection = raw(tmp_path)
    connection.execute("CREATE TABLE large AS SELECT randomblob(100000) AS bytes")
    connection.execute("DROP TABLE large")
    connection.close()
    store = SqliteStore(tmp_path)
    await store.open()
    assert (await asyncio.wait_for(store.prune(0.0), 60))["responses"] == 0
    await store.close()
    connection = raw(tmp_path)
    assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 0
    connection.close()


@pytest.mark.parametrize(
    ("version", "change", "missing"),
    [
        (6, "ALTER TABLE key_tokens RENAME TO key_spending", "key_tokens.day"),
        (7, "ALTER TABLE key_spending DROP COLUMN nano_usd", "key_spending.nano_usd"),
        (7, "DROP TABLE search_chunks", "search_chunks."),
    ],
)
async def test_a_database_that_is_not_what_it_says_is_refused_untouched(
    tmp_path: Path, version: int, change: str, missing: str
) -> None:
    """A version that was never released made it: the message names the file, both versions, and what to do."""
    frozen(tmp_path, version)
    connection = raw(tmp_path)
    connection.execute(change)
    before = shape(tmp_path)
    with pytest.raises(StoreFailed) as refused:
        await SqliteStore(tmp_path).open()
    words = refused.value.message
    for part in (str(tmp_path / "kodo.db"), f"schema {version},", f"1 to {len(RELEASED)}", missing, "backup"):
        assert part in words
    assert shape(tmp_path) == before
    connection.close()


@pytest.mark.parametrize("exclusive", [True, False])
async def test_a_newer_database_is_refused_untouched(tmp_path: Path, exclusive: bool) -> None:
    """By the server and by the tools; the message says what to do."""
    store = SqliteStore(tmp_path)
    await store.open()
    await store.close()
    connection = raw(tmp_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreFailed, match="newer kodo"):
        await SqliteStore(tmp_path, exclusive=exclusive).open()
    connection = raw(tmp_path)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.execute(f"PRAGMA user_version = {len(schema.migrations())}")
    connection.close()
    await store.open()  # the refusal let go of the lock and the file
    await store.close()


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A kodo.db with somebody else's tables is not migrated."""
    connection = raw(tmp_path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreFailed, match="not made by kodo"):
        await SqliteStore(tmp_path).open()
    assert shape(tmp_path) == [("theirs", "CREATE TABLE theirs (x)")]


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    """Half of it is rolled back, and the next start can try again."""
    connection = connections.open_writer(tmp_path)
    good = "CREATE TABLE one (x);"
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, [good, "CREATE TABLE two (x); CREATE TABLE one (x);"])
    assert schema.version(connection) == 1
    schema.migrate(connection, [good, "CREATE TABLE two (x);"])
    assert schema.version(connection) == 2
    connection.close()


def test_migrations_run_in_order_and_once(tmp_path: Path) -> None:
    """Opening again runs only what is new."""
    connection = connections.open_writer(tmp_path)
    steps = [
        "CREATE TABLE t (x); INSERT INTO t VALUES (1);",
        "UPDATE t SET x = x * 10;",
        "UPDATE t SET x = x + 1;",
    ]
    for count in (1, 1, 2, 3, 3):
        schema.migrate(connection, steps[:count])
    assert connection.execute("SELECT x FROM t").fetchall() == [(11,)]
    with pytest.raises(StoreFailed, match="newer"):
        schema.migrate(connection, steps[:2])
    connection.close()


async def test_a_tool_does_not_migrate_under_a_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer tool beside an older server is told to stop the server first."""
    server = python(HOLD, tmp_path, "alone")
    assert server.stdout is not None
    assert server.stdout.readline() == "open\n"
    try:
        newer = [*schema.migrations(), "CREATE TABLE news (x);"]
        monkeypatch.setattr(schema, "migrations", lambda: newer)
        with pytest.raises(StoreFailed, match=f"process {server.pid}"):
            await SqliteStore(tmp_path, exclusive=False).open()
    finally:
        server.kill()
        server.communicate()
    store = SqliteStore(tmp_path, exclusive=False)
    await store.open()
    assert (await store.stats())["schema"] == len(newer)
    await store.close()
