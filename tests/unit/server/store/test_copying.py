"""Copying a store from SQLite to PostgreSQL and back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from tests.contract.stores import answered, context_ids, document, replay, response, said, turn
from tests.postgres_server import shared_server

from kodo.server.http.keys import new_key
from kodo.server.lifecycle.activity import HOUR
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import KeyCharge, KeySpending, Timing
from kodo.server.lifecycle.retrieval.filters import parse_filter
from kodo.server.lifecycle.retrieval.ports import TextChunk
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store import connections, copying, schema
from kodo.server.store.choice import copy_store
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sqlite import SqliteStore


async def fill(store: Store) -> None:
    """Something in every table: chains, a deleted parent, a conversation, NUL in an id, keys, claims, sums, a vector store."""
    index = store.search_index
    assert index is not None
    parts = [
        TextChunk(number=0, text="green tea \0", vector=(0.6, -0.8)),
        TextChunk(number=1, text="金閣寺の拝観料"),
    ]
    await index.add_chunks("vs_1", "f1", parts)
    await index.set_attributes(
        "vs_1", "f1", {"t": "x\0", "i": 2**53 + 1, "f": 0.1 + 0.2, "r": 2.0, "b": True}
    )
    await index.add_chunks("vs_2", "f1", parts)
    await store.put_document(document("c"))
    await turn(store, "a", conversation="c")
    await turn(store, "b", parent="a")
    await store.delete_response("ada", "a")
    await store.create_response(response("open\0", background=True), [said("i", "x" * 3000)])
    await store.append_log("open\0", 0, [b"one", b"two"])
    for number in range(3):
        row = msgspec.structs.replace(
            response(f"r{number}", status="completed", body=b'{"model":"m","usage":null}'),
            timing=Timing(queued=0.1, first_token=0.3, total=0.7),
        )
        await store.store_response(row, [said("i")], [answered("o")])
    key = new_key(name="n", project="p", tokens_per_day=2**40, usd_per_month=2.75)[1]
    await store.put_key(key)
    await store.charge_key(KeyCharge(key_id=key.id, day=20_000, spending=KeySpending(7, 2**41)))
    await store.put_key(new_key(name="o", project="p", role="admin")[1])
    await store.claim_replay("ada", "k", replay(), expired=0)


async def searched(store: Store) -> None:
    """What :func:`fill` put into a vector store is found by words, attributes and vectors, and what is added behind it too."""
    index = store.search_index
    assert index is not None
    where = parse_filter({"type": "gt", "key": "f", "value": 0.3})
    await index.add_chunks("vs_1", "f2", [TextChunk(number=0, text="black tea", vector=(0.0, 1.0))])
    for query, filters, texts in (
        ("tea", None, ["green tea \0", "black tea"]),
        ("拝観", where, ["金閣寺の拝観料"]),
        ("tea", parse_filter({"type": "gte", "key": "i", "value": 2**53 + 1}), ["green tea \0"]),
    ):
        hits = await index.match_terms(["vs_1"], query_terms(query), filters, 5)
        assert {chunk.text for chunk in await index.read_chunks([hit.id for hit in hits])} == set(texts)
    hits = await index.match_vector(["vs_1"], (3.0, -4.0), None, 5)
    assert [round(hit.score, 4) for hit in hits] == [1.0, -0.8]


def spend(connection: SqlConnection) -> None:
    """What a key has spent on a day."""
    connection.execute("INSERT INTO key_spending VALUES (?, ?, ?, ?)", ("key_1", 20786, 12, 34))


def tables(connection: SqlConnection) -> dict[str, copying.TableDigest]:
    """What each table holds."""
    return {table.name: copying.digest(connection, table) for table in copying.TABLES}


async def test_there_and_back_every_row_is_the_same(tmp_path: Path) -> None:
    """Numbers, bytes, floats and sums; and both go on from there: a chain, a conversation, new rows behind the old ones."""
    first, url, last = tmp_path / "first", shared_server().new_database(), tmp_path / "last"
    store = SqliteStore(first)
    await store.open()
    await fill(store)
    keys = list(await store.keys())
    await store._write(spend)
    await store.close()
    there = copy_store((first, None), (tmp_path, url))
    assert [name for name, found in there.items() if not found.rows] == []
    back = copy_store((tmp_path, url), (last, None))
    assert back == there
    with connections.open_reader(first) as one, connections.open_reader(last) as two:
        assert tables(one) == tables(two) == there
    copies: list[Store] = [PostgresStore(url), SqliteStore(last)]
    for copied in copies:
        await copied.open()
        assert await context_ids(copied, "b") == ["a-in", "a-out", "b-in", "b-out"]
        assert list(await copied.read_log("open\0")) == [b"one", b"two"]
        assert [row.id for row in await copied.unfinished()] == ["open\0"]
        assert list(await copied.keys()) == keys
        await turn(copied, "next", parent="b", conversation="c")
        assert await context_ids(copied, "next") == [
            *("a-in", "a-out", "b-in", "b-out"),
            "next-in",
            "next-out",
        ]
        assert copied.activity is not None
        assert sum(found.requests for found in await copied.activity.sums(HOUR, 0, None)) >= 6
        await searched(copied)
        await copied.close()


async def test_what_is_not_empty_or_in_use_is_left_alone(tmp_path: Path) -> None:
    """A destination with rows, a server on either side, a source that is not there."""
    url = shared_server().new_database()
    full, empty = SqliteStore(tmp_path / "full"), tmp_path / "empty"
    await full.open()
    await fill(full)
    await full.close()
    copy_store((tmp_path / "full", None), (tmp_path, url))
    with pytest.raises(StoreFailed, match="must be empty"):
        copy_store((tmp_path / "full", None), (tmp_path, url))
    with pytest.raises(StoreFailed, match=r"no kodo\.db"):
        copy_store((tmp_path / "nothing", None), (empty, None))
    running = PostgresStore(url)
    await running.open()
    for source, destination in (
        ((tmp_path, url), (empty, None)),
        ((tmp_path / "full", None), (tmp_path, url)),
    ):
        with pytest.raises(StoreFailed, match="stop it first"):
            copy_store(source, destination)
    await running.close()
    copy_store((tmp_path, url), (empty, None))


def test_a_copy_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check reads what is there, and not what was sent."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    source, destination = (connections.open_writer(tmp_path / name) for name in ("one", "two"))
    for connection in (source, destination):
        schema.migrate(connection)
    source.execute(
        "INSERT INTO documents (owner, id, kind, created_at, version, body) VALUES ('a', 'd', 'k', 1.5, 0, x'00')"
    )
    destination.execute(
        "CREATE TRIGGER spoil AFTER INSERT ON documents BEGIN UPDATE documents SET created_at = 2.5; END"
    )
    with pytest.raises(StoreFailed, match="differs"):
        copying.copy_table(source, destination, copying.TABLES[0])


def test_every_table_and_column_is_copied(tmp_path: Path) -> None:
    """A new migration is not forgotten here."""
    connection = connections.open_writer(tmp_path)
    schema.migrate(connection)
    found = {
        name: [column[1] for column in connection.execute(f"PRAGMA table_info({name})")]
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith(("sqlite_", "search_words_"))
    }
    copied = {table.name: [name for name in table.names if name != "rowid"] for table in copying.TABLES}
    assert set(found) - set(copied) == set(copying.NOT_COPIED)
    for name, columns in copied.items():
        assert sorted(columns) == sorted(found[name]), name
    assert isinstance(connection, sqlite3.Connection)
