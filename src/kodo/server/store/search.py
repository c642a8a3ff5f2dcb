"""Chunks of vector stores, as SQL. Functions of a connection; writes belong in a transaction."""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Sequence
from typing import Any, Final

from kodo.server.lifecycle.retrieval.filters import AttributeValue, Comparison, Filter, kind_of
from kodo.server.lifecycle.retrieval.ports import FoundChunk, Hit, TextChunk
from kodo.server.lifecycle.retrieval.terms import index_text

MAX_CHUNKS_OF_TERM: Final = 5000
"""Chunks that a term may stand in; one in more of them is searched for only where no rarer one is."""
_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def pack_vector(vector: Sequence[float]) -> bytes:
    """A vector as it is stored."""
    return struct.pack(f"<{len(vector)}f", *vector)


def add(connection: sqlite3.Connection, store: str, file: str, chunks: Sequence[TextChunk]) -> None:
    """Chunks of a file; those whose number is there stay."""
    file_seq = _file(connection, store, file)
    for chunk in chunks:
        vector = None if chunk.vector is None else pack_vector(chunk.vector)
        added = connection.execute(
            "INSERT OR IGNORE INTO search_chunks (file, number, start, text, vector) VALUES (?, ?, ?, ?, ?)",
            (file_seq, chunk.number, chunk.start, chunk.text, vector),
        )
        if added.rowcount:
            connection.execute(
                "INSERT INTO search_words (rowid, terms, place) VALUES (?, ?, ?)",
                (added.lastrowid, index_text(chunk.text), _place(store)),
            )


def count(connection: sqlite3.Connection, store: str, file: str) -> int:
    """Chunks of a file."""
    found = connection.execute(
        "SELECT count(*) FROM search_chunks c JOIN search_files f ON f.seq = c.file WHERE f.store = ? AND f.file = ?",
        (store, file),
    ).fetchone()
    return int(found[0])


def of_file(connection: sqlite3.Connection, store: str, file: str) -> list[TextChunk]:
    """The chunks of a file, in order."""
    rows = connection.execute(
        "SELECT c.number, c.text, c.start FROM search_chunks c JOIN search_files f ON f.seq = c.file "
        "WHERE f.store = ? AND f.file = ? ORDER BY c.number",
        (store, file),
    )
    return [TextChunk(number=number, text=text, start=start) for number, text, start in rows]


def set_attributes(
    connection: sqlite3.Connection, store: str, file: str, attributes: dict[str, AttributeValue]
) -> None:
    """What filters see of a file."""
    seq = _file(connection, store, file)
    connection.execute("DELETE FROM search_attributes WHERE file = ?", (seq,))
    connection.executemany(
        "INSERT INTO search_attributes (file, name, kind, value) VALUES (?, ?, ?, ?)",
        [(seq, name, kind_of(value), value) for name, value in attributes.items()],
    )


def delete(connection: sqlite3.Connection, store: str, file: str | None) -> None:
    """A file, or a whole store."""
    which, values = ("store = ?", (store,)) if file is None else ("store = ? AND file = ?", (store, file))
    files = f"SELECT seq FROM search_files WHERE {which}"
    connection.execute(
        f"DELETE FROM search_words WHERE rowid IN (SELECT seq FROM search_chunks WHERE file IN ({files}))",
        values,
    )
    connection.execute(f"DELETE FROM search_chunks WHERE file IN ({files})", values)
    connection.execute(f"DELETE FROM search_attributes WHERE file IN ({files})", values)
    connection.execute(f"DELETE FROM search_files WHERE {which}", values)


def allowed_files(connection: sqlite3.Connection, stores: Sequence[str], where: Filter) -> set[int]:
    """The files of stores that pass a filter."""
    values: list[Any] = list(stores)
    condition = _condition(where, values)
    rows = connection.execute(
        f"SELECT f.seq FROM search_files f WHERE f.store IN ({_marks(stores)}) AND {condition}", values
    )
    return {seq for (seq,) in rows}


def match_terms(
    connection: sqlite3.Connection,
    stores: Sequence[str],
    terms: Sequence[str],
    files: set[int] | None,
    limit: int,
) -> list[Hit]:
    """Chunks that have any of the terms, by BM25. ``files``: only theirs."""
    if not terms or files == set():
        return []
    places = " OR ".join(_quoted(_place(store)) for store in stores)
    words = " OR ".join(_quoted(term) for term in _telling(connection, terms))
    match = f"place : ({places}) AND terms : ({words})"
    sql = "SELECT rowid, bm25(search_words, 1.0, 0.0) AS score FROM search_words WHERE search_words MATCH ?"
    values: list[Any] = [match]
    if files is not None:
        chunks = f"SELECT seq FROM search_chunks WHERE file IN ({_marks(files)})"
        sql += f" AND +rowid IN ({chunks})"  # +: else FTS5 is asked for each row in turn
        values += sorted(files)
    rows = connection.execute(f"{sql} ORDER BY score, rowid LIMIT ?", (*values, limit))
    return [Hit(id=seq, score=-score) for seq, score in rows]


def _telling(connection: sqlite3.Connection, terms: Sequence[str]) -> list[str]:
    """The terms without those that stand in very many chunks, where rarer ones are left: BM25 gives them next to nothing, and
    most of a search's time is theirs. Counted over all stores."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_vocabulary USING fts5vocab(main, search_words, row)"
    )
    counts = dict(
        connection.execute(
            f"SELECT term, doc FROM temp.search_vocabulary WHERE term IN ({_marks(terms)})", tuple(terms)
        ).fetchall()
    )
    known = [term for term in terms if term in counts]
    if not known:
        return list(terms)
    most = max(MAX_CHUNKS_OF_TERM, min(counts[term] for term in known))
    return [term for term in known if counts[term] <= most]


def read(connection: sqlite3.Connection, ids: Sequence[int]) -> list[FoundChunk]:
    """The texts of hits, in this order."""
    rows = connection.execute(
        "SELECT c.seq, f.store, f.file, c.text FROM search_chunks c JOIN search_files f ON f.seq = c.file "
        f"WHERE c.seq IN ({_marks(ids)})",
        tuple(ids),
    )
    found = {seq: FoundChunk(id=seq, store=store, file=file, text=text) for seq, store, file, text in rows}
    return [found[seq] for seq in ids if seq in found]


def vectors_behind(connection: sqlite3.Connection, store: str, seq: int) -> list[tuple[int, int, bytes]]:
    """``(seq, file, vector)`` of a store's chunks with vectors behind number ``seq``."""
    return connection.execute(
        "SELECT c.seq, c.file, c.vector FROM search_files f JOIN search_chunks c ON c.file = f.seq "
        "WHERE f.store = ? AND c.seq > ? AND c.vector IS NOT NULL ORDER BY c.seq",
        (store, seq),
    ).fetchall()


def _file(connection: sqlite3.Connection, store: str, file: str) -> int:
    connection.execute("INSERT OR IGNORE INTO search_files (store, file) VALUES (?, ?)", (store, file))
    found = connection.execute(
        "SELECT seq FROM search_files WHERE store = ? AND file = ?", (store, file)
    ).fetchone()
    return int(found[0])


def _condition(where: Filter, values: list[Any]) -> str:
    """A filter as a condition on ``f``; its values are appended."""
    if not isinstance(where, Comparison):
        joined = f" {where.operator.upper()} ".join(_condition(one, values) for one in where.filters)
        return f"({joined})"
    values.append(where.key)
    tests = []
    for value in where.values:
        tests.append(f"(a.kind = ? AND a.value {_OPERATORS.get(where.operator, '=')} ?)")
        values += [kind_of(value), value]
    negated = "NOT " if where.operator in ("ne", "nin") else ""
    return (
        f"{negated}EXISTS (SELECT 1 FROM search_attributes a WHERE a.file = f.seq AND a.name = ? "
        f"AND ({' OR '.join(tests)}))"
    )


def _marks(values: Sequence[object] | set[int]) -> str:
    return ", ".join("?" * len(values))


def _place(store: str) -> str:
    """A store's id as one word."""
    return re.sub(r"[^a-zA-Z0-9]", "", store).casefold()


def _quoted(term: str) -> str:
    escaped = term.replace('"', '""')
    return f'"{escaped}"'
