"""What the dashboard reads: kept with every response, and found without reading the others."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.stores import answered, response, said

from kodo.server.lifecycle.activity import (
    DAY,
    HOUR,
    MINUTE,
    MINUTES_KEPT,
    WIDTHS,
    ActivityFilter,
    bucket_of,
    upper_bound,
)
from kodo.server.lifecycle.errors import Conflict
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import Timing
from kodo.server.store import activity_queries as queries
from kodo.server.store import connections, schema
from kodo.server.store.sql import POSTGRES
from kodo.server.store.sqlite import SqliteStore

SAID = msgspec.json.encode(
    {
        "model": "tiny",
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 15,
        },
    }
)
TIMING = Timing(queued=0.1, first_token=0.25, total=1.25)


async def opened(home: Path) -> SqliteStore:
    store = SqliteStore(home)
    await store.open()
    return store


async def test_a_response_has_a_line_from_its_beginning_to_its_deletion(tmp_path: Path) -> None:
    """Its status and numbers follow; its sums stay when it goes."""
    store = await opened(tmp_path)
    row = msgspec.structs.replace(response("one", status="in_progress"), response=b'{"model": "tiny"}')
    await store.create_response(row, [said("asked", "what")])
    (line,) = await store.activity.activities(ActivityFilter(), 10)
    assert (line.status, line.model, line.usage) == ("in_progress", "tiny", Usage())
    assert await store.activity.unfinished_count(None) == 1
    assert await store.activity.sums(HOUR, 0, None) == []
    done = msgspec.structs.replace(row, status="completed", response=SAID, timing=TIMING)
    await store.finish_response(done, [answered("said", "that")])
    await store.finish_response(done, [answered("said", "that")])  # a second end changes nothing
    found = await store.activity.activity("one")
    assert found is not None
    assert (found.status, found.usage, found.timing) == (
        "completed",
        Usage(input=10, cached=4, output=5, reasoning=2),
        TIMING,
    )
    for width in WIDTHS:
        (sums,) = await store.activity.sums(width, 0, None)
        assert (sums.requests, sums.failed, sums.usage.output) == (1, 0, 5)
        assert (sums.decode_tokens, sums.decode_seconds) == (4, 1.0)
        (first,) = await store.activity.first_tokens(width, 0, row.owner)
        assert upper_bound(first.bucket - 1) < 0.25 <= upper_bound(first.bucket)
    assert await store.delete_response(row.owner, "one")
    assert await store.activity.activities(ActivityFilter(), 10) == []
    assert len(await store.activity.sums(HOUR, 0, None)) == 1
    assert await store.activity.sums(HOUR, 0, "somebody else") == []
    await store.close()


async def test_a_write_that_fails_counts_nothing(tmp_path: Path) -> None:
    """The line and the sums are in the response's own transaction."""
    store = await opened(tmp_path)
    row = response("one", status="completed", body=SAID)
    await store.create_response(response("two"), [])
    with pytest.raises(Conflict):
        await store.store_response(row, [said("x", "x")], [answered("y", "y"), answered("y", "y")])
    with pytest.raises(Conflict):
        await store.store_response(response("two", status="completed", body=SAID), [], [])
    assert [line.id for line in await store.activity.activities(ActivityFilter(), 10)] == ["two"]
    assert await store.activity.sums(HOUR, 0, None) == []
    await store.close()


async def test_lines_are_filtered_searched_and_paged(tmp_path: Path) -> None:
    """By owner, status, model, time and text; LIKE's own letters are letters."""
    store = await opened(tmp_path)
    for number in range(7):
        row = msgspec.structs.replace(
            response(f"resp_{number}", owner="ada" if number % 2 else "bob"),
            status="failed" if number == 3 else "completed",
            created_at=1000.0 + number,
            response=SAID,
        )
        await store.store_response(row, [said(f"i{number}", f"100%_{number}  of\nit")], [])

    async def ids(**wanted: Any) -> list[str]:
        limit = wanted.pop("limit", 10)
        return [each.id[-1] for each in await store.activity.activities(ActivityFilter(**wanted), limit)]

    assert await ids() == list("6543210")
    assert await ids(owner="ada") == list("531")
    assert await ids(status="failed") == ["3"]
    assert await ids(model="other") == []
    assert await ids(since=1002.0, until=1004.0) == list("32")
    assert await ids(text="100%_4") == ["4"]
    assert await ids(text="100_") == []
    assert await ids(text="resp_5") == ["5"]
    lines = await store.activity.activities(ActivityFilter(), 2)
    assert await ids(before=lines[-1].seq, limit=2) == list("43")
    assert lines[0].title == "100%_6 of it"
    assert list(await store.activity.models()) == ["tiny"]
    assert list(await store.activity.owners()) == ["ada", "bob"]
    await store.close()


async def test_minutes_are_kept_for_two_hours(tmp_path: Path) -> None:
    """They go with what retention deletes; hours and days stay."""
    store = await opened(tmp_path)
    for name, moment in (("old", 1000.0), ("new", 1000.0 + MINUTES_KEPT + 2 * HOUR)):
        row = msgspec.structs.replace(
            response(name, status="completed", created_at=moment, body=SAID), timing=TIMING
        )
        await store.store_response(row, [], [])
    assert len(await store.activity.sums(MINUTE, 0, None)) == 2
    await store.prune(0)
    assert len(await store.activity.sums(MINUTE, 0, None)) == 1
    assert len(await store.activity.first_tokens(MINUTE, 0, None)) == 1
    (day,) = await store.activity.sums(HOUR, 0, None, 10**9)
    assert (day.start % 10**9, day.requests) == (
        0,
        sum(each.requests for each in await store.activity.sums(HOUR, 0, None)),
    )
    assert len(await store.activity.sums(HOUR, 0, None)) == 2
    assert sum(each.requests for each in await store.activity.sums(DAY, 0, None)) == 2
    await store.close()


def test_buckets_hold_what_they_say() -> None:
    """Each time is at most its bucket's bound and above the one before; a bucket is at most a fifth wide."""
    for number in range(1, 400):
        seconds = 0.001 * 1.04**number
        bucket = bucket_of(seconds)
        assert upper_bound(bucket - 1) < seconds * 1.0000001
        assert seconds <= upper_bound(bucket) * 1.0000001
    assert upper_bound(9) / upper_bound(8) < 1.2


SELECTS = {
    "newest": (queries.select_activities(ActivityFilter(), 50), None),
    "next page": (queries.select_activities(ActivityFilter(before=9), 50), "INTEGER PRIMARY KEY"),
    "owner": (queries.select_activities(ActivityFilter(owner="a", before=9), 50), "activity_by_owner"),
    "status": (queries.select_activities(ActivityFilter(status="failed"), 50), "activity_by_status"),
    "model": (queries.select_activities(ActivityFilter(model="m"), 50), "activity_by_model"),
    "id": (queries.select_activities(ActivityFilter(text="resp_1"), 50), "activity_by_id"),
    "text": (queries.select_activities(ActivityFilter(text="word"), 50), "INTEGER PRIMARY KEY"),
    "sums": (queries.select_sums(HOUR, 5, None), "activity_sums USING PRIMARY KEY (width=? AND start>?)"),
    "sums of an owner": (
        queries.select_sums(HOUR, 5, "a"),
        "activity_sums USING PRIMARY KEY (width=? AND start>?)",
    ),
    "first tokens": (
        queries.select_first_tokens(MINUTE, 5, None),
        "activity_first_tokens USING PRIMARY KEY (width=? AND start>?)",
    ),
}


def test_ids_are_compared_by_their_bytes_on_postgresql() -> None:
    """A database of a language's rules reads over the character that ends the search: it would find nothing."""
    query, values = queries.select_activities(ActivityFilter(text="resp_1"), 50, POSTGRES)
    assert 'id COLLATE "C" >= ? AND id COLLATE "C" < ?' in query
    whole = f"resp_{'a' * 48}"
    query, values = queries.select_activities(ActivityFilter(text=whole), 50, POSTGRES)
    assert (" WHERE id = ?" in query, values) == (True, [whole, 50])


@pytest.mark.parametrize("name", SELECTS)
def test_no_page_reads_every_line_or_sorts_them(tmp_path: Path, name: str) -> None:
    """The plan names the index; what is read in the order of the list is not sorted."""
    connection = connections.open_writer(tmp_path)
    schema.migrate(connection)
    (query, values), index = SELECTS[name]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    plan = "; ".join(steps)
    if index is not None:
        assert index in plan
    if "FROM activity " in query and name != "id":
        assert "TEMP B-TREE" not in plan, plan
    assert not any(step.startswith("SCAN activity_") for step in steps), plan
    connection.close()


def test_what_was_stored_before_has_lines_and_sums_too(tmp_path: Path) -> None:
    """The migration makes them of the rows that are there, also where one cannot be read."""
    connection = connections.open_writer(tmp_path)
    steps = schema.migrations()
    schema.migrate(connection, steps[:2])
    for number, body in enumerate((SAID, b"broken")):
        connection.execute(
            "INSERT INTO responses (id, owner, status, created_at, background, final, request, response) "
            "VALUES (?, 'ada', 'completed', ?, 0, 1, x'7b7d', ?)",
            (f"r{number}", 7200.5 + number, body),
        )
    schema.migrate(connection)
    lines = queries.activities(connection, ActivityFilter(), 10)
    assert [(line.id, line.model, line.usage.cached) for line in lines] == [("r1", "", 0), ("r0", "tiny", 4)]
    sums = {each.model: each for each in queries.sums(connection, HOUR, 0, "ada")}
    assert sums["tiny"].start == 7200
    assert (sums["tiny"].requests, sums["tiny"].usage.input, sums[""].requests) == (1, 10, 1)
    assert isinstance(connection, sqlite3.Connection)
    connection.close()


def test_days_are_added_up_from_the_hours_that_were_kept(tmp_path: Path) -> None:
    """By a database of before: sums and first tokens by the day are those of its hours."""
    connection = connections.open_writer(tmp_path)
    steps = schema.migrations()
    schema.migrate(connection, steps[:4])
    sums = "INSERT INTO activity_sums VALUES (?, ?, ?, 'tiny', 1, 0, 0, 0, 10, 4, 5, 2, 4, 0.5)"
    first = "INSERT INTO activity_first_tokens VALUES (?, ?, ?, 'tiny', 7, 1)"
    for start, owner in ((0, "ada"), (DAY - HOUR, "ada"), (DAY - HOUR, "bob"), (DAY, "ada")):
        for width in (MINUTE, HOUR):
            connection.execute(sums, (width, start, owner))
            connection.execute(first, (width, start, owner))
    before = [
        list(connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3"))
        for table in ("activity_sums", "activity_first_tokens")
    ]
    schema.migrate(connection)
    days = queries.sums(connection, DAY, 0, "ada")
    assert [(each.start, each.requests, each.usage.cached, each.decode_seconds) for each in days] == [
        (0, 2, 8, 1.0),
        (DAY, 1, 4, 0.5),
    ]
    counts = queries.first_tokens(connection, DAY, 0, None)
    assert [(each.start, each.bucket, each.count) for each in counts] == [(0, 7, 3), (DAY, 7, 1)]
    after = [
        list(connection.execute(f"SELECT * FROM {table} WHERE width < ? ORDER BY 1, 2, 3", (DAY,)))
        for table in ("activity_sums", "activity_first_tokens")
    ]
    assert after == before
    connection.close()
