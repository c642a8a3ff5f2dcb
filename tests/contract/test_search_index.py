"""What every index of chunks promises: :class:`kodo.server.lifecycle.retrieval.ports.SearchIndex`."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.contract.memory_index import MemorySearchIndex

from kodo.server.lifecycle.retrieval.filters import AttributeValue, parse_filter
from kodo.server.lifecycle.retrieval.ports import Hit, SearchIndex, TextChunk
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SearchIndex]:
    """Each of them."""
    if request.param == "memory":
        yield MemorySearchIndex()
        return
    store = SqliteStore(tmp_path)
    await store.open()
    yield store.search_index
    await store.close()


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


async def test_both_indexes_find_the_same(tmp_path: Path) -> None:
    """Two hundred chunks of random words, with random filters: the same chunks by words, the same order by vectors."""
    draw = random.Random(18)
    store, twin = SqliteStore(tmp_path), MemorySearchIndex()
    await store.open()
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
    await store.close()
