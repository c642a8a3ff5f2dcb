"""Assistants, threads, messages, runs and steps as documents of the store, owned by the caller's project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Struct

from kodo.server.http.assistants import request_translation
from kodo.server.http.assistants.hosted_tools import RunResources
from kodo.server.http.assistants.run_states import RUN_STATUS
from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.ports import ContextItem, Ids
from kodo.server.lifecycle.records import DocumentRow, ItemRow, Page, Unless
from kodo.server.lifecycle.store_ports import DocumentStore, ItemStore, SharedStore
from kodo.server.wire import assistants as wire

T = TypeVar("T", bound=Struct)

ASSISTANT: Final = "assistant"
THREAD: Final = "thread"
MESSAGE: Final = "thread.message"
RUN: Final = "thread.run"
STEP: Final = "thread.run.step"
IDLE: Final = Unless(kind=RUN, statuses=RUN_STATUS.unfinished)
"""The condition on what a client changes of a thread: no run is active on it. A run takes what stands behind the item that it
began at for its own."""
_MAX_PER_RUN: Final = 100


class ThreadStore(DocumentStore, ItemStore, SharedStore, Protocol):
    """The store ports that threads need: documents, which can contain documents, and items."""


class AskedSampling(Struct, frozen=True, kw_only=True):
    """``temperature`` and ``top_p`` of a run and its assistant; None: neither sets it, and the model's own holds."""

    temperature: float | None = None
    top_p: float | None = None


class StoredRun(Struct, frozen=True, kw_only=True):
    """The document of a run.

    While a run is active, nothing else is added to its thread, so the items after ``last_item_at_start`` are its own.
    Those of them that are not in ``items`` or ``steps`` come from a turn that a crash interrupted, and are deleted.
    """

    run: wire.ThreadRun
    asked_sampling: AskedSampling | None = None
    """What the client asked for. None: ``run`` has it, as in documents of earlier versions."""
    last_item_at_start: str | None = msgspec.field(default=None, name="stands_on")
    """The thread's last item when the run began."""
    items: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    spent: wire.RunUsage = wire.RunUsage()
    resources: RunResources = RunResources()
    key_id: str | None = None
    """The key that it was created with."""
    called: bool = False
    """Whether it has called a function already."""
    pending: tuple[ItemRow, ...] = ()
    """Calls that wait for their outputs; they join the thread together."""
    step: wire.RunStep | None = None
    """The step of these calls."""
    takes: int = 0
    """How often a server has taken it while it waited for its client. Whoever drove it before, and sees another number than it
    knows, has it no more."""

    @property
    def asked(self) -> wire.ThreadRun:
        """The run as the client asked for it, without the model's defaults."""
        sampling = self.asked_sampling
        if sampling is None:
            return self.run
        return msgspec.structs.replace(self.run, temperature=sampling.temperature, top_p=sampling.top_p)


def new_document(kind: str, owner: str, value: Any, *, parent: str | None = None, at: float) -> DocumentRow:
    """Build the document of a wire object."""
    return DocumentRow(
        kind=kind, id=value.id, owner=owner, parent=parent, created_at=at, body=msgspec.json.encode(value)
    )


async def get_document(
    store: ThreadStore, kind: str, owner: str, document_id: str, *, parent: str | None = None
) -> DocumentRow:
    """Return a document, inside ``parent`` if one is given.

    Raises:
        NotFound: it does not exist, or belongs to another owner or parent.
    """
    row = await store.get_document(kind, owner, document_id)
    if row is None or (parent is not None and row.parent != parent):
        noun = kind.rpartition(".")[2]
        raise NotFound(
            f"No {noun} found with id '{document_id}'.", param=f"{noun}_id", code=f"{noun}_not_found"
        )
    return row


async def update_document(store: ThreadStore, row: DocumentRow, value: T) -> T:
    """Replace the body of a document.

    Raises:
        NotFound: it was deleted.
        Conflict: it was changed concurrently.
    """
    body = msgspec.json.encode(value)
    await store.update_document(msgspec.structs.replace(row, body=body, version=row.version + 1))
    return value


def replace_metadata(value: T, body: wire.NewMetadata) -> T:
    """Return an object with the new metadata, if any are given."""
    if body.metadata is UNSET:
        return value
    return msgspec.structs.replace(value, metadata=dict(body.metadata or {}))


@dataclass(frozen=True)
class NewMessages:
    """Messages that have not been added to their thread yet."""

    owner: str
    thread_id: str
    values: Sequence[wire.ThreadMessage]
    items: Sequence[ItemRow]
    rows: Sequence[DocumentRow]

    async def add(self, store: ThreadStore, run: DocumentRow | None = None) -> Sequence[wire.ThreadMessage]:
        """Append the messages to the thread, with a new run if one is given, all or none.

        Raises:
            NotFound: there is no such thread.
            Conflict: a run is active on it.
        """
        new = [*self.rows, *([] if run is None else [run])]
        if new:  # together: the model is shown the items, the client the documents
            await store.append_items(self.owner, self.thread_id, self.items, new, unless=IDLE)
        return self.values


def build_messages(
    ids: Ids, now: float, owner: str, thread_id: str, bodies: Sequence[wire.CreateMessage]
) -> NewMessages:
    """Build messages for a thread; ``now`` is in seconds since the epoch."""
    translated = [request_translation.translate_message(each, thread_id, ids, now) for each in bodies]
    return NewMessages(
        owner=owner,
        thread_id=thread_id,
        values=[message for _, message in translated],
        items=[item for item, _ in translated],
        rows=[new_document(MESSAGE, owner, message, parent=thread_id, at=now) for _, message in translated],
    )


async def last_item_id(store: ThreadStore, owner: str, thread_id: str) -> str | None:
    """Return the id of a thread's newest item."""
    rows, _ = await store.list_items(owner, thread_id, Page(limit=1))
    return rows[0].id if rows else None


def index_after(items: Sequence[ContextItem], item_id: str | None) -> int:
    """Return the index of the first item after the item with an id; None: 0."""
    ids = [context.item.id for context in items]
    return ids.index(item_id) + 1 if item_id in ids else 0


async def delete_leftovers(store: ThreadStore, owner: str, stored: StoredRun) -> None:
    """Delete the items that an interrupted turn left in its thread; none, where the item that the run began at is gone: then its
    own cannot be told from the thread's."""
    run = stored.run
    items = await store.all_items(owner, run.thread_id)
    start = index_after(items, stored.last_item_at_start)
    if start == 0 and stored.last_item_at_start is not None:
        items = ()
    for context in items[start:]:
        if context.item.id not in stored.items:
            await store.delete_item(owner, run.thread_id, context.item.id or "")
    messages, _ = await store.list_documents(MESSAGE, owner, Page(limit=_MAX_PER_RUN), parent=run.thread_id)
    for row in messages:
        if (
            msgspec.json.decode(row.body, type=wire.ThreadMessage).run_id == run.id
            and row.id not in stored.items
        ):
            await store.delete_document(MESSAGE, owner, row.id)
    known = {*stored.steps, *([stored.step.id] if stored.step is not None else [])}
    steps, _ = await store.list_documents(STEP, owner, Page(limit=_MAX_PER_RUN), parent=run.id)
    for row in steps:
        if row.id not in known:
            await store.delete_document(STEP, owner, row.id)
