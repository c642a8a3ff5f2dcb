"""Adds, finds, changes and deletes the chat completions that a client asked to store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kodo.server.http.chat.documents import KIND, StoredCompletion
from kodo.server.http.pagination import matching
from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.ports import Clock
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.store_ports import DocumentStore
from kodo.server.wire.chat import StoredChatCompletion


class CompletionManager:
    """Stored chat completions, each visible to its owner only."""

    def __init__(self, documents: DocumentStore, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def add(
        self, owner: str, completion: StoredChatCompletion, messages: Sequence[Mapping[str, Any]]
    ) -> None:
        """Store a new completion with its messages, which are numbered under the completion's id."""
        numbered = [{"id": f"{completion.id}-{index}", **message} for index, message in enumerate(messages)]
        await self._documents.put_document(
            DocumentRow(
                kind=KIND,
                id=completion.id,
                owner=owner,
                created_at=self._clock.now(),
                body=msgspec.json.encode(StoredCompletion(completion=completion, messages=numbered)),
            )
        )

    async def get(self, owner: str, completion_id: str) -> StoredCompletion:
        """Return a stored completion.

        Raises:
            NotFound: it does not exist, or belongs to another owner.
        """
        return _decode(await self._row(owner, completion_id))

    async def set_metadata(
        self, owner: str, completion_id: str, metadata: dict[str, str]
    ) -> StoredChatCompletion:
        """Replace a completion's metadata, and return it. Raises ``NotFound``, or ``Conflict`` with another writer."""
        row = await self._row(owner, completion_id)
        stored = _decode(row)
        value = msgspec.structs.replace(stored.completion, metadata=metadata)
        body = msgspec.json.encode(msgspec.structs.replace(stored, completion=value))
        await self._documents.update_document(
            msgspec.structs.replace(row, body=body, version=row.version + 1)
        )
        return value

    async def delete(self, owner: str, completion_id: str) -> None:
        """Delete a stored completion. Raises ``NotFound``."""
        row = await self._row(owner, completion_id)
        await self._documents.delete_document(KIND, row.owner, row.id)

    async def list(
        self, owner: str, page: Page, *, model: str | None, metadata: Mapping[str, str]
    ) -> tuple[Sequence[StoredChatCompletion], bool]:
        """List a page of the completions of a model (None: any model) that have these metadata; and whether more follow.

        Raises:
            NotFound: the page's cursor names nothing.
        """

        def matches(row: DocumentRow) -> bool:
            value = _decode(row).completion
            return model in (None, value.model) and metadata.items() <= value.metadata.items()

        rows, more = await matching(
            lambda window: self._documents.list_documents(KIND, owner, window), page, matches
        )
        return [_decode(row).completion for row in rows], more

    async def _row(self, owner: str, completion_id: str) -> DocumentRow:
        row = await self._documents.get_document(KIND, owner, completion_id)
        if row is None:
            raise NotFound(
                f"Chat completion with id '{completion_id}' not found.",
                param="completion_id",
                code="completion_not_found",
            )
        return row


def _decode(row: DocumentRow) -> StoredCompletion:
    return msgspec.json.decode(row.body, type=StoredCompletion)
