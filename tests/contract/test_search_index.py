"""What every index of chunks promises: :class:`kodo.server.lifecycle.retrieval.ports.SearchIndex`."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.memory_index import MemorySearchIndex
from tests.contract.stores import document
from tests.postgres_server import shared_server

from kodo.server.lifecycle.errors import Conflict, NotFound
from kodo.server.lifecycle.retrieval.filters import AttributeValue, parse_filter
from kodo.server.lifecycle.retrieval.ports import Hit, SearchIndex, TextChunk
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sqlite import SqliteStore


def with_pgvector() -> PostgresStore:
    """A store whose database has pgvector, in a schema that is not searched."""
    server = shared_server()
    url = server.new_database_of_its_own()
    server.execute('CREATE SCHEMA "Other"', url.rpartition("/")[2])
    server.execute('CREATE EXTENSION vector SCHEMA "Other"', url.rpartition("/")[2])
    return PostgresStore(url)


STORES: dict[str, Callable[[Path], SqliteStore | PostgresStore]] = {
    "sqlite": SqliteStore,
    "postgres": lambda home: PostgresStore(shared_server().new_database()),
    "pgvector": lambda home: with_pgvector(),
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore | PostgresStore]:
    """Each store that has an index."""
    made = STORES[request.param](tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(params=["memory", *STORES])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SearchIndex]:
    """Each index."""
    if request.param == "memory":
        yield MemorySearchIndex()
        return
    made = STORES[request.param](tmp_path)
    await made.open()
    yield made.search_index
    await made.close()


def chunks(*texts: str, vectors: Sequence[Sequence[float]] | None = None) -> list[TextChunk]:
    """Chunks with these texts, numbered from 0."""
    return [
        TextChunk(number=number, text=text, vector=None if vectors is None else tuple(vectors[number]))
        for number, text in enumerate(texts)
    ]


async def texts(index: SearchIndex, hits: Sequence[Hit]) -> list[str]:
    """The texts of hits."""
    return [chunk.text for chunk in await index.read_chunks([hit.id for hit in hits])]


async def words(
    index: SearchIndex, query: str, stores: Sequence[str] = ("vs_a",), where: Any = None
) -> list[str]:
    """What a search by words finds."""
    parsed = None if where is None else parse_filter(where)
    return await texts(index, await index.match_terms(stores, query_terms(query), parsed, 10))


async def test_chunks_are_added_once_and_kept_in_order(index: SearchIndex) -> None:
    """A number that is there stays as it is; counts and texts of one file of one store."""
    await index.add_chunks("vs_a", "f1", chunks("one", "two"))
    await index.add_chunks("vs_a", "f1", [*chunks("changed"), TextChunk(number=2, text="three", start=4)])
    await index.add_chunks("vs_b", "f1", chunks("other"))
    assert await index.count_chunks("vs_a", "f1") == 3
    assert await index.file_chunks("vs_a", "f1") == [
        *chunks("one", "two"),
        TextChunk(number=2, text="three", start=4),
    ]
    assert await index.count_chunks("vs_a", "f2") == 0


async def test_words_are_found_best_first_and_in_the_named_stores_only(index: SearchIndex) -> None:
    """Any word counts, rarer and more often is better; Japanese by pairs of characters."""
    await index.add_chunks(
        "vs_a", "f1", chunks("green tea", "black tea and more", "red cars are fast", "金閣寺の拝観料")
    )
    await index.add_chunks("vs_b", "f1", chunks("green tea elsewhere"))
    assert await words(index, "green tea") == ["green tea", "black tea and more"]
    assert await words(index, "Teas") == ["green tea", "black tea and more"]
    assert await words(index, "拝観") == ["金閣寺の拝観料"]
    assert await words(index, "unheard") == [] == await words(index, "green", ["vs_none"])
    assert len(await words(index, "green", ["vs_a", "vs_b"])) == 2
    assert await words(index, 'a" OR "b') == []


async def test_vectors_are_found_by_their_angle(index: SearchIndex) -> None:
    """Those of another size, and chunks without one, are left out; an index that has read them sees new ones."""
    await index.add_chunks("vs_a", "f1", chunks("x", "y", "xy", vectors=[(1, 0), (0, 1), (0.6, 0.8)]))
    await index.add_chunks("vs_a", "f2", [TextChunk(number=0, text="none")])
    assert await texts(index, await index.match_vector(["vs_a"], (0, 5), None, 2)) == ["y", "xy"]
    assert not await index.match_vector(["vs_a"], (1, 0, 0), None, 5)
    await index.add_chunks("vs_a", "f3", chunks("new", vectors=[(0.0, 1.0)]))
    assert set(await texts(index, await index.match_vector(["vs_a"], (0, 1), None, 2))) == {"y", "new"}
    await index.delete_chunks("vs_a", "f1")
    assert await texts(index, await index.match_vector(["vs_a"], (1, 0), None, 5)) == ["new"]


async def test_filters_choose_files(index: SearchIndex) -> None:
    """By words and by vectors; an attribute that changes holds at once; a file without it passes only ``ne``."""
    for name, size in (("f1", 1), ("f2", 2), ("f3", None)):
        await index.add_chunks("vs_a", name, chunks(f"tea {name}", vectors=[(1, 0)]))
        attributes: dict[str, AttributeValue] = {} if size is None else {"size": size, "kind": "a"}
        await index.set_attributes("vs_a", name, attributes)
    small = {"type": "lt", "key": "size", "value": 2}
    assert await words(index, "tea", where=small) == ["tea f1"]
    found = await index.match_vector(["vs_a"], (1, 0), parse_filter(small), 5)
    assert await texts(index, found) == ["tea f1"]
    assert set(await words(index, "tea", where={"type": "ne", "key": "size", "value": 1})) == {
        "tea f2",
        "tea f3",
    }
    await index.set_attributes("vs_a", "f2", {"size": 0})
    assert set(await words(index, "tea", where=small)) == {"tea f1", "tea f2"}
    nothing = {"type": "and", "filters": [small, {"type": "eq", "key": "kind", "value": "b"}]}
    assert await words(index, "tea", where=nothing) == []


async def test_deleted_chunks_are_gone(index: SearchIndex) -> None:
    """A file's, then a store's; their ids read as nothing, other stores stay."""
    await index.add_chunks("vs_a", "f1", chunks("tea one"))
    await index.add_chunks("vs_a", "f2", chunks("tea two"))
    await index.add_chunks("vs_b", "f1", chunks("tea three"))
    held = await index.match_terms(["vs_a"], ["tea"], None, 5)
    await index.delete_chunks("vs_a", "f1")
    assert await words(index, "tea") == ["tea two"]
    assert await texts(index, held) == ["tea two"]
    await index.delete_chunks("vs_a")
    assert await words(index, "tea") == []
    assert await words(index, "tea", ["vs_b"]) == ["tea three"]
    await index.add_chunks("vs_a", "f1", chunks("tea again"))
    assert await words(index, "tea") == ["tea again"]


async def test_values_of_attributes_keep_their_kind(index: SearchIndex) -> None:
    """Text of digits is no number, 1 is not true; numbers are compared as such, whole ones and others, large and small."""
    values: dict[str, AttributeValue] = {
        "text": "10",
        "whole": 10,
        "real": 9.5,
        "large": 2**53 + 1,
        "huge": 1e300,
        "truth": True,
        "quote": "it's 100% \\ \0 ?",
    }
    for name, value in values.items():
        await index.add_chunks("vs_a", name, chunks(f"tea {name}"))
        await index.set_attributes("vs_a", name, {"v": value})

    async def having(operator: str, value: object) -> set[str]:
        where = {"type": operator, "key": "v", "value": value}
        return {text.removeprefix("tea ") for text in await words(index, "tea", where=where)}

    assert await having("eq", 10) == {"whole"} == await having("eq", 10.0)
    assert await having("eq", "10") == {"text"}
    assert await having("eq", True) == {"truth"}
    assert await having("gt", 9) == {"whole", "real", "large", "huge"}
    assert await having("gt", 2**53) == {"large", "huge"}
    assert await having("lte", 9.5) == {"real"}
    assert await having("gte", "10") == {"text", "quote"}
    assert await having("in", ["it's 100% \\ \0 ?", 1e300]) == {"quote", "huge"}
    assert await having("nin", [10, "10"]) == {"real", "large", "huge", "truth", "quote"}


async def test_words_of_every_form_are_found(index: SearchIndex) -> None:
    """Quotes, backslashes, very long words, a word three hundred times, a text without any word."""
    long = "a" * 5000
    hostile = "it's a 'quoted' \\' word:1A & | ! <-> (tea) \ufffd \0 end"
    await index.add_chunks("vs_a", "f1", chunks(hostile, f"{long} here", "many " * 300, "… — !", ""))
    assert await words(index, "quoted") == [hostile] == await words(index, "end")
    assert await words(index, long) == [f"{long} here"]
    assert await words(index, "many") == ["many " * 300]
    assert await words(index, "' | !") == [] == await words(index, "@vs_a")


async def test_chunks_are_added_for_a_document_that_is_worked_on_only(
    store: SqliteStore | PostgresStore,
) -> None:
    """Not once it is finished, made anew or gone; attributes and deletes take the document along, all or none."""
    index = store.search_index
    held = document("vs_a:f1", kind="vector_store.file", status="in_progress")
    await store.put_document(held)
    await index.add_chunks("vs_a", "f1", chunks("tea"), held=held)
    await index.set_attributes(
        "vs_a", "f1", {"n": 1}, document=msgspec.structs.replace(held, version=1, body=b"{1}")
    )
    with pytest.raises(Conflict):
        await index.set_attributes(
            "vs_a", "f1", {"n": 2}, document=msgspec.structs.replace(held, version=1, body=b"{2}")
        )
    assert await words(index, "tea", where={"type": "eq", "key": "n", "value": 1}) == ["tea"]
    await index.delete_chunks("vs_a", "f1", document=held)
    assert await store.get_document(held.kind, held.owner, held.id) is None
    for there in (
        None,
        msgspec.structs.replace(held, created_at=held.created_at + 1),
        msgspec.structs.replace(held, status="completed"),
    ):
        if there is not None:
            await store.put_document(there)
        with pytest.raises(NotFound):
            await index.add_chunks("vs_a", "f1", chunks("late"), held=held)
        assert await index.count_chunks("vs_a", "f1") == 0
        await store.delete_document(held.kind, held.owner, held.id)


async def test_every_index_finds_the_same(store: SqliteStore | PostgresStore) -> None:
    """Two hundred chunks of random words, with random filters: the same chunks by words, the same order by vectors."""
    draw = random.Random(18)
    twin = MemorySearchIndex()
    vocabulary = ["tea", "cup", "water", "leaf", "寺院", "拝観", "kettle", "steam", "max_tokens"]
    for number in range(50):
        made = chunks(
            *(" ".join(draw.choices(vocabulary, k=draw.randint(1, 12))) for _ in range(4)),
            vectors=[[draw.uniform(-1, 1) for _ in range(3)] for _ in range(4)],
        )
        attributes: dict[str, AttributeValue] = {
            "n": number,
            "even": number % 2 == 0,
            "name": f"f{number % 7}",
        }
        for one in (store.search_index, twin):
            await one.add_chunks(f"vs_{number % 3}", f"f{number}", made)
            await one.set_attributes(f"vs_{number % 3}", f"f{number}", attributes)
    filters = [
        None,
        {"type": "gte", "key": "n", "value": 25},
        {"type": "in", "key": "name", "value": ["f1", "f2"]},
        {"type": "nin", "key": "name", "value": ["f1", "f2"]},
        {
            "type": "or",
            "filters": [{"type": "eq", "key": "even", "value": True}, {"type": "lt", "key": "n", "value": 9}],
        },
    ]
    for _ in range(40):
        where = draw.choice(filters)
        parsed = None if where is None else parse_filter(where)
        stores = draw.sample(["vs_0", "vs_1", "vs_2"], draw.randint(1, 3))
        terms = query_terms(" ".join(draw.sample(vocabulary, 2)))
        by_words = [await one.match_terms(stores, terms, parsed, 500) for one in (store.search_index, twin)]
        assert {hit.id for hit in by_words[0]} == {hit.id for hit in by_words[1]}
        vector = [draw.uniform(-1, 1) for _ in range(3)]
        nearest = [await one.match_vector(stores, vector, parsed, 9) for one in (store.search_index, twin)]
        assert [hit.id for hit in nearest[0]] == [hit.id for hit in nearest[1]]
