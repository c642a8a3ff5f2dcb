"""Time of a search in 100,000 chunks, by words, by vectors and with a filter: ``make bench-vector-search``.

``--store postgres`` or ``pgvector`` measures a PostgreSQL of its own, without and with the extension.

Chunks are drawn from a Zipf-like vocabulary of 50,000 words, 80 words each, in 1,000 files; vectors are random, of 384
dimensions: the time depends on neither what they say nor how near they are. Prints medians and the 95th percentile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import numpy
from tests.postgres_server import PostgresServer

from kodo.server.lifecycle.retrieval.filters import Comparison, Filter
from kodo.server.lifecycle.retrieval.ports import TextChunk
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sqlite import SqliteStore

DIMENSIONS = 384
FILES = 1000


@contextlib.contextmanager
def new_store(kind: str) -> Iterator[SqliteStore | PostgresStore]:
    """A store of a kind, not yet open."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield SqliteStore(Path(folder))
        return
    server = PostgresServer()
    try:
        if kind == "pgvector":
            server.execute("CREATE EXTENSION vector")
        yield PostgresStore(server.url("postgres"))
    finally:
        server.close()


async def fill(
    store: SqliteStore | PostgresStore, chunks: int, draw: random.Random, words: list[str]
) -> None:
    """A store with this many chunks."""
    weights = list(accumulate(1 / (rank + 10) for rank in range(len(words))))
    numbers = numpy.random.default_rng(1)
    per_file = chunks // FILES
    for file in range(FILES):
        vectors = numbers.standard_normal((per_file, DIMENSIONS)).astype("f4")
        vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
        group = [
            TextChunk(
                number=number,
                text=" ".join(draw.choices(words, cum_weights=weights, k=80)),
                vector=tuple(vectors[number].tolist()),
            )
            for number in range(per_file)
        ]
        await store.search_index.set_attributes("vs_1", f"f{file}", {"n": file})
        await store.search_index.add_chunks("vs_1", f"f{file}", group)


async def measure(kind: str, chunks: int, searches: int) -> None:
    """Print the times."""
    draw = random.Random(1)
    words = [f"w{number}" for number in range(50_000)]
    with new_store(kind) as store:
        await store.open()
        begin = time.perf_counter()
        await fill(store, chunks, draw, words)
        print(f"{kind}: {chunks} chunks indexed in {time.perf_counter() - begin:.0f} s")
        index, few = store.search_index, Comparison("lt", "n", (FILES // 10,))
        kinds: list[tuple[str, Filter | None]] = [("all", None), ("a tenth of the files", few)]
        for name, where in kinds:
            times: dict[str, list[float]] = {"words": [], "vectors": [], "both": []}
            for _ in range(searches + 1):
                query = [f"w{int(50_000 ** draw.random())}" for _ in range(6)]
                vector = [draw.gauss(0, 1) for _ in range(DIMENSIONS)]
                begin = time.perf_counter()
                await index.match_terms(["vs_1"], query, where, 50)
                middle = time.perf_counter()
                await index.match_vector(["vs_1"], vector, where, 50)
                end = time.perf_counter()
                for kind, seconds in zip(times, (middle - begin, end - middle, end - begin), strict=True):
                    times[kind].append(1000 * seconds)
            for kind, all_times in times.items():
                kept = sorted(all_times[1:])  # the first search reads the vectors
                p95 = kept[int(0.95 * len(kept))]
                print(
                    f"{chunks} chunks, {name}, {kind}: median {statistics.median(kept):.1f} ms, p95 {p95:.1f} ms"
                )
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgres", "pgvector"), default="sqlite")
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=60)
    options = parser.parse_args()
    asyncio.run(measure(options.store, options.chunks, options.searches))
