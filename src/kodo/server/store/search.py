"""Chunks of vector stores, as SQL: what SQLite and PostgreSQL share. Functions of a connection; writes belong in a transaction.

What each database has of its own (how it finds words, and how it keeps a vector or the value of an attribute) is its
:class:`SearchDialect`.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.filters import AttributeValue, Comparison, Filter, kind_of
from kodo.server.lifecycle.retrieval.ports import FoundChunk, Hit, TextChunk
from kodo.server.store import documents
from kodo.server.store.sql import SqlConnection, returned

MAX_CHUNKS_OF_TERM: Final = 5000
"""Chunks that a term may stand in; one in more of them is searched for only where no rarer one is."""
_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class ChunkWords:
    """A chunk whose words are to be indexed. ``file`` and ``chunk`` are numbers of rows."""

    store: str
    file: int
    chunk: int
    text: str


@dataclass(frozen=True, slots=True)
class SearchDialect:
    """How one database keeps and finds what the other does in another way."""

    pack_vector: Callable[[Sequence[float]], Any]
    pack_value: Callable[[AttributeValue], Any]
    compared: Callable[[str, str], str]
    """A condition on the row ``a`` of ``search_attributes``, of a kind of values and an operator; it binds one value."""
    add_words: Callable[[SqlConnection, Sequence[ChunkWords]], None]
    remove_words: Callable[[SqlConnection, str, Sequence[Any]], None]
    """Those of files, which are given as a SELECT of their numbers, and its values."""
    match_words: Callable[
        [SqlConnection, Sequence[str], Sequence[str], Sequence[int] | None, int], Sequence[Hit]
    ]
    """The best chunks for terms in stores; of some files only, where they are given."""


def add(
    connection: SqlConnection,
    dialect: SearchDialect,
    store: str,
    file: str,
    chunks: Sequence[TextChunk],
    held: DocumentRow | None = None,
) -> None:
    """Chunks of a file; those whose number is there stay. NotFound: this server does not hold the document any more."""
    if held is not None and not documents.is_held(connection, held):
        raise NotFound(f"No {held.kind} with the id {held.id!r} is worked on here.")
    file_seq = _file(connection, store, file)
    new: list[ChunkWords] = []
    for chunk in chunks:
        added = returned(
            connection.execute(
                "INSERT INTO search_chunks (file, number, start, text, vector) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (file, number) DO NOTHING RETURNING seq",
                (
                    file_seq,
                    chunk.number,
                    chunk.start,
                    chunk.text,
                    None if chunk.vector is None else dialect.pack_vector(chunk.vector),
                ),
            )
        )
        if added is not None:
            new.append(ChunkWords(store, file_seq, int(added[0]), chunk.text))
    dialect.add_words(connection, new)


def count(connection: SqlConnection, store: str, file: str) -> int:
    """Chunks of a file."""
    found = connection.execute(
        "SELECT count(*) FROM search_chunks c JOIN search_files f ON f.seq = c.file WHERE f.store = ? AND f.file = ?",
        (store, file),
    ).fetchone()
    return int(found[0])


def of_file(connection: SqlConnection, store: str, file: str) -> list[TextChunk]:
    """The chunks of a file, in order."""
    rows = connection.execute(
        "SELECT c.number, c.text, c.start FROM search_chunks c JOIN search_files f ON f.seq = c.file "
        "WHERE f.store = ? AND f.file = ? ORDER BY c.number",
        (store, file),
    )
    return [TextChunk(number=number, text=text, start=start) for number, text, start in rows]


def set_attributes(
    connection: SqlConnection,
    dialect: SearchDialect,
    store: str,
    file: str,
    attributes: dict[str, AttributeValue],
    document: DocumentRow | None = None,
) -> None:
    """What filters see of a file; ``document`` is updated (Conflict, NotFound)."""
    if document is not None:
        documents.update(connection, document)
    seq = _file(connection, store, file)
    connection.execute("DELETE FROM search_attributes WHERE file = ?", (seq,))
    connection.executemany(
        "INSERT INTO search_attributes (file, name, kind, value) VALUES (?, ?, ?, ?)",
        [(seq, name, kind_of(value), dialect.pack_value(value)) for name, value in attributes.items()],
    )


def delete(
    connection: SqlConnection,
    dialect: SearchDialect,
    store: str,
    file: str | None,
    document: DocumentRow | None = None,
) -> None:
    """A file, or a whole store; ``document`` goes first: who adds chunks for it waits for this, and finds it gone."""
    if document is not None:
        documents.delete(connection, document.kind, document.owner, document.id)
    which, values = ("store = ?", (store,)) if file is None else ("store = ? AND file = ?", (store, file))
    files = f"SELECT seq FROM search_files WHERE {which}"
    dialect.remove_words(connection, files, values)
    connection.execute(f"DELETE FROM search_chunks WHERE file IN ({files})", values)
    connection.execute(f"DELETE FROM search_attributes WHERE file IN ({files})", values)
    connection.execute(f"DELETE FROM search_files WHERE {which}", values)


def allowed_files(
    connection: SqlConnection, dialect: SearchDialect, stores: Sequence[str], where: Filter
) -> set[int]:
    """The files of stores that pass a filter."""
    values: list[Any] = list(stores)
    condition = _condition(dialect, where, values)
    rows = connection.execute(
        f"SELECT f.seq FROM search_files f WHERE f.store IN ({marks(stores)}) AND {condition}", values
    )
    return {seq for (seq,) in rows}


def match_terms(
    connection: SqlConnection,
    dialect: SearchDialect,
    stores: Sequence[str],
    terms: Sequence[str],
    where: Filter | None,
    limit: int,
) -> Sequence[Hit]:
    """Chunks that have any of the terms, by BM25."""
    files = None if where is None else sorted(allowed_files(connection, dialect, stores, where))
    if not terms or files == []:
        return []
    return dialect.match_words(connection, stores, terms, files, limit)


def without_common(terms: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    """The terms without those that stand in very many chunks, where rarer ones are left: BM25 gives them next to nothing, and
    most of a search's time is theirs. ``counts``: in how many chunks each is found."""
    known = [term for term in terms if counts.get(term)]
    if not known:
        return []
    most = max(MAX_CHUNKS_OF_TERM, min(counts[term] for term in known))
    return [term for term in known if counts[term] <= most]


def read(connection: SqlConnection, ids: Sequence[int]) -> list[FoundChunk]:
    """The texts of hits, in this order."""
    if not ids:
        return []
    rows = connection.execute(
        "SELECT c.seq, f.store, f.file, c.text FROM search_chunks c JOIN search_files f ON f.seq = c.file "
        f"WHERE c.seq IN ({marks(ids)})",
        tuple(ids),
    )
    found = {seq: FoundChunk(id=seq, store=store, file=file, text=text) for seq, store, file, text in rows}
    return [found[seq] for seq in ids if seq in found]


def index_all_words(connection: SqlConnection, dialect: SearchDialect) -> int:
    """Index the words of every chunk, where there is no index of words yet (a copied store); the number of chunks."""
    last, done = 0, 0
    while True:
        rows = connection.execute(
            "SELECT c.seq, c.file, f.store, c.text FROM search_chunks c JOIN search_files f ON f.seq = c.file "
            "WHERE c.seq > ? ORDER BY c.seq LIMIT 500",
            (last,),
        ).fetchall()
        if not rows:
            return done
        dialect.add_words(connection, [ChunkWords(store, file, seq, text) for seq, file, store, text in rows])
        last, done = int(rows[-1][0]), done + len(rows)


def marks(values: Sequence[object]) -> str:
    """Places for values in a statement."""
    return ", ".join("?" * len(values))


def _file(connection: SqlConnection, store: str, file: str) -> int:
    """The number of a file, which is made if it is not there; nobody can delete it before the transaction ends."""
    found = returned(
        connection.execute(
            "INSERT INTO search_files (store, file) VALUES (?, ?) "
            "ON CONFLICT (store, file) DO UPDATE SET file = excluded.file RETURNING seq",
            (store, file),
        )
    )
    return int(found[0])


def _condition(dialect: SearchDialect, where: Filter, values: list[Any]) -> str:
    """A filter as a condition on ``f``; its values are appended."""
    if not isinstance(where, Comparison):
        joined = f" {where.operator.upper()} ".join(_condition(dialect, one, values) for one in where.filters)
        return f"({joined})"
    values.append(where.key)
    tests = []
    for value in where.values:
        tests.append(dialect.compared(kind_of(value), _OPERATORS.get(where.operator, "=")))
        values.append(dialect.pack_value(value))
    negated = "NOT " if where.operator in ("ne", "nin") else ""
    return (
        f"{negated}EXISTS (SELECT 1 FROM search_attributes a WHERE a.file = f.seq AND a.name = ? "
        f"AND ({' OR '.join(tests)}))"
    )
