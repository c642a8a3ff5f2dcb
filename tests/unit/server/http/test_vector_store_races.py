"""Files of vector stores that are added, changed and deleted at the same time, and while they are indexed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import Served, served, settings
from tests.unit.server.http.test_vector_stores import TEA, filled, names, settled, upload

from kodo.server.http.vector_stores import worker

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server without a model."""
    async with served(settings(tmp_path)) as server:
        yield server


async def chunks(server: Served, store: str, file: str) -> list[str]:
    """The texts of a file in the index."""
    index = server.state.store.search_index
    assert index is not None
    return [chunk.text for chunk in await index.file_chunks(store, file)]


async def test_a_file_added_fifty_times_at_once_is_there_once(server: Served) -> None:
    """Every request is answered with the file; it is indexed once, not beside itself."""
    sdk = server.sdk()
    store, file = (await sdk.vector_stores.create()).id, await upload(sdk, "tea.md", TEA)
    made = await asyncio.gather(*(sdk.vector_stores.files.create(store, file_id=file) for _ in range(50)))
    assert {one.id for one in made} == {file}
    assert (await settled(sdk, store)).file_counts.total == 1
    assert await chunks(server, store, file) == [TEA]
    assert await names(sdk, store, "green tea") == ["tea.md"]


async def test_adding_and_deleting_at_once_leaves_one_or_none(server: Served) -> None:
    """Whoever comes last: what is listed is what is found, and nothing of a deleted file is left in the index."""
    sdk = server.sdk()
    store, file = (await sdk.vector_stores.create()).id, await upload(sdk, "tea.md", TEA)
    files = sdk.vector_stores.files

    async def delete() -> None:
        try:
            await files.delete(file, vector_store_id=store)
        except openai.NotFoundError:
            return

    works = [files.create(store, file_id=file) if n % 2 else delete() for n in range(40)]
    await asyncio.gather(*works)
    listed = (await settled(sdk, store)).file_counts.total
    assert await chunks(server, store, file) == [TEA] * listed
    await delete()
    assert await chunks(server, store, file) == []


async def test_nothing_is_indexed_into_a_store_that_is_deleted(server: Served) -> None:
    """Files that are added while it goes are refused or go with it."""
    sdk = server.sdk()
    store = await filled(sdk, tea_md=TEA)
    new = [await upload(sdk, f"{n}.txt", f"words {n}") for n in range(10)]
    works: list[Any] = [sdk.vector_stores.files.create(store, file_id=file) for file in new]
    works.insert(5, sdk.vector_stores.delete(store))
    done = await asyncio.gather(*works, return_exceptions=True)
    refused = [one for one in done if isinstance(one, Exception)]
    assert all(isinstance(one, openai.NotFoundError) for one in refused)
    assert server.state.vector_stores is not None
    await server.state.vector_stores.files.close()
    assert [await chunks(server, store, file) for file in new] == [[]] * 10


async def test_attributes_that_change_before_a_file_is_read_hold(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter of the next search goes by them."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    read = worker.read_text

    async def held(*given: Any) -> str:
        begun.set()
        await go_on.wait()
        return await read(*given)

    monkeypatch.setattr(worker, "read_text", held)
    sdk = server.sdk()
    store, file = (await sdk.vector_stores.create()).id, await upload(sdk, "tea.md", TEA)
    await sdk.vector_stores.files.create(store, file_id=file, attributes={"year": 2025})
    await begun.wait()
    await sdk.vector_stores.files.update(file, vector_store_id=store, attributes={"year": 2026})
    go_on.set()
    await settled(sdk, store)
    where = {"type": "eq", "key": "year", "value": 2026}
    assert await names(sdk, store, "tea", filters=where) == ["tea.md"]


async def test_a_file_that_is_deleted_while_it_is_read_leaves_the_store(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at any other time; it is not shown as damaged."""
    sdk = server.sdk()
    read = worker.read_text
    store, file = (await sdk.vector_stores.create()).id, await upload(sdk, "tea.md", TEA)

    async def late(*given: Any) -> str:
        await sdk.files.delete(file)
        return await read(*given)

    monkeypatch.setattr(worker, "read_text", late)
    await sdk.vector_stores.files.create(store, file_id=file)
    await settled(sdk, store)
    with pytest.raises(openai.NotFoundError):
        await sdk.vector_stores.files.retrieve(file, vector_store_id=store)
    assert (await sdk.vector_stores.retrieve(store)).file_counts.total == 0
