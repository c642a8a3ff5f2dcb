"""What the search in vector stores has of its own on PostgreSQL: words by a GIN index of terms, vectors as arrays.

The terms are kodo's own (:mod:`kodo.server.lifecycle.retrieval.terms`), so that words of every language are found as on
SQLite; of PostgreSQL's text search only the type, the index and the match are used. BM25 is computed by one statement
over the chunks that the index finds. Vectors are compared by pgvector where the database has it, else by plain SQL; both look at
every vector of the stores that are searched.
"""

# ruff: noqa: S608 - SQL is put together from constants of this module; values are always bound

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from kodo.server.lifecycle.retrieval.filters import AttributeValue
from kodo.server.lifecycle.retrieval.ports import Hit
from kodo.server.lifecycle.retrieval.terms import index_text
from kodo.server.store.search import MAX_CHUNKS_OF_TERM, ChunkWords, SearchDialect, marks, without_common
from kodo.server.store.sql import SqlConnection

MAX_TERM_CHARS: Final = 500
"""Of a term, in the index and in a query: PostgreSQL takes lexemes of 2,046 bytes."""
MAX_TIMES: Final = 255
"""How often a term is counted in one chunk, the most that the type holds."""
MAX_PGVECTOR: Final = 16_000
"""Dimensions that pgvector takes."""
K1, B = 1.2, 0.75
"""BM25's usual constants."""


def pack_value(value: AttributeValue) -> str:
    """An attribute's value as it is stored: text, a number's digits (a float has a point), 0 or 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        digits = format(Decimal(repr(value)), "f")
        return digits if "." in digits else f"{digits}.0"
    return str(value)


def unpack_value(kind: str, value: str) -> AttributeValue:
    """The inverse of :func:`pack_value`, as SQLite keeps it: a truth is 0 or 1."""
    if kind == "text":
        return value
    return float(value) if "." in value else int(value)


def _compared(kind: str, operator: str) -> str:
    if kind == "number":
        number = f"CAST(a.value AS NUMERIC) {operator} CAST(? AS NUMERIC)"
        return f"CASE WHEN a.kind = 'number' THEN {number} ELSE FALSE END"
    return f"(a.kind = '{kind}' AND a.value {operator} ?)"


def _add_words(connection: SqlConnection, chunks: Sequence[ChunkWords]) -> None:
    connection.executemany(
        "INSERT INTO search_words (chunk, file, length, terms) VALUES (?, ?, ?, CAST(? AS TSVECTOR))",
        [(one.chunk, one.file, *_vector_of_terms(one)) for one in chunks],
    )


def _vector_of_terms(chunk: ChunkWords) -> tuple[int, str]:
    """The number of a chunk's terms, and its ``TSVECTOR`` as it is written."""
    terms = [term[:MAX_TERM_CHARS] for term in index_text(chunk.text).split()]
    lexemes = [_quoted(f"@{chunk.store}")]
    for term, times in Counter(terms).items():
        positions = ",".join(map(str, range(1, min(times, MAX_TIMES) + 1)))
        lexemes.append(f"{_quoted(term)}:{positions}")
    return len(terms), " ".join(lexemes)


def _remove_words(connection: SqlConnection, files: str, values: Sequence[Any]) -> None:
    """They go with their chunks."""


def _match_words(
    connection: SqlConnection,
    stores: Sequence[str],
    terms: Sequence[str],
    files: Sequence[int] | None,
    limit: int,
) -> list[Hit]:
    terms = [term[:MAX_TERM_CHARS] for term in terms]
    places = f"({' | '.join(_quoted(f'@{store}') for store in stores)})"
    counts = _count_chunks(connection, places, terms)
    kept = without_common(terms, counts)
    if not kept:
        return []
    chunks, length = connection.execute(
        "SELECT count(*), coalesce(avg(w.length), 1)::float8 FROM search_files f JOIN search_words w ON w.file = f.seq "
        f"WHERE f.store IN ({marks(stores)})",
        tuple(stores),
    ).fetchone()
    words = " | ".join(_quoted(term) for term in kept)
    values: list[Any] = [
        kept,
        [_weight(chunks, counts[term]) for term in kept],
        max(length, 1.0),
        f"{places} & ({words})",
    ]
    only = ""
    if files is not None:
        only = "AND w.file = ANY(CAST(? AS BIGINT[]))"
        values.append(list(files))
    rows = connection.execute(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT term, weight, terms FROM (SELECT CAST(? AS TEXT[]) AS terms) AS all_terms,
                unnest(terms, CAST(? AS FLOAT8[])) AS one (term, weight)
        ), average (length) AS (SELECT CAST(? AS FLOAT8))
        SELECT w.chunk, sum(
            asked.weight * found.times * {K1 + 1} / (found.times + {K1} * ({1 - B} + {B} * w.length / average.length))
        ) AS score
        FROM average, search_words w
        CROSS JOIN LATERAL (
            SELECT lexeme, cardinality(positions) AS times
            FROM unnest(ts_filter(setweight(w.terms, 'A', (SELECT terms FROM asked LIMIT 1)), '{{a}}'))
        ) AS found
        JOIN asked ON asked.term = found.lexeme
        WHERE w.terms @@ CAST(? AS TSQUERY) {only}
        GROUP BY w.chunk ORDER BY score DESC, w.chunk LIMIT ?
        """,
        (*values, limit),
    ).fetchall()
    return [Hit(id=chunk, score=score) for chunk, score in rows]


def _count_chunks(connection: SqlConnection, places: str, terms: Sequence[str]) -> Mapping[str, int]:
    """In how many chunks of the stores each term stands; counted up to where it is too many to be searched for."""
    rows = connection.execute(
        "SELECT asked.term, (SELECT count(*) FROM (SELECT 1 FROM search_words w "
        f"WHERE w.terms @@ CAST(asked.query AS TSQUERY) LIMIT {MAX_CHUNKS_OF_TERM + 1}) AS found) "
        "FROM unnest(CAST(? AS TEXT[]), CAST(? AS TEXT[])) AS asked (term, query)",
        (list(terms), [f"{places} & {_quoted(term)}" for term in terms]),
    ).fetchall()
    return dict(rows)


def _weight(chunks: int, having: int) -> float:
    """How much a term tells: the inverse document frequency as Lucene has it, which is never below 0."""
    return math.log(1 + max(0.0, chunks - having + 0.5) / (having + 0.5))


def match_vector(
    connection: SqlConnection,
    stores: Sequence[str],
    vector: Sequence[float],
    files: Sequence[int] | None,
    limit: int,
) -> list[Hit]:
    """The chunks with vectors of this size, by cosine."""
    size = math.sqrt(sum(value * value for value in vector)) or 1.0
    values: list[Any] = [[value / size for value in vector], *stores, len(vector)]
    only = ""
    if files is not None:
        only = "AND f.seq = ANY(CAST(? AS BIGINT[]))"
        values.append(list(files))
    wanted, product = (
        "CAST(? AS REAL[])",
        "(SELECT sum(x * y) FROM unnest(c.vector, asked.vector) AS pair (x, y))",
    )
    schema = find_pgvector(connection) if len(vector) <= MAX_PGVECTOR else None
    if schema is not None:
        wanted = f"CAST({wanted} AS {schema}.vector)"
        product = f"-(CAST(c.vector AS {schema}.vector) OPERATOR({schema}.<#>) asked.vector)"
    rows = connection.execute(
        f"""
        WITH asked (vector) AS MATERIALIZED (SELECT {wanted})
        SELECT c.seq, CAST({product} AS FLOAT8) AS score
        FROM asked, search_files f JOIN search_chunks c ON c.file = f.seq
        WHERE f.store IN ({marks(stores)}) AND cardinality(c.vector) = ? {only}
        ORDER BY score DESC, c.seq LIMIT ?
        """,
        (*values, limit),
    ).fetchall()
    return [Hit(id=seq, score=score) for seq, score in rows]


def find_pgvector(connection: SqlConnection) -> str | None:
    """The schema that pgvector is installed in, quoted for a statement; None: this database has no pgvector."""
    found = connection.execute(
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'vector'"
    ).fetchone()
    return None if found is None else str(found[0])


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


POSTGRES_SEARCH: Final = SearchDialect(
    pack_vector=list,
    pack_value=pack_value,
    compared=_compared,
    add_words=_add_words,
    remove_words=_remove_words,
    match_words=_match_words,
)
