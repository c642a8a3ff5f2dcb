"""The store in the memory of the process, for tests: the reference that every other store is compared with.

It follows the rules of the store ports except durability, and has no I/O that could fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kodo.server.lifecycle.errors import Conflict, NotFound
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import (
    DocumentRow,
    ItemRow,
    KeyCharge,
    KeyRow,
    KeySpending,
    Page,
    ReplayRow,
    ResponseRow,
    RetentionRule,
    Unless,
)
from kodo.server.lifecycle.status import FINAL
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store import paging
from kodo.server.store.items import check_ids, container_not_found


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """An item; ``number`` grows with each new one. A response and a conversation may share it."""

    row: ItemRow
    number: int


@dataclass(slots=True, eq=False)
class _Held:
    """A response: its row, its parent if that was there, its items and log."""

    row: ResponseRow
    above: _Held | None
    final: bool
    inputs: list[_Entry]
    output: list[_Entry] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)
    gone: bool = False
    children: int = 0


class MemoryStore(Store):
    """``Store`` without a disk."""

    def __init__(self) -> None:
        self._responses: dict[str, _Held] = {}
        self._documents: dict[tuple[str, str, str], DocumentRow] = {}
        self._kinds: dict[tuple[str, str], list[str]] = {}
        """By owner and id; items belong to the first of several documents that share an id."""
        self._conversations: dict[tuple[str, str, str], list[_Entry]] = {}
        self._numbers = itertools.count()
        self._replays: dict[tuple[str, str], ReplayRow] = {}
        self._keys: dict[str, KeyRow] = {}
        self._key_spending: dict[tuple[str, int], KeySpending] = {}
        self._charges: set[str] = set()

    async def open(self) -> None:
        """See ``Store``."""
        for place in [place for place, row in self._replays.items() if row.status is None]:
            del self._replays[place]

    async def close(self) -> None:
        """See ``Store``."""

    # --- responses ---

    async def create_response(self, row: ResponseRow, items: Sequence[ItemRow]) -> None:
        """See ``Store``."""
        check_ids(items)
        if row.id in self._responses:
            raise Conflict(f"A response with the id {row.id!r} already exists.")
        above = None if row.parent is None else self._find(row.owner, row.parent)
        kept = msgspec.structs.replace(row, charge=None)
        self._responses[row.id] = _Held(kept, above, row.status in FINAL, self._enter(items))
        if above is not None:
            above.children += 1
        if row.status in FINAL:
            self._charge(row.charge)

    async def append_log(self, response_id: str, first: int, entries: Sequence[bytes]) -> None:
        """See ``Store``."""
        held = self._responses.get(response_id)
        if held is None or held.gone:
            return
        start = len(held.log)
        if first > start:
            raise ValueError(f"log entry {first} of {response_id} leaves a gap behind {start - 1}")
        held.log += entries[start - first :]

    async def finish_response(
        self, row: ResponseRow, output: Sequence[ItemRow], *, log: tuple[int, Sequence[bytes]] | None = None
    ) -> None:
        """See ``Store``."""
        check_ids(output)
        held = self._find(row.owner, row.id)
        if held is None or held.final:
            return
        if log is not None:
            await self.append_log(row.id, *log)
        held.final = True
        self._charge(row.charge)
        held.output = self._enter(output)
        self._write(held, row)
        conversation = self._conversation(row.owner, held.row.conversation or "")
        if conversation is not None:
            taken = {entry.row.id for entry in conversation}
            conversation += [item for item in (*held.inputs, *held.output) if item.row.id not in taken]

    @staticmethod
    def _write(held: _Held, row: ResponseRow) -> None:
        held.row = msgspec.structs.replace(
            held.row, status=row.status, request=row.request, response=row.response
        )

    async def get_response(self, owner: str, response_id: str) -> ResponseRow | None:
        """See ``Store``."""
        held = self._find(owner, response_id)
        return None if held is None else held.row

    async def response_items(
        self, owner: str, response_id: str
    ) -> tuple[Sequence[ItemRow], Sequence[ItemRow]]:
        """See ``Store``."""
        held = self._find(owner, response_id)
        return ((), ()) if held is None else (_rows(held.inputs), _rows(held.output))

    async def read_log(self, response_id: str, after: int = -1) -> Sequence[bytes]:
        """See ``Store``."""
        held = self._responses.get(response_id)
        return () if held is None else held.log[after + 1 :]

    async def chain(self, owner: str, response_id: str) -> Sequence[ContextItem] | None:
        """See ``Store``."""
        held = self._find(owner, response_id)
        if held is None:
            return None
        turns: list[_Held] = []
        while held is not None:
            turns.append(held)
            if held.row.parent is not None and held.above is None:
                return None
            held = held.above
        return tuple(entry.row.context for turn in reversed(turns) for entry in (*turn.inputs, *turn.output))

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """See ``Store``."""
        held = self._find(owner, response_id)
        if held is None:
            return False
        held.gone = True
        held.log.clear()
        while held is not None and held.gone and not held.children:
            del self._responses[held.row.id]
            held = held.above
            if held is not None:
                held.children -= 1
        return True

    async def unfinished(self) -> Sequence[ResponseRow]:
        """See ``Store``."""
        return [held.row for held in self._responses.values() if not held.final and not held.gone]

    def _find(self, owner: str, response_id: str) -> _Held | None:
        held = self._responses.get(response_id)
        return held if held is not None and self._is(held, owner) else None

    @staticmethod
    def _is(held: _Held, owner: str) -> bool:
        return not held.gone and held.row.owner == owner

    # --- conversations and documents ---

    async def put_document(self, row: DocumentRow) -> None:
        """See ``Store``."""
        place = (row.kind, row.owner, row.id)
        if place in self._documents:
            raise Conflict(f"A {row.kind} with the id {row.id!r} already exists.")
        self._documents[place] = row
        self._conversations[place] = []
        self._kinds.setdefault((row.owner, row.id), []).append(row.kind)

    async def update_document(self, row: DocumentRow, *, release: bool = False) -> None:
        """See ``Store``."""
        held = self._before(row)
        self._documents[row.kind, row.owner, row.id] = msgspec.structs.replace(
            held, version=row.version, status=row.status, body=row.body
        )

    def _before(self, row: DocumentRow) -> DocumentRow:
        """What a row replaces. NotFound, Conflict."""
        held = self._documents.get((row.kind, row.owner, row.id))
        if held is None:
            raise NotFound(f"No {row.kind} has the id {row.id!r}.")
        if held.version != row.version - 1:
            raise Conflict(f"The {row.kind} {row.id!r} was changed by another request.")
        return held

    async def get_document(self, kind: str, owner: str, document_id: str) -> DocumentRow | None:
        """See ``Store``."""
        return self._documents.get((kind, owner, document_id))

    async def list_documents(
        self, kind: str, owner: str, page: Page, *, parent: str | None = None
    ) -> tuple[Sequence[DocumentRow], bool]:
        """See ``Store``."""
        rows = [
            row
            for row in self._documents.values()
            if row.kind == kind and row.owner == owner and row.parent == parent
        ]
        return paging.window(rows, page, name=lambda row: row.id)

    async def delete_document(self, kind: str, owner: str, document_id: str) -> bool:
        """See ``Store``."""
        row = self._documents.pop((kind, owner, document_id), None)
        if row is None:
            return False
        del self._conversations[kind, owner, document_id]
        self._kinds[owner, document_id].remove(kind)
        for inside in list(self._documents.values()):
            if inside.owner == owner and inside.parent == document_id:
                await self.delete_document(inside.kind, owner, inside.id)
        return True

    async def unfinished_documents(self, kind: str, statuses: Sequence[str]) -> Sequence[DocumentRow]:
        """See ``Store``."""
        return [row for row in self._documents.values() if row.kind == kind and row.status in statuses]

    async def documents_before(
        self, kind: str, statuses: Sequence[str], before: float
    ) -> Sequence[DocumentRow]:
        """See ``Store``."""
        return [row for row in await self.unfinished_documents(kind, statuses) if row.created_at < before]

    async def append_items(
        self,
        owner: str,
        container: str,
        items: Sequence[ItemRow],
        new: Sequence[DocumentRow] = (),
        *,
        unless: Unless | None = None,
        changed: Sequence[DocumentRow] = (),
        take: DocumentRow | None = None,
    ) -> None:
        """See ``Store``."""
        check_ids(items)
        held = self._held_items(owner, container)
        self._check_unless(owner, container, unless)
        taken = {entry.row.id for entry in held}
        for row in items:
            if row.id in taken:
                raise Conflict(f"The item {row.id!r} is already in {container!r}.")
        places = [(row.kind, row.owner, row.id) for row in new]
        if len({*places} - self._documents.keys()) < len(places):
            raise Conflict("There is such a document already.")
        replaced = (*changed, *(() if take is None else (take,)))
        for row in replaced:
            self._before(row)
        held += self._enter(items)
        for document in new:
            await self.put_document(document)
        for row in replaced:
            await self.update_document(row)

    async def list_items(self, owner: str, container: str, page: Page) -> tuple[Sequence[ItemRow], bool]:
        """See ``Store``."""
        response = self._find(owner, container)
        entries = self._held_items(owner, container) if response is None else response.inputs
        return paging.window(_rows(entries), page, name=lambda row: row.id)

    async def get_item(self, owner: str, container: str | None, item_id: str) -> ItemRow | None:
        """See ``Store``. With no container it looks at all there is."""
        if container is None:
            inside = [
                *(held.inputs + held.output for held in self._responses.values() if self._is(held, owner)),
                *(held for place, held in self._conversations.items() if place[1] == owner),
            ]
        else:
            response = self._find(owner, container)
            inside = [(self._conversation(owner, container) or []) if response is None else response.inputs]
        found = [entry for entries in inside for entry in entries if entry.row.id == item_id]
        return max(found, key=lambda entry: entry.number).row if found else None

    def _check_unless(self, owner: str, container: str, unless: Unless | None) -> None:
        for row in self._documents.values():
            if (
                unless is not None
                and (row.owner, row.kind, row.parent) == (owner, unless.kind, container)
                and row.status in unless.statuses
            ):
                raise Conflict(f"The {unless.kind} {row.id!r} is active in {container!r}.")

    async def delete_item(
        self, owner: str, container: str, item_id: str, *, unless: Unless | None = None
    ) -> bool:
        """See ``Store``."""
        self._check_unless(owner, container, unless)
        held = self._conversation(owner, container) or []
        for number, entry in enumerate(held):
            if entry.row.id == item_id:
                del held[number]
                return True
        return False

    async def all_items(self, owner: str, container: str) -> Sequence[ContextItem]:
        """See ``Store``."""
        return [entry.row.context for entry in self._held_items(owner, container)]

    def _conversation(self, owner: str, container: str) -> list[_Entry] | None:
        kinds = self._kinds.get((owner, container))
        return self._conversations[kinds[0], owner, container] if kinds else None

    def _held_items(self, owner: str, container: str) -> list[_Entry]:
        held = self._conversation(owner, container)
        if held is None:
            raise container_not_found(container)
        return held

    def _enter(self, items: Sequence[ItemRow]) -> list[_Entry]:
        return [_Entry(row, next(self._numbers)) for row in items]

    # --- idempotency ---

    async def claim_replay(self, owner: str, key: str, row: ReplayRow, *, expired: float) -> ReplayRow | None:
        """See ``Store``."""
        held = self._replays.get((owner, key))
        if held is not None and held.created_at >= expired:
            return held
        self._replays[owner, key] = row
        return None

    async def settle_replay(self, owner: str, key: str, row: ReplayRow | None) -> None:
        """See ``Store``."""
        if row is None:
            self._replays.pop((owner, key), None)
        else:
            self._replays[owner, key] = row

    # --- keys ---

    async def keys(self) -> Sequence[KeyRow]:
        """See ``Store``."""
        return list(self._keys.values())

    async def has_keys(self) -> bool:
        """See ``Store``."""
        return bool(self._keys)

    async def key(self, key_id: str) -> KeyRow | None:
        """See ``Store``."""
        return self._keys.get(key_id)

    async def key_by_hash(self, hash_: bytes) -> KeyRow | None:
        """See ``Store``."""
        return next((row for row in self._keys.values() if row.hash == hash_), None)

    async def put_key(self, row: KeyRow) -> None:
        """See ``Store``."""
        self._keys[row.id] = row

    async def charge_key(self, charge: KeyCharge) -> None:
        """See ``Store``."""
        if not charge.id or charge.id not in self._charges:
            self._charge(charge)
        self._charges.add(charge.id)

    def _charge(self, charge: KeyCharge | None) -> None:
        if charge is None:
            return
        place, added = (charge.key_id, charge.day), charge.spending
        held = self._key_spending.get(place, KeySpending())
        self._key_spending[place] = KeySpending(held.tokens + added.tokens, held.nano_usd + added.nano_usd)

    async def key_spending(self, key_id: str, since: int) -> Mapping[int, KeySpending]:
        """See ``Store``."""
        return {
            day: spending
            for (held, day), spending in self._key_spending.items()
            if held == key_id and day >= since
        }

    # --- housekeeping ---

    async def prune(
        self, before: float, *, rules: Sequence[RetentionRule] = (), replays: float | None = None
    ) -> dict[str, int]:
        """See ``Store``."""
        old = [
            held.row
            for held in self._responses.values()
            if held.row.created_at < before and held.final and not held.gone
        ]
        counts = {"responses": sum([await self.delete_response(row.owner, row.id) for row in old])}
        for which in rules:
            stale = [row for row in self._documents.values() if self._has_aged(row, which)]
            counts[which.kind] = sum(
                [await self.delete_document(which.kind, row.owner, row.id) for row in stale]
            )
        limit = before if replays is None else replays
        expired = [
            place for place, row in self._replays.items() if row.created_at < limit and row.status is not None
        ]
        for place in expired:
            del self._replays[place]
        return {**counts, "replays": len(expired)}

    def _has_aged(self, row: DocumentRow, rule: RetentionRule) -> bool:
        if row.kind != rule.kind or (rule.statuses is not None and row.status not in rule.statuses):
            return False
        return all(
            each.created_at < rule.before
            for each in self._documents.values()
            if each is row or (each.owner, each.parent) == (row.owner, row.id)
        )

    async def stats(self) -> dict[str, Any]:
        """See ``Store``. ``bytes`` on disk and ``schema`` are 0."""
        gone = sum(held.gone for held in self._responses.values())
        entries = {
            entry.number
            for entries in (
                *(held.inputs + held.output for held in self._responses.values()),
                *self._conversations.values(),
            )
            for entry in entries
        }
        rows = {
            "responses": len(self._responses) - gone,
            "items": len(entries),
            "log": sum(bool(held.log) for held in self._responses.values()),
            "documents": len(self._documents),
            "replays": len(self._replays),
            "keys": len(self._keys),
            "deleted_but_needed": gone,
        }
        return {"rows": rows, "bytes": 0, "schema": 0}


def _rows(entries: Sequence[_Entry]) -> tuple[ItemRow, ...]:
    return tuple(entry.row for entry in entries)
