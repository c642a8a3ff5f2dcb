"""What only a store in PostgreSQL has: several nodes, lost connections, and a database that may be away."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import psycopg
import pytest
from tests.contract.stores import answered, context_ids, document, item_ids, replay, response, said, turn
from tests.postgres_server import PostgresServer, free_port, shared_server

from kodo.server.config import LimitSettings
from kodo.server.http.budgets import Budgets
from kodo.server.http.errors import RateLimited
from kodo.server.http.keys import Caller, new_key
from kodo.server.http.limits import SHARE_SECONDS, Limits, Ticket
from kodo.server.lifecycle.activity import ActivityFilter
from kodo.server.lifecycle.errors import Conflict, StoreFailed
from kodo.server.lifecycle.records import DocumentRow, KeyCharge, KeySpending, LimitUse, ResponseRow, Unless
from kodo.server.store import key_memory
from kodo.server.store.postgres import connections, ownership, schema, writer
from kodo.server.store.postgres import limits as limits_module
from kodo.server.store.postgres import store as store_module
from kodo.server.store.postgres.connections import PostgresConnection
from kodo.server.store.postgres.lease import LeaseKeeper
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.postgres.writer import Fenced

SHORT = 0.6
"""Seconds of a lease in tests that let one run out."""


@pytest.fixture
async def nodes() -> AsyncIterator[Callable[..., Any]]:
    """Makes open nodes on one new database."""
    url = shared_server().new_database()
    made: list[PostgresStore] = []

    async def node(**options: Any) -> PostgresStore:
        store = PostgresStore(url, **options)
        await store.open()
        made.append(store)
        return store

    yield node
    for store in made:
        await store.close()


def pause(store: PostgresStore) -> None:
    """What SIGSTOP does to a node's lease: nobody renews it."""
    assert store._lease is not None
    store._lease.stop()


async def expired(store: PostgresStore) -> list[int]:
    """Wait until a node finds expired leases, and return their epochs."""
    for _ in range(200):
        found = await store._write(ownership.remove_expired)
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("no lease ran out")


async def test_two_nodes_see_what_the_other_wrote(nodes: Callable[..., Any]) -> None:
    """Rows, chains and conversations are the database's, and contexts in memory do not hide what came later."""
    one, two = await nodes(), await nodes()
    await one.put_document(document("c"))
    await turn(one, "a", conversation="c")
    assert await context_ids(two, "a") == ["a-in", "a-out"]
    await turn(two, "b", parent="a", conversation="c")
    assert await context_ids(one, "b") == ["a-in", "a-out", "b-in", "b-out"]
    assert [item.item.id for item in await one.all_items("ada", "c")] == await item_ids(two, "c")
    await two.delete_item("ada", "c", "a-in")
    await two.append_items("ada", "c", [said("x")])
    assert [item.item.id for item in await one.all_items("ada", "c")] == ["a-out", "b-in", "b-out", "x"]


async def test_the_dashboard_finds_lines_as_on_sqlite(nodes: Callable[..., Any]) -> None:
    """By the beginning of an id, and by words in small or capital letters."""
    store = await nodes()
    for name, text in (("resp_1", "Say Hello"), ("resp_12", "100%"), ("resp_2", "hello again")):
        await store.create_response(response(name), [said(f"{name}-in", text)])

    async def found(text: str) -> list[str]:
        return [line.id for line in await store.activity.activities(ActivityFilter(text=text), 10)]

    assert await found("resp_1") == ["resp_12", "resp_1"]
    assert await found("HELLO") == ["resp_2", "resp_1"]
    assert await found("0%") == ["resp_12"]


async def test_writers_of_two_nodes_lose_nothing(nodes: Callable[..., Any]) -> None:
    """Appends to two conversations in opposite orders at once: all are there once, in places without a gap."""
    stores = [await nodes(), await nodes()]
    for name in ("c", "d"):
        await stores[0].put_document(document(name))
    await asyncio.gather(
        *(
            store.append_items("ada", name, [said(f"{number}-{turn}")])
            for number, store in enumerate(stores)
            for turn in range(40)
            for name in ("cd" if number else "dc")
        )
    )
    for name in ("c", "d"):
        assert len(await item_ids(stores[0], name)) == 80


async def test_of_two_nodes_that_put_a_document_under_a_condition_one_wins(nodes: Callable[..., Any]) -> None:
    """Each looks behind the other one's commit."""
    one, two = await nodes(), await nodes()
    condition = Unless(kind="run", statuses=("queued",))
    for number in range(20):
        await one.put_document(document(f"c{number}"))
        results = await asyncio.gather(
            *(
                node.append_items(
                    "ada",
                    f"c{number}",
                    [],
                    [document(name, kind="run", parent=f"c{number}", status="queued")],
                    unless=condition,
                )
                for node, name in ((one, f"a{number}"), (two, f"b{number}"))
            ),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]


async def test_of_the_claims_of_two_nodes_one_wins(nodes: Callable[..., Any]) -> None:
    """All others see the winner's row, wherever they asked."""
    stores = [await nodes(), await nodes()]
    rows = [replay(b"%d" % number) for number in range(20)]
    results = await asyncio.gather(
        *(stores[number % 2].claim_replay("ada", "k", row, expired=0) for number, row in enumerate(rows))
    )
    winners = [row for row, result in zip(rows, results, strict=True) if result is None]
    assert len(winners) == 1
    seen = [result for result in results if result is not None]
    assert all(msgspec.structs.replace(result, elsewhere=False) == winners[0] for result in seen)
    assert {result.elsewhere for result in seen} == {True, False}


async def test_a_child_and_the_delete_of_its_parent_leave_no_hole(nodes: Callable[..., Any]) -> None:
    """Whatever comes first: a child that has its parent keeps the context, one that has not says so."""
    one, two = await nodes(), await nodes()
    for number in range(20):
        await turn(one, f"p{number}")
        await asyncio.gather(
            turn(one, f"c{number}", parent=f"p{number}"), two.delete_response("ada", f"p{number}")
        )
        assert await context_ids(two, f"c{number}") in (
            None,
            [f"p{number}-in", f"p{number}-out", f"c{number}-in", f"c{number}-out"],
        )


async def test_a_node_finds_its_own_work_and_that_of_the_dead(nodes: Callable[..., Any]) -> None:
    """Another living node's responses, batches and claims stay its own; a dead one's go to who looks first."""
    one, two = await nodes(lease_seconds=SHORT), await nodes()
    await one.create_response(response("r", background=True), [said("i")])
    await one.put_document(document("b", kind="batch", status="in_progress"))
    await one.claim_replay("ada", "k", replay(), expired=0)
    assert list(await two.unfinished()) == []
    assert list(await two.unfinished_documents("batch", ["in_progress"])) == []
    assert await two.claim_replay("ada", "k", replay(), expired=0) is not None
    pause(one)
    assert await expired(two) == [one.epoch]
    assert [row.id for row in await two.unfinished()] == ["r"]
    assert [row.id for row in await two.unfinished_documents("batch", ["in_progress"])] == ["b"]
    assert await two.claim_replay("ada", "k", replay(), expired=0) is None


async def test_a_document_that_is_given_up_is_anybodys(nodes: Callable[..., Any]) -> None:
    """Nobody else takes it while a living node has it; afterwards whoever comes first has it, and the dead's is anybody's too."""
    one, two = await nodes(lease_seconds=SHORT), await nodes()
    await one.put_document(document("c"))

    def run(version: int, status: str) -> DocumentRow:
        return document("r", kind="run", parent="c", status=status, version=version)

    await one.append_items("ada", "c", [], [run(0, "busy")])
    with pytest.raises(Conflict):
        await two.append_items("ada", "c", [said("x")], take=run(1, "busy"))
    await one.update_document(run(1, "waiting"), release=True)
    results = await asyncio.gather(
        *(node.append_items("ada", "c", [], take=run(2, "busy")) for node in (one, two)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    first, second = (one, two) if results[0] is None else (two, one)
    assert [row.id for row in await first.unfinished_documents("run", ["busy"])] == ["r"]
    assert list(await second.unfinished_documents("run", ["busy"])) == []
    await first.update_document(run(3, "waiting"), release=True)
    await second.append_items("ada", "c", [], take=run(4, "busy"))
    assert list(await first.unfinished_documents("run", ["busy"])) == []
    await second.update_document(run(5, "waiting"), release=True)
    await one.append_items("ada", "c", [], take=run(6, "busy"))
    pause(one)
    assert await expired(two) == [one.epoch]
    await two.append_items("ada", "c", [], take=run(7, "busy"))
    assert [row.version for row in await two.unfinished_documents("run", ["busy"])] == [7]
    assert await item_ids(two, "c") == []


async def test_a_node_past_its_lease_writes_nothing(nodes: Callable[..., Any]) -> None:
    """Not even what was queued before another node took over; it is told, and reads go on."""
    one, two = await nodes(lease_seconds=SHORT), await nodes()
    await one.create_response(response("r"), [])
    await one.append_log("r", 0, [b"a"])
    pause(one)
    await expired(two)
    for write in (
        one.append_log("r", 1, [b"zombie"]),
        one.finish_response(response("r", status="completed"), [answered("o")]),
        one.put_document(document("d")),
    ):
        with pytest.raises(Fenced):
            await write
    await asyncio.wait_for(one.fenced.wait(), 5)
    assert list(await one.read_log("r")) == [b"a"]
    await two.append_log("r", 1, [b"b"])
    assert list(await one.read_log("r")) == [b"a", b"b"]


async def test_a_key_is_charged_by_the_node_that_ends_its_response(nodes: Callable[..., Any]) -> None:
    """Not by the one that was taken for dead, which ends it too; what it had stored itself stays."""
    one, two = await nodes(lease_seconds=SHORT), await nodes()

    def ended(name: str, tokens: int) -> ResponseRow:
        charge = KeyCharge(key_id="k", day=20_000, spending=KeySpending(tokens, 3 * tokens))
        return msgspec.structs.replace(response(name, status="completed"), charge=charge)

    await one.create_response(response("r", background=True), [])
    await one.store_response(ended("whole", 1), [], [])
    pause(one)
    await expired(two)
    assert [row.id for row in await two.unfinished()] == ["r"]
    late, first, second = await asyncio.gather(
        one.finish_response(ended("r", 1000), [answered("o")]),
        two.finish_response(ended("r", 10), [answered("o")]),
        two.finish_response(ended("r", 100), [answered("o")]),
        return_exceptions=True,
    )
    assert (type(late), first, second) == (Fenced, None, None)
    spent = (await two.key_spending("k", 0))[20_000]
    assert spent in (KeySpending(11, 33), KeySpending(101, 303))


async def test_what_an_older_server_adds_to_a_budget_counts(nodes: Callable[..., Any]) -> None:
    """It writes to the table of its version, by rows that are new or there; so does what stood there before the migration."""
    url = shared_server().new_database()
    added = (
        "INSERT INTO key_tokens (key_id, day, tokens, nano_usd) VALUES ('k', 5, 10, 7) ON CONFLICT (key_id, day) "
        "DO UPDATE SET tokens = key_tokens.tokens + excluded.tokens, nano_usd = key_tokens.nano_usd + excluded.nano_usd"
    )
    connection = connections.connect(url)
    schema.migrate(connection, schema.migrations()[:3])
    connection.execute(added)
    schema.migrate(connection, schema.migrations())
    for _ in range(2):
        connection.execute(added)
    connection.raw.close()
    store = PostgresStore(url)
    await store.open()
    await store.charge_key(KeyCharge(key_id="k", day=5, spending=KeySpending(1, 1)))
    assert await store.key_spending("k", 0) == {5: KeySpending(31, 22)}
    await store.close()


async def test_a_node_that_comes_back_in_time_goes_on(nodes: Callable[..., Any]) -> None:
    """A lease that ran out and that nobody took is renewed; the write that met it waits for that."""
    one = await nodes(lease_seconds=SHORT)
    one_lease = one._lease
    await one._write(
        lambda connection: (
            connection.execute(
                "UPDATE nodes SET lease_until = clock_timestamp() - make_interval(secs => 1)"
            ).rowcount
        )
    )
    await asyncio.wait_for(one.put_document(document("d")), 10)
    assert one_lease is one._lease
    assert not one.fenced.is_set()


async def test_a_node_that_stops_leaves_its_work_at_once(nodes: Callable[..., Any]) -> None:
    """Without waiting for a lease."""
    one, two = await nodes(), await nodes()
    await one.create_response(response("r", background=True), [])
    await one.close()
    assert [row.id for row in await two.unfinished()] == ["r"]


async def test_lost_connections_are_opened_again(nodes: Callable[..., Any]) -> None:
    """Every backend is terminated between and during writes; each write happens once."""
    store = await nodes()
    await store.create_response(response("r"), [])
    going = True

    async def terminate() -> None:
        while going:
            await asyncio.to_thread(
                shared_server().execute,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'kodo %'",
            )
            await asyncio.sleep(0.05)

    task = asyncio.create_task(terminate())
    for number in range(60):
        await store.append_log("r", number, [b"%d" % number])
        await store.put_document(document(f"d{number}"))
    going = False
    await task
    assert list(await store.read_log("r")) == [b"%d" % number for number in range(60)]


@pytest.mark.parametrize("done", [True, False])
async def test_a_commit_without_an_answer_is_looked_up(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Where it took place it is not done again, and where it did not, it is: a new id is no conflict with itself."""
    store = await nodes()
    real = psycopg.Connection.execute
    lost: list[str] = []

    def execute(self: psycopg.Connection[Any], query: Any, *values: Any, **options: Any) -> Any:
        if query == "COMMIT" and not lost:
            lost.append("COMMIT")
            if done:
                real(self, query, *values, **options)
            self.close()
            raise psycopg.OperationalError("the connection is gone")
        return real(self, query, *values, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    await store.create_response(response("r"), [said("i")])
    assert lost == ["COMMIT"]
    assert await item_ids(store, "r") == ["i"]
    with pytest.raises(Conflict):
        await store.create_response(response("r"), [])


async def test_a_write_that_may_have_been_kept_is_looked_for(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it is told that it failed; the node finds the row among its own, once it is asked for."""
    store = await nodes()
    await store.work_is_left()
    real = psycopg.Connection.execute
    lost: list[str] = []

    def execute(self: psycopg.Connection[Any], query: Any, *values: Any, **options: Any) -> Any:
        answer = real(self, query, *values, **options)
        if query == "COMMIT" and not lost:
            lost.append("COMMIT")
            self.close()
            raise psycopg.OperationalError("the connection is gone")
        return answer

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.0)
    with pytest.raises(StoreFailed, match="may have been kept"):
        await store.create_response(response("r", background=True), [said("i")])
    assert [await store.work_is_left() for _ in range(2)] == [True, False]
    assert [row.id for row in await store.unfinished()] == ["r"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_charge_whose_commit_has_no_answer_counts_once(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """It was taken and called failed, or it was not taken: what was held back is sent again with its id."""
    store = await nodes()
    budgets = Budgets(store, LimitSettings(tokens_per_day=100), {}, lambda: 1e9)
    real = psycopg.Connection.execute
    lost: list[str] = []

    def execute(self: psycopg.Connection[Any], query: Any, *values: Any, **options: Any) -> Any:
        if query != "COMMIT" or lost:
            return real(self, query, *values, **options)
        lost.append("COMMIT")
        if done:
            real(self, query, *values, **options)
        self.close()
        raise psycopg.OperationalError("the connection is gone")

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    with monkeypatch.context() as away:
        away.setattr(writer, "RETRY_SECONDS", 0.0)
        await budgets.charge(KeyCharge(key_id="k", day=5, spending=KeySpending(7, 9)))
    assert (lost, len(budgets._unwritten)) == (["COMMIT"], 1)
    for _ in range(2):
        await budgets.written()
        assert await store.key_spending("k", 0) == {5: KeySpending(7, 9)}
    assert not budgets._unwritten


async def test_a_refused_commit_fails_its_batch_only(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there stays, and the next write goes through."""
    store = await nodes()
    await turn(store, "a")
    real = psycopg.Connection.execute

    def execute(self: psycopg.Connection[Any], query: Any, *values: Any, **options: Any) -> Any:
        if query == "COMMIT":
            raise psycopg.errors.DiskFull
        return real(self, query, *values, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    with pytest.raises(StoreFailed, match="disk is full"):
        await turn(store, "b")
    monkeypatch.undo()
    assert await store.get_response("ada", "b") is None
    await turn(store, "b", parent="a")
    assert await context_ids(store, "b") == ["a-in", "a-out", "b-in", "b-out"]


async def test_writes_that_wait_together_are_one_transaction(nodes: Callable[..., Any]) -> None:
    """A refused one fails alone, and the others share its commit."""
    store = await nodes()
    await store.put_document(document("taken"))
    before = await batches(store)
    results = await asyncio.gather(
        *(store.put_document(document(f"d{number}")) for number in range(50)),
        store.put_document(document("taken")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None)] * 50 + [Conflict]
    assert await batches(store) - before < 20


async def batches(store: PostgresStore) -> int:
    """Transactions of a node's writers so far."""

    def read(connection: Any) -> int:
        return int(connection.execute("SELECT sum(batch)::bigint FROM writers").fetchone()[0])

    return await store._read(read)


@pytest.mark.parametrize("text", ["a\0b", "\0", "\uf8ff0", "\uf8ff\0\uf8ff1", "plain 🎉"])
def test_text_that_postgresql_refuses_is_escaped(text: str) -> None:
    """U+0000 may stand in an id; the escape itself may too."""
    assert "\0" not in connections.escape(text)
    assert connections.unescape(connections.escape(text)) == text


async def test_servers_that_start_together_migrate_once() -> None:
    """Eight stores open one empty database at once."""
    url = shared_server().new_database()
    stores = [PostgresStore(url) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    assert len({store.epoch for store in stores}) == 8
    assert (await stores[0].stats())["schema"] == len(schema.migrations())
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("number", range(1, len(schema.migrations()) + 1))
def test_a_migration_only_adds(number: int) -> None:
    """Servers of the version before go on with their queries: nothing goes or gets another name, and their rows are taken."""
    statements = [
        " ".join(statement.split())
        for statement in re.sub(r"--[^\n]*", "", schema.migrations()[number - 1]).split(";")
    ]
    for statement in statements:
        assert not re.search(r"\b(RENAME|DROP|TRUNCATE|SET NOT NULL)\b", statement, re.IGNORECASE), statement
        if re.search(r"\bADD COLUMN\b.*\bNOT NULL\b", statement, re.IGNORECASE):
            assert "DEFAULT" in statement, statement


@pytest.mark.parametrize(("ahead", "opens"), [(1, True), (2, False)])
async def test_a_database_may_be_one_version_ahead(ahead: int, opens: bool) -> None:
    """The servers of the old version go on while the others are upgraded; older ones are refused in words."""
    url = shared_server().new_database()
    store = PostgresStore(url)
    await store.open()
    newest = len(schema.migrations()) + ahead
    await store._write(
        lambda connection: (
            connection.execute("INSERT INTO kodo_schema (version) VALUES (?)", (newest,)).rowcount
        )
    )
    await store.close()
    if opens:
        await store.open()
        await store.close()
    else:
        with pytest.raises(StoreFailed, match=f"schema {newest}"):
            await store.open()


async def test_a_database_that_is_not_what_it_says_is_refused() -> None:
    """A migration finds what it adds there already: both versions and what to do are said, and nothing is changed."""
    url = shared_server().new_database()
    raw = connections.connect(url)
    known = schema.migrations()
    try:
        schema.migrate(raw, known[:2])
        raw.execute("ALTER TABLE keys ADD COLUMN usd_per_day REAL")
        with pytest.raises(
            StoreFailed, match=r"schema 2 of kodo, .* step to 3 of \d+ .*usd_per_day.* backup"
        ):
            await PostgresStore(url).open()
        assert schema.version(raw) == 2
    finally:
        raw.raw.close()


async def test_another_programs_database_is_refused() -> None:
    """A table of the same name that kodo did not make."""
    url = shared_server().new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE responses (id INT)")
    with pytest.raises(StoreFailed, match="not made by kodo"):
        await PostgresStore(url).open()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://kodo:hunter2@127.0.0.1:{closed}/kodo", "cannot be reached"),
        ("postgresql://kodo:hunter2@127.0.0.1:{port}/nothing", "does not exist"),
        ("postgresql://nobody:hunter2@127.0.0.1:{port}/postgres", "role"),
        ("postgresql://kodo:hunter2@[bad", "not an address"),
    ],
)
async def test_a_database_that_does_not_open_is_said_in_one_line(url: str, words: str) -> None:
    """Which one, and why; never the password."""
    with pytest.raises(StoreFailed, match=words) as caught:
        await PostgresStore(url.format(port=shared_server().port, closed=free_port())).open()
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message


async def test_a_statement_that_takes_too_long_is_ended(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller gets a StoreFailed, and the connection goes on."""
    monkeypatch.setattr(connections, "STATEMENT_SECONDS", 1.5)  # making the tables has to fit in, too
    monkeypatch.setattr(connections, "LOCK_SECONDS", 1.5)
    store = await nodes()

    def sleep(connection: PostgresConnection) -> object:
        return connection.execute("SELECT pg_sleep(60)").fetchone()

    for call in (store._read, store._write):
        with pytest.raises(StoreFailed, match="too long"):
            await call(sleep)
    await turn(store, "a")


async def test_a_closed_store_says_so() -> None:
    """Before opening and after closing; closing twice is closing."""
    store = PostgresStore(shared_server().new_database())
    for _ in range(2):
        with pytest.raises(StoreFailed, match="not open"):
            await store.get_response("ada", "r")
        with pytest.raises(StoreFailed, match="not open"):
            await store.put_document(document("d"))
        await store.open()
        await store.close()
        await store.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_restart_of_the_database_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """In order or by a crash: what was acknowledged is there, and the writes that met it happen once."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 60.0)
    server = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    try:
        store = PostgresStore(server.new_database(), lease_seconds=60)
        await store.open()
        await store.create_response(response("r"), [])

        async def restart() -> None:
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.stop, how)
            await asyncio.to_thread(server.start)

        restarted = asyncio.create_task(restart())
        number = 0
        while not restarted.done() or number % 20:
            await store.append_log("r", number, [b"%d" % number])
            number += 1
        assert list(await store.read_log("r")) == [b"%d" % one for one in range(number)]
        await store.close()
    finally:
        await asyncio.to_thread(server.close)


async def test_a_database_that_is_away_for_longer_than_the_lease_costs_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When it is back, every server renews its lease before another one takes it for dead; a dead one is found later."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 60.0)
    server = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    try:
        url = server.new_database()
        stores = [PostgresStore(url, lease_seconds=SHORT) for _ in range(3)]
        for store in stores:
            await store.open()
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(3 * SHORT)
        await asyncio.to_thread(server.start)
        for store in (*stores, *stores):
            await store.work_is_left()
            await asyncio.sleep(SHORT / 3)
        assert not any(store.fenced.is_set() for store in stores)
        for number, store in enumerate(stores):
            await store.create_response(response(f"r{number}"), [])
        pause(stores[2])
        while len(await stores[0].servers()) == 3:
            await stores[0].work_is_left()
            await asyncio.sleep(0.05)
        for store in stores:
            await store.close()
    finally:
        await asyncio.to_thread(server.close)


def test_a_node_that_was_cut_off_judges_nobody_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a lease and an attempt to connect; nor one that was paused for longer than its lease. One that starts may at once."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    keeper = LeaseKeeper(lambda: pytest.fail("it is not yet time"), 1, 40.0, lambda: None)
    judged = [keeper.may_judge]
    for seconds, broken in (
        (10, False),
        (10, True),
        (30, False),
        (14, False),
        (1, False),
        (50, False),
        (39, False),
        (6, False),
    ):
        now[0] += seconds
        keeper._broken = keeper._broken or broken
        keeper._note_renewal()
        judged.append(keeper.may_judge)
    keeper.stop()
    assert judged == [True, True, False, False, False, True, False, False, True]


async def test_a_database_that_has_just_come_back_costs_no_server(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago its first process was started: no session is old enough to say that leases could be renewed."""
    monkeypatch.setattr(store_module, "patience", lambda seconds: 3600.0)
    one = await nodes(lease_seconds=SHORT)
    pause(one)
    await asyncio.sleep(SHORT + 0.1)
    three = await nodes(lease_seconds=SHORT)
    assert not one.fenced.is_set()
    assert one.epoch in {row[0] for row in await three._read(ownership.living)}
    assert await expired(three) == [one.epoch]


async def test_a_lease_does_not_wait_for_the_disk(nodes: Callable[..., Any]) -> None:
    """Its connection says so itself; those that write rows leave it to the database."""
    shown = "SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'"
    one = await nodes()
    assert one._lease is not None
    lease = await asyncio.to_thread(one._lease._connected)
    assert lease.execute(shown).fetchone() == ("off", "session")
    lease.raw.close()
    assert (await one._write(lambda connection: connection.execute(shown).fetchone()))[1] != "session"


async def test_a_stored_response_is_sent_without_waiting(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many of them: a handful of statements each, and the writer waits once a transaction, not once a statement."""
    store = await nodes()
    statements: list[str] = []
    waits: list[PostgresConnection] = []
    real, settle = PostgresConnection.execute, PostgresConnection.settle

    def execute(connection: PostgresConnection, sql: str, parameters: Any = (), /) -> Any:
        statements.append(sql)
        return real(connection, sql, parameters)

    def settled(connection: PostgresConnection) -> bool:
        waits.append(connection)
        return settle(connection)

    monkeypatch.setattr(PostgresConnection, "execute", execute)
    monkeypatch.setattr(PostgresConnection, "settle", settled)
    await asyncio.gather(
        *(
            store.store_response(
                response(f"r{number}", status="completed"), [said("i")], [answered("o")], log=(0, [b"a"])
            )
            for number in range(100)
        )
    )
    assert len([sql for sql in statements if "writers" not in sql]) <= 5 * 100
    assert len(waits) < 50
    assert [item.id for item in (await store.response_items("ada", "r99"))[1]] == ["o"]


async def test_a_write_that_was_believed_and_is_refused_leaves_the_others(nodes: Callable[..., Any]) -> None:
    """Taken ids and a gap in a log among good writes in one transaction: each caller is told what is true."""
    store = await nodes()
    await store.create_response(response("taken"), [])
    await store.put_document(document("d"))
    results = await asyncio.gather(
        store.create_response(response("a"), [said("i")]),
        store.create_response(response("taken"), []),
        store.append_log("taken", 0, [b"a"]),
        store.append_log("taken", 3, [b"x"]),
        store.append_log("taken", 0, [b"a", b"b"]),
        store.put_document(document("d")),
        store.finish_response(response("a", status="completed"), [answered("o")]),
        store.finish_response(response("nowhere", status="completed"), [answered("o")]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        *(type(None), Conflict, type(None), ValueError, type(None), Conflict, type(None), type(None))
    ]
    assert list(await store.read_log("taken")) == [b"a", b"b"]
    found = await store.get_response("ada", "a")
    assert found is not None
    assert found.status == "completed"


async def test_a_key_is_known_everywhere_at_once(nodes: Callable[..., Any]) -> None:
    """Keys are kept in memory between requests; one that another process makes or revokes is heard of."""
    one, two, tool = await nodes(), await nodes(), await nodes(role="tool")
    assert not await one.has_keys()
    before = one._key_memory.changes
    _, row = new_key(name="n", project="p")
    await tool.put_key(row)
    while one._key_memory.changes == before:
        await asyncio.sleep(0.01)
    assert await one.has_keys()
    assert await one.key_by_hash(row.hash) == row == await two.key(row.id)
    assert await one.key_by_hash(row.hash) is await one.key_by_hash(row.hash), "it is read at each request"
    await two.put_key(msgspec.structs.replace(row, revoked_at=5.0))
    for node in (two, one):
        while (await node.key_by_hash(row.hash)).revoked_at is None:
            assert node is one, "its own change"
            await asyncio.sleep(0.01)


def used(requests: int = 0, running: int = 0, *, told: int = 0, per_minute: int | None = 60) -> LimitUse:
    """What a server has used of a key's limits since it began: two tokens a request."""
    return LimitUse(
        requests_per_minute=per_minute,
        tokens_per_minute=60,
        requests=requests,
        tokens=2 * requests,
        requests_told=told,
        tokens_told=2 * told,
        running=running,
    )


async def test_the_limits_of_a_key_are_one_bucket(nodes: Callable[..., Any]) -> None:
    """What any server takes is gone for all; it refills by the database's clock, and no higher than the limit."""
    one, two = await nodes(), await nodes()
    begun = time.monotonic()
    assert (await one.share_limits("k", used(10))).requests == pytest.approx(50, abs=1)
    left = await two.share_limits("k", used(45))
    refilled = time.monotonic() - begun + 0.1  # one a second
    assert (left.requests, left.tokens) == (
        pytest.approx(5, abs=refilled),
        pytest.approx(-50, abs=refilled),
    )
    begun = time.monotonic()
    await asyncio.sleep(1)
    later = await one.share_limits("k", used(10))
    assert 0.9 < later.requests - left.requests < time.monotonic() - begun + refilled
    assert (await one.share_limits("other", used())).requests == 60
    assert (await two.share_limits("other", used())).tokens == 60
    assert (await one.share_limits("none", used(3, per_minute=None))).requests is None


async def test_what_is_said_twice_of_limits_counts_once(nodes: Callable[..., Any]) -> None:
    """An answer may be lost with its connection: what was counted is known by the row. What was given up is given back."""
    one, two = await nodes(), await nodes()
    for _ in range(3):
        left = await one.share_limits("k", used(20))
    assert left.requests == pytest.approx(40, abs=2)
    assert (await one.share_limits("k", used(19, told=20))).requests == pytest.approx(41, abs=2)
    assert (await two.share_limits("k", used(5))).requests == pytest.approx(36, abs=2)
    await two._write(lambda connection: connection.execute("TRUNCATE limit_levels"))
    forgotten = await one.share_limits("k", used(21, told=19))
    assert forgotten.requests == pytest.approx(58, abs=1), (
        "the database has crashed: what was told before is over"
    )


async def test_a_read_of_limits_that_is_done_again_counts_once(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost after the commit."""
    one = await nodes()
    share, lost = limits_module.share, iter([True])

    def cut(connection: Any, *arguments: Any) -> Any:
        found = share(connection, *arguments)
        if next(lost, False):
            raise psycopg.OperationalError("the connection is lost")
        return found

    monkeypatch.setattr(limits_module, "share", cut)
    assert (await one.share_limits("k", used(20))).requests == pytest.approx(40, abs=1)


async def test_what_a_dead_server_ran_does_not_count(nodes: Callable[..., Any]) -> None:
    """The requests of the living do."""
    one, two, three = await nodes(lease_seconds=SHORT), await nodes(), await nodes()
    for store, running in ((one, 5), (two, 2)):
        await store.share_limits("k", used(running=running))
    assert (await three.share_limits("k", used())).running_elsewhere == 7
    pause(one)
    await expired(two)
    assert (await three.share_limits("k", used(running=1))).running_elsewhere == 2


async def limited(nodes: Callable[..., Any], count: int, settings: LimitSettings) -> list[Limits]:
    """The limits of several servers on one database."""
    made = []
    for _ in range(count):
        store = await nodes()
        made.append(Limits(settings, time.monotonic, Budgets(store, settings, {}, time.time), store))
    return made


async def admitted(limits: Sequence[Limits], requests: int) -> list[Ticket]:
    """Those of some requests at once, spread over the servers, that are let in."""

    async def one(at: Limits) -> Ticket | None:
        try:
            return await at.admit(Caller("p"))
        except RateLimited:
            return None

    found = await asyncio.gather(*(one(limits[number % len(limits)]) for number in range(requests)))
    return [ticket for ticket in found if ticket is not None]


@pytest.mark.parametrize("servers", [2, 8])
async def test_all_servers_admit_no_more_requests_than_the_limit(
    nodes: Callable[..., Any], servers: int
) -> None:
    """In a burst that begins at one server and goes on at the others, and in the one after it."""
    limits = await limited(nodes, servers, LimitSettings(requests_per_minute=100))
    begun = time.monotonic()
    count = len(await admitted(limits[:1], 30)) + len(await admitted(limits, 200))
    for server in limits:
        count += len(await admitted([server], 10))
    refilled = (time.monotonic() - begun) * 100 / 60
    assert 100 - servers <= count <= 100 + refilled


@pytest.mark.parametrize("servers", [2, 8])
async def test_all_servers_run_no_more_requests_than_the_limit(
    nodes: Callable[..., Any], servers: int
) -> None:
    """Whatever each of them has heard of the others before."""
    limits = await limited(nodes, servers, LimitSettings(concurrent_requests=10))
    for _ in range(2):
        running = await admitted(limits, 40)
        assert 10 - servers < len(running) <= 10
        for ticket in running[:5]:
            ticket.close()
        running = running[5:] + await admitted(limits, 40)
        assert len(running) <= 10
        for ticket in running:
            ticket.close()
        for server in limits:
            await server.share()
        await asyncio.sleep(SHARE_SECONDS)


async def test_a_request_that_is_given_up_while_it_is_admitted_counts_no_longer(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client left after the database had counted it, and before the answer."""
    one, two = await limited(nodes, 2, LimitSettings(requests_per_minute=60, concurrent_requests=1))
    store = one._store
    assert store is not None
    share, counted = store.share_limits, asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        await share(*arguments)
        counted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "share_limits", slow)
    leaving = asyncio.create_task(one.admit(Caller("p")))
    await counted.wait()
    leaving.cancel()
    await asyncio.wait({leaving})
    monkeypatch.undo()
    await one.share()
    ticket = await two.admit(Caller("p"))
    assert ticket.headers["x-ratelimit-remaining-requests"] == "59"


async def test_keys_are_read_again_where_no_news_come(
    nodes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second, whatever happened to the connection that listens."""
    monkeypatch.setattr(key_memory, "KEYS_SECONDS", 0.05)
    one, two = await nodes(), await nodes()
    await one.has_keys()
    monkeypatch.setattr(one._news, "_heard", lambda name: None)
    await two.put_key(new_key(name="n", project="p")[1])
    while not await one.has_keys():
        await asyncio.sleep(0.01)
