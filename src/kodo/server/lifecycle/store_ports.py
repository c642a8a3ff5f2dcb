"""The store, as ports of a few methods each; a consumer takes the one it needs.

Rules that every store follows (one contract suite runs over all of them):

- A method that writes returns when its rows are committed. "Durable" writes survive a power cut, the others a crash of
  the process.
- Every object belongs to an ``owner`` (the project of the key). An object of another owner looks like a missing one.
- History is stored once: a response row points to its parent, items are rows of their own.
- A full disk or an I/O error raises ``StoreFailed``, and the database stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from kodo.server.lifecycle.activity import ActivityReader
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import (
    DocumentRow,
    ItemRow,
    KeyCharge,
    KeyRow,
    KeySpending,
    LimitUse,
    Page,
    ReplayRow,
    ResponseRow,
    RetentionRule,
    SharedLimits,
    Unless,
)
from kodo.server.lifecycle.retrieval.ports import SearchIndex


class ResponseStore(Protocol):
    """Responses with their input and output items and their event logs."""

    async def create_response(self, row: ResponseRow, items: Sequence[ItemRow]) -> None:
        """Durable: the row and its input items; and its charge, where it is final already. A parent that is not there at
        this moment counts as never stored.

        Raises:
            Conflict: the id is taken, or two items have the same one.
        """

    async def append_log(self, response_id: str, first: int, entries: Sequence[bytes]) -> None:
        """Entries ``first``, ``first + 1`` … of a response's log, committed. Entries that are there already stay;
        those of a deleted response are dropped. ValueError: there would be a gap."""

    async def finish_response(
        self, row: ResponseRow, output: Sequence[ItemRow], *, log: tuple[int, Sequence[bytes]] | None = None
    ) -> None:
        """Durable, in one transaction: the final row, its output items, the last log entries, its charge; and, where the
        response is on a conversation, its input and output items at that conversation's end.

        A response deleted meanwhile stays deleted, a finished one as it is, and nothing is charged for them. Items that the conversation has already
        (by id) stay in their place; where it was deleted meanwhile, the response is finished all the same.
        """

    async def store_response(
        self,
        row: ResponseRow,
        inputs: Sequence[ItemRow],
        output: Sequence[ItemRow],
        *,
        log: tuple[int, Sequence[bytes]] | None = None,
    ) -> None:
        """Durable, in one transaction: a response that is final when it is first stored. What
        :meth:`create_response` and :meth:`finish_response` do one after the other, which stands here for stores that
        have no better way.

        Raises:
            Conflict: the id is taken, or two items have the same one.
        """
        await self.create_response(msgspec.structs.replace(row, status="in_progress"), inputs)
        await self.finish_response(row, output, log=log)

    async def get_response(self, owner: str, response_id: str) -> ResponseRow | None:
        """The row, or None."""

    async def response_items(
        self, owner: str, response_id: str
    ) -> tuple[Sequence[ItemRow], Sequence[ItemRow]]:
        """Its own input and output items."""

    async def read_log(self, response_id: str, after: int = -1) -> Sequence[bytes]:
        """Log entries behind number ``after``, in order."""

    async def chain(self, owner: str, response_id: str) -> Sequence[ContextItem] | None:
        """The whole context a child of this response starts from: input and output items of its ancestors, oldest
        first, then its own. None if an ancestor that is needed was deleted or never stored."""

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """Durable. Children keep their context: the rows that a child needs stay until it goes. False: not there."""

    async def unfinished(self) -> Sequence[ResponseRow]:
        """Responses that are not final and that no other server works on, oldest first (any owner): at start-up, what a
        crash left behind. They are this server's from now on."""


class DocumentStore(Protocol):
    """Objects of the sibling APIs: conversations, threads, files, batches and more."""

    async def put_document(self, row: DocumentRow) -> None:
        """Durable: a new one. Conflict: the id is taken."""

    async def update_document(self, row: DocumentRow, *, release: bool = False) -> None:
        """Durable: replaces ``body``, ``status`` and ``version`` where the stored version is ``row.version - 1``, else
        Conflict. NotFound: not there. ``release``: this server works on it no more, and nobody does until one takes it."""

    async def get_document(self, kind: str, owner: str, document_id: str) -> DocumentRow | None:
        """The row, or None."""

    async def list_documents(
        self, kind: str, owner: str, page: Page, *, parent: str | None = None
    ) -> tuple[Sequence[DocumentRow], bool]:
        """A page of the documents inside ``parent`` (None: those without a parent), in the order they were put,
        and whether there is more on the side the page moves to. NotFound: ``after`` or ``before`` names nothing."""

    async def delete_document(self, kind: str, owner: str, document_id: str) -> bool:
        """Durable; its items and the documents inside it (any depth) go too. False: not there."""

    async def unfinished_documents(self, kind: str, statuses: Sequence[str]) -> Sequence[DocumentRow]:
        """Documents in these states that no other server works on, any owner, oldest first. They are this server's from
        now on."""

    async def documents_before(
        self, kind: str, statuses: Sequence[str], before: float
    ) -> Sequence[DocumentRow]:
        """Documents in these states that were created before a time (seconds since the epoch), any owner, oldest first;
        whoever works on them."""


class ItemStore(Protocol):
    """Items inside a container: a conversation (any document), or a response."""

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
        """Durable: items at the end of a conversation (any document), new documents, and changed ones as
        ``update_document`` writes them, all or none. ``take``: one more that is changed, and is this server's from now on.

        Raises:
            NotFound: there is no such document.
            Conflict: an id is in it already, a document's is taken, one was changed meanwhile, ``unless`` forbids it, or another
                server works on the document to take.
        """

    async def list_items(self, owner: str, container: str, page: Page) -> tuple[Sequence[ItemRow], bool]:
        """A page of a conversation's items, or of a response's input items (``container`` is its id).
        NotFound: the container, ``after`` or ``before`` names nothing."""

    async def get_item(self, owner: str, container: str | None, item_id: str) -> ItemRow | None:
        """One item; with no container, the owner's newest of this id (for ``item_reference``)."""

    async def delete_item(
        self, owner: str, container: str, item_id: str, *, unless: Unless | None = None
    ) -> bool:
        """Durable; a response that has the item too keeps it. False: not there. Conflict: ``unless`` forbids it."""

    async def all_items(self, owner: str, container: str) -> Sequence[ContextItem]:
        """A conversation's context, oldest first. NotFound: there is no such document."""


class HistoryStore(ResponseStore, DocumentStore, ItemStore, Protocol):
    """Everything that a prompt's history is read from."""


class ReplayStore(Protocol):
    """Answers kept for an ``Idempotency-Key``."""

    async def claim_replay(self, owner: str, key: str, row: ReplayRow, *, expired: float) -> ReplayRow | None:
        """Durable. Returns None if the key is claimed; else the row that holds it, if not older than ``expired`` (seconds since the epoch)."""

    async def settle_replay(self, owner: str, key: str, row: ReplayRow | None) -> None:
        """Durable: keeps the answer, or (None) releases the claim."""


class KeyStore(Protocol):
    """API keys. What is read of one is as it is now: a change by another process is seen once that has returned, or within
    a second where no word of it comes."""

    async def keys(self) -> Sequence[KeyRow]:
        """Every key, also those another process has just made."""

    async def has_keys(self) -> bool:
        """Whether there is any key, revoked ones included."""

    async def key(self, key_id: str) -> KeyRow | None:
        """The key with an id, as it is now."""

    async def key_by_hash(self, hash_: bytes) -> KeyRow | None:
        """The key with a hash, as it is now. Found by an index: the cost does not grow with the number of keys."""

    async def put_key(self, row: KeyRow) -> None:
        """Durable: a new key, or a changed one."""

    async def charge_key(self, charge: KeyCharge) -> None:
        """Durable: add to what a key has spent, for an answer that is no stored response; once for each id of a charge."""

    async def key_spending(self, key_id: str, since: int) -> Mapping[int, KeySpending]:
        """What a key has spent, by the day, from the day ``since`` on."""


class RetentionStore(Protocol):
    """What keeps the store small and its size known."""

    async def prune(
        self, before: float, *, rules: Sequence[RetentionRule] = (), replays: float | None = None
    ) -> dict[str, int]:
        """Delete what was created before a time (seconds since the epoch), as its owner would; counts by kind.

        Final responses, documents that a rule names (others are kept), and kept replays (``replays``:
        a time of their own; default the same).
        """

    async def stats(self) -> dict[str, Any]:
        """``rows`` by table, ``bytes`` on disk, ``schema`` version."""


class SharedStore(Protocol):
    """What a store that several servers share knows of the others. The defaults are those of a store with one server."""

    shared: bool = False
    """Whether other servers may work on the same rows."""

    async def work_is_left(self) -> bool:
        """Whether a server has gone or left work for anybody, or a write of this one that was called failed may have been
        kept, since this was last asked."""
        return False

    async def hand_over(self, kind: str, id_: str) -> None:
        """Give work of this server (a response, or a document of another kind) to whichever server takes it."""
        return

    async def hand_over_all(self, kinds: Mapping[str, Sequence[str]], before: float) -> int:
        """Give up all that this server has of documents of these kinds in these states, and of background responses in progress
        that were created before a time (seconds since the epoch); their number."""
        return 0

    async def ask_owner(self, kind: str, id_: str, body: bytes = b"") -> None:
        """Leave a request for the server that works on a response (``kind`` begins with ``response.``) or a document;
        nothing, where none does. It is given to that server once, by :meth:`requests`, or lost with it."""
        return

    async def requests(self) -> Sequence[tuple[str, str, bytes]]:
        """What other servers have asked of this one since the last call: kind, id and body."""
        return ()

    async def wait_for_news(self, name: str, seconds: float) -> None:
        """Wait until something may have happened to a row of this id (``""``: until this server may have been asked
        something), at most so long. A hint: it may come for nothing, or not at all."""
        await asyncio.sleep(seconds)

    async def cut_off(self) -> None:
        """Wait until this server may write nothing more, because another one has taken it for dead."""
        await asyncio.Event().wait()

    async def share_limits(self, account: str, use: LimitUse) -> SharedLimits | None:
        """Say what this server has used of an account's limits, and hear what is left of them over all servers. Not durable.
        None: this server is the only one, and its own count is the whole."""
        return None

    async def servers(self) -> Sequence[dict[str, Any]]:
        """The servers that share the store: ``name``, ``role``, ``age`` and ``lease`` in seconds, ``self``."""
        return ()


class SharedDocuments(DocumentStore, SharedStore, Protocol):
    """Documents that servers work on."""


class Store(HistoryStore, ReplayStore, KeyStore, RetentionStore, SharedStore, Protocol):
    """All ports together, and their life. Built and passed on in one place; consumers ask for a smaller port."""

    search_index: SearchIndex | None = None
    """The chunks of vector stores. None: this store has none, and ``/v1/vector_stores`` says so."""
    activity: ActivityReader | None = None
    """What the dashboard reads. None: this store keeps nothing for it, and there is no dashboard."""

    async def open(self) -> None:
        """Open, migrate and lock.

        Raises:
            StoreFailed: another server has it, it is from a newer version, or it cannot be read.
        """

    async def close(self) -> None:
        """Write what is queued, and release all resources."""
