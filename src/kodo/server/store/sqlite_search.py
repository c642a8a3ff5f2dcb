"""What the search in vector stores has of its own on SQLite: words by FTS5, vectors as packed floats."""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any, Final

from kodo.server.lifecycle.retrieval.ports import Hit
from kodo.server.lifecycle.retrieval.terms import index_text
from kodo.server.store.search import ChunkWords, SearchDialect, marks, without_common
from kodo.server.store.sql import SqlConnection


def pack_vector(vector: Sequence[float]) -> bytes:
    """A vector as it is stored."""
    return struct.pack(f"<{len(vector)}f", *vector)


def unpack_vector(stored: bytes) -> list[float]:
    """The inverse of :func:`pack_vector`."""
    return list(struct.unpack(f"<{len(stored) // 4}f", stored))


def vectors_behind(connection: SqlConnection, store: str, seq: int) -> list[tuple[int, int, bytes]]:
    """``(seq, file, vector)`` of a store's chunks with vectors behind number ``seq``."""
    return connection.execute(
        "SELECT c.seq, c.file, c.vector FROM search_files f JOIN search_chunks c ON c.file = f.seq "
        "WHERE f.store = ? AND c.seq > ? AND c.vector IS NOT NULL ORDER BY c.seq",
        (store, seq),
    ).fetchall()


def _compared(kind: str, operator: str) -> str:
    return f"(a.kind = '{kind}' AND a.value {operator} ?)"


def _add_words(connection: SqlConnection, chunks: Sequence[ChunkWords]) -> None:
    connection.executemany(
        "INSERT INTO search_words (rowid, terms, place) VALUES (?, ?, ?)",
        [(one.chunk, index_text(one.text), _place(one.store)) for one in chunks],
    )


def _remove_words(connection: SqlConnection, files: str, values: Sequence[Any]) -> None:
    connection.execute(
        f"DELETE FROM search_words WHERE rowid IN (SELECT seq FROM search_chunks WHERE file IN ({files}))",
        values,
    )


def _match_words(
    connection: SqlConnection,
    stores: Sequence[str],
    terms: Sequence[str],
    files: Sequence[int] | None,
    limit: int,
) -> list[Hit]:
    places = " OR ".join(_quoted(_place(store)) for store in stores)
    words = " OR ".join(_quoted(term) for term in _telling(connection, terms))
    match = f"place : ({places}) AND terms : ({words})"
    sql = "SELECT rowid, bm25(search_words, 1.0, 0.0) AS score FROM search_words WHERE search_words MATCH ?"
    values: list[Any] = [match]
    if files is not None:
        chunks = f"SELECT seq FROM search_chunks WHERE file IN ({marks(files)})"
        sql += f" AND +rowid IN ({chunks})"  # +: else FTS5 is asked for each row in turn
        values += files
    rows = connection.execute(f"{sql} ORDER BY score, rowid LIMIT ?", (*values, limit))
    return [Hit(id=seq, score=-score) for seq, score in rows]


def _telling(connection: SqlConnection, terms: Sequence[str]) -> list[str]:
    """See :func:`~kodo.server.store.search.without_common`; counted over all stores."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_vocabulary USING fts5vocab(main, search_words, row)"
    )
    counts = dict(
        connection.execute(
            f"SELECT term, doc FROM temp.search_vocabulary WHERE term IN ({marks(terms)})", tuple(terms)
        ).fetchall()
    )
    return without_common(terms, counts) or list(terms)


def _place(store: str) -> str:
    """A store's id as one word."""
    return re.sub(r"[^a-zA-Z0-9]", "", store).casefold()


def _quoted(term: str) -> str:
    escaped = term.replace('"', '""')
    return f'"{escaped}"'


SQLITE_SEARCH: Final = SearchDialect(
    pack_vector=pack_vector,
    pack_value=lambda value: value,
    compared=_compared,
    add_words=_add_words,
    remove_words=_remove_words,
    match_words=_match_words,
)
