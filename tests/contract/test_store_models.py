"""Each database against memory: whatever sequence of calls is made, both stores answer alike.

The memory store is simple enough to be read; this says that the SQL means the same.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.contract.memory_store import MemoryStore
from tests.contract.stores import answered, document, replay, response, said
from tests.postgres_server import shared_server

from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.records import ItemRow, KeyCharge, KeySpending, Page, RetentionRule
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sqlite import SqliteStore

RESPONSES = [f"r{number}" for number in range(6)]
DOCUMENTS = [f"d{number}" for number in range(4)]
ITEMS = [f"i{number}" for number in range(6)]
KINDS = ["conversation", "message"]

owners = st.sampled_from(["ada", "ada", "ada", "bob"])
response_ids = st.sampled_from(RESPONSES)
document_ids = st.sampled_from(DOCUMENTS)
containers = st.sampled_from([*DOCUMENTS, *RESPONSES])
kinds = st.sampled_from(KINDS)
times = st.sampled_from([1.0, 5.0, 9.0])
inputs = st.lists(st.builds(said, st.sampled_from(ITEMS), st.sampled_from(["x", "y"])), max_size=3)
outputs = st.lists(st.builds(answered, st.sampled_from(ITEMS), st.sampled_from(["x", "y"])), max_size=2)
entries = st.lists(st.binary(max_size=2), max_size=3)
charges = st.none() | st.builds(
    KeyCharge,
    key_id=st.just("k"),
    day=st.integers(0, 1),
    spending=st.builds(KeySpending, st.integers(1, 9), st.integers(1, 9)),
)
cursors = st.none() | st.sampled_from([*ITEMS, *DOCUMENTS])
pages = st.builds(
    Page, after=cursors, before=cursors, limit=st.integers(1, 4), order=st.sampled_from(["asc", "desc"])
)

IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where there is such a folder, the hundreds of commits and restarts do not wait for a busy disk, which takes minutes."""


def plain(value: Any) -> Any:
    """Lists and tuples are the same to a caller of the port."""
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


class TwoStores(RuleBasedStateMachine):
    """The same call to both, and the same answer or the same error from both."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self.database = self.make_store()
        self.memory = MemoryStore()
        self.runner.run(self.database.open())

    def make_store(self) -> Store:
        """The store that is compared."""
        return SqliteStore(Path(self.home.name))

    def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        """Make the call, compare, and return the answer."""

        async def answer(store: Store) -> Any:
            try:
                return plain(await call(store))
            except (ServiceError, ValueError) as error:
                return type(error), str(error), getattr(error, "param", None)

        real, model = self.runner.run(answer(self.database)), self.runner.run(answer(self.memory))
        assert real == model
        return real

    @rule(
        id_=response_ids,
        owner=owners,
        parent=st.none() | response_ids,
        conversation=st.none() | document_ids,
        status=st.sampled_from(["queued", "in_progress", "in_progress", "completed"]),
        created_at=times,
        items=inputs,
        charge=charges,
    )
    def create_response(self, id_: str, items: Sequence[ItemRow], charge: Any, **columns: Any) -> None:
        row = msgspec.structs.replace(response(id_, **columns), charge=charge)
        self.both(lambda store: store.create_response(row, items))
        self.both(lambda store: store.key_spending("k", 0))

    @rule(
        id_=response_ids,
        owner=owners,
        items=outputs,
        log=st.none() | st.tuples(st.integers(0, 2), entries),
        charge=charges,
    )
    def finish_response(
        self, id_: str, owner: str, items: Sequence[ItemRow], log: Any, charge: KeyCharge | None
    ) -> None:
        row = response(id_, owner=owner, status="completed", body=b"[]")
        row = msgspec.structs.replace(row, charge=charge)
        self.both(lambda store: store.finish_response(row, items, log=log))
        self.both(lambda store: store.key_spending("k", 0))

    @rule(id_=response_ids, owner=owners)
    def delete_response(self, id_: str, owner: str) -> None:
        self.both(lambda store: store.delete_response(owner, id_))

    @rule(id_=response_ids, first=st.integers(0, 4), some=entries)
    def append_log(self, id_: str, first: int, some: Sequence[bytes]) -> None:
        self.both(lambda store: store.append_log(id_, first, some))

    @rule(id_=response_ids, owner=owners, after=st.integers(-1, 5))
    def read_response(self, id_: str, owner: str, after: int) -> None:
        self.both(lambda store: store.get_response(owner, id_))
        self.both(lambda store: store.response_items(owner, id_))
        self.both(lambda store: store.chain(owner, id_))
        self.both(lambda store: store.read_log(id_, after))

    @rule(id_=document_ids, kind=kinds, owner=owners, parent=st.none() | document_ids, created_at=times)
    def put_document(self, id_: str, **columns: Any) -> None:
        self.both(lambda store: store.put_document(document(id_, **columns)))

    @rule(
        id_=document_ids, kind=kinds, owner=owners, version=st.integers(1, 3), status=st.none() | st.just("s")
    )
    def update_document(self, id_: str, **columns: Any) -> None:
        self.both(lambda store: store.update_document(document(id_, **columns)))

    @rule(id_=document_ids, kind=kinds, owner=owners)
    def delete_document(self, id_: str, kind: str, owner: str) -> None:
        self.both(lambda store: store.delete_document(kind, owner, id_))

    @rule(kind=kinds, owner=owners, page=pages, parent=st.none() | document_ids)
    def list_documents(self, kind: str, owner: str, page: Page, parent: str | None) -> None:
        self.both(lambda store: store.list_documents(kind, owner, page, parent=parent))
        self.both(lambda store: store.unfinished_documents(kind, ["s"]))

    @rule(container=containers, owner=owners, items=inputs)
    def append_items(self, container: str, owner: str, items: Sequence[ItemRow]) -> None:
        self.both(lambda store: store.append_items(owner, container, items))

    @rule(container=containers, owner=owners, page=pages)
    def list_items(self, container: str, owner: str, page: Page) -> None:
        self.both(lambda store: store.list_items(owner, container, page))
        self.both(lambda store: store.all_items(owner, container))

    @rule(container=st.none() | containers, owner=owners, item=st.sampled_from(ITEMS))
    def get_item(self, container: str | None, owner: str, item: str) -> None:
        self.both(lambda store: store.get_item(owner, container, item))

    @rule(container=containers, owner=owners, item=st.sampled_from(ITEMS))
    def delete_item(self, container: str, owner: str, item: str) -> None:
        self.both(lambda store: store.delete_item(owner, container, item))

    @rule(key=st.sampled_from(["k", "l"]), owner=owners, created_at=times, expired=times)
    def claim_replay(self, key: str, owner: str, created_at: float, expired: float) -> None:
        row = replay(created_at=created_at)
        self.both(lambda store: store.claim_replay(owner, key, row, expired=expired))

    @rule(key=st.sampled_from(["k", "l"]), owner=owners, created_at=st.none() | times)
    def settle_replay(self, key: str, owner: str, created_at: float | None) -> None:
        row = None if created_at is None else replay(status=200, created_at=created_at)
        self.both(lambda store: store.settle_replay(owner, key, row))

    @rule(
        before=times,
        which=st.sampled_from([(), ("message",), ("message", "conversation")]),
        statuses=st.sampled_from([None, ("s",), ()]),
    )
    def prune(self, before: float, which: Sequence[str], statuses: tuple[str, ...] | None) -> None:
        rules = [RetentionRule(kind=kind, before=before, statuses=statuses) for kind in which]
        self.both(lambda store: store.prune(before, rules=rules))

    @rule()
    def reopen(self) -> None:
        """A restart: claims that ran are let go, all else stays."""
        for store in (self.database, self.memory):
            self.runner.run(store.close())
            self.runner.run(store.open())

    def teardown(self) -> None:
        """At the end both hold the same, and the file is sound."""
        self.reopen()
        self.both(lambda store: store.unfinished())
        for owner in ("ada", "bob"):
            for id_ in RESPONSES:
                self.read_response(id_, owner, -1)
            for container in (*RESPONSES, *DOCUMENTS):
                self.list_items(container, owner, Page(limit=100))

        async def rows(store: Store) -> dict[str, int]:
            counts = dict((await store.stats())["rows"])
            del counts["log"]  # chunks of entries in one, whole logs in the other
            return counts

        self.both(rows)
        self.runner.run(self.database.close())
        self.runner.close()
        self.home.cleanup()


class PostgresTwoStores(TwoStores):
    """The same with PostgreSQL."""

    def make_store(self) -> Store:
        return PostgresStore(shared_server().new_database())


TestTwoStores = TwoStores.TestCase
TestPostgresTwoStores = PostgresTwoStores.TestCase
TestPostgresTwoStores.settings = settings(
    max_examples=5,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTwoStores.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
