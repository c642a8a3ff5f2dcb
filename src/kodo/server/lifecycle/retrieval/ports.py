"""What the search rests on: an index of chunks, an embedder, and a reader of files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from kodo.server.lifecycle.ports import Value
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.filters import AttributeValue, Filter
from kodo.server.wire.vector_stores import LastError


class TextChunk(Value, frozen=True, kw_only=True):
    """A part of a file. ``start``: characters at its beginning that the chunk before it has too."""

    number: int
    text: str
    start: int = 0
    vector: tuple[float, ...] | None = None


class Hit(Value, frozen=True, kw_only=True):
    """A chunk that was found. ``score``: greater is better; comparable inside one list only."""

    id: int
    score: float


class FoundChunk(Value, frozen=True, kw_only=True):
    """The text of a hit."""

    id: int
    store: str
    file: str
    text: str


class SearchIndex(Protocol):
    """Chunks of the files of vector stores. It knows no owners: a caller names stores that it may read.

    It lies in the store of the documents: what is said of a document below is one transaction with the rest.
    """

    async def add_chunks(
        self, store: str, file: str, chunks: Sequence[TextChunk], *, held: DocumentRow | None = None
    ) -> None:
        """Durable, all or none. A chunk whose number is there already stays as it is.

        Raises:
            NotFound: the document ``held`` is gone, made anew, or no longer in this state or this server's.
        """

    async def count_chunks(self, store: str, file: str) -> int:
        """Chunks of a file that are committed; they are the first ones."""

    async def file_chunks(self, store: str, file: str) -> Sequence[TextChunk]:
        """The chunks of a file in their order, without vectors."""

    async def set_attributes(
        self,
        store: str,
        file: str,
        attributes: dict[str, AttributeValue],
        *,
        document: DocumentRow | None = None,
    ) -> None:
        """Durable: what filters see of a file, in the place of what they saw. ``document`` is updated with them: see
        :meth:`~kodo.server.lifecycle.store_ports.DocumentStore.update_document`, also for what it raises."""

    async def delete_chunks(
        self, store: str, file: str | None = None, *, document: DocumentRow | None = None
    ) -> None:
        """Durable: chunks and attributes of a file, or (None) of a whole store. ``document`` is deleted with them."""

    async def match_terms(
        self, stores: Sequence[str], terms: Sequence[str], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """The chunks that have any of the terms, by BM25, best first."""

    async def match_vector(
        self, stores: Sequence[str], vector: Sequence[float], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """The chunks with vectors of this size, by cosine, best first."""

    async def read_chunks(self, ids: Sequence[int]) -> Sequence[FoundChunk]:
        """The texts of hits, in this order; those that were deleted meanwhile are left out."""


class TextEmbedder(Protocol):
    """Turns texts into vectors."""

    @property
    def identity(self) -> str:
        """What a store remembers: vectors of one identity are comparable."""

    def reads(self, text: str) -> bool:
        """Whether it knows the language of a text. Vectors of one that it does not know are near to anything."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector a text. Raises ServiceError."""


@dataclass
class Unreadable(Exception):
    """A file has no text that could be read."""

    error: LastError


TextReader: TypeAlias = Callable[[Path, str], Awaitable[str]]
"""The text of a file; the ending of its name says what it is. Files are hostile: a reader holds limits on memory and time.
Raises :class:`Unreadable`."""
