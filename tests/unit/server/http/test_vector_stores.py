"""Vector stores through the SDK: files in, searches out, whatever the files hold."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import openai
import pytest
from openai.types import VectorStore
from openai.types.vector_stores import VectorStoreFile
from tests.crash.process import start
from tests.serving import MovedClock, served, settings
from tests.unit.server.http.test_access import make_key

from kodo.server.http.keys import DEFAULT_PROJECT
from kodo.server.http.vector_stores.documents import BATCH
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import Page
from kodo.server.lifecycle.retrieval import search

pytestmark = pytest.mark.usefixtures("each_database")

TEA = "# Tea\n\nGreen tea is steeped at 70 degrees for two minutes.\n"
KYOTO = "京都の観光案内。金閣寺は朝九時に開門します。拝観料は五百円です。"


async def upload(sdk: openai.AsyncOpenAI, name: str, data: str | bytes) -> str:
    """A file's id."""
    raw = data.encode() if isinstance(data, str) else data
    return (await sdk.files.create(file=(name, raw), purpose="assistants")).id


async def settled(sdk: openai.AsyncOpenAI, store: str) -> VectorStore:
    """The store once no file is in progress; its strict type is checked."""
    while (found := await sdk.vector_stores.retrieve(store)).status == "in_progress":
        await asyncio.sleep(0.05)
    return VectorStore.model_validate_json(found.to_json(), strict=True)


async def filled(sdk: openai.AsyncOpenAI, **files: str | bytes) -> str:
    """A store with files of these names (``_`` stands for a point), indexed."""
    store = await sdk.vector_stores.create(name="notes")
    for name, data in files.items():
        file = await upload(sdk, name.replace("_", "."), data)
        await sdk.vector_stores.files.create(
            store.id, file_id=file, attributes={"name": name, "size": len(data)}
        )
    await settled(sdk, store.id)
    return store.id


async def names(sdk: openai.AsyncOpenAI, store: str, query: str, **options: Any) -> list[str]:
    """The names of the files that a search finds, best first."""
    return [found.filename for found in (await sdk.vector_stores.search(store, query=query, **options)).data]


async def test_files_are_indexed_and_found_in_both_scripts(tmp_path: Path) -> None:
    """Words of English and Japanese words of two characters; counts, sizes and the text as it was read."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = await filled(sdk, tea_md=TEA, kyoto_txt=KYOTO)
        assert await names(sdk, store, "how long is green tea steeped?") == ["tea.md"]
        assert await names(sdk, store, "拝観") == ["kyoto.txt"]
        assert await names(sdk, store, "nothing of this") == []
        shown = await settled(sdk, store)
        assert (shown.file_counts.completed, shown.file_counts.total) == (2, 2)
        assert shown.usage_bytes == len(TEA.encode()) + len(KYOTO.encode())
        files = [file async for file in sdk.vector_stores.files.list(store)]
        for file in files:
            VectorStoreFile.model_validate_json(file.to_json(), strict=True)
        texts = [
            (await sdk.vector_stores.files.content(file.id, vector_store_id=store)).data for file in files
        ]
        assert sorted(part.text or "" for one in texts for part in one) == sorted([TEA, KYOTO])


OVERLAP: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}
OVERLAP_FIELD = "chunking_strategy.static.chunk_overlap_tokens"


async def test_sizes_of_chunks_are_checked_wherever_they_are_given(tmp_path: Path) -> None:
    """Also where there is no file to split yet; nothing is left of what was refused."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        file = await upload(sdk, "tea.md", TEA)
        for files in ([], [file]):
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.vector_stores.create(file_ids=files, chunking_strategy=OVERLAP)
            assert caught.value.param == OVERLAP_FIELD
        assert (await sdk.vector_stores.list()).data == []
        store = (await sdk.vector_stores.create()).id
        for files, options, param in (
            ([file], {"chunking_strategy": OVERLAP}, OVERLAP_FIELD),
            (None, {"files": [{"file_id": file, "chunking_strategy": OVERLAP}]}, f"files[0].{OVERLAP_FIELD}"),
        ):
            given: Any = options | ({} if files is None else {"file_ids": files})
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.vector_stores.file_batches.create(store, **given)
            assert caught.value.param == param
        assert (await sdk.vector_stores.retrieve(store)).file_counts.total == 0


async def test_too_many_files_leave_neither_a_store_nor_a_batch(tmp_path: Path) -> None:
    """They are counted before anything is stored."""
    given = settings(tmp_path, tools={"file_search": {"max_files": 1}})
    async with served(given) as server:
        sdk = server.sdk()
        files = [await upload(sdk, name, TEA) for name in ("a.md", "b.md")]
        with pytest.raises(openai.BadRequestError, match="is limited to 1"):
            await sdk.vector_stores.create(file_ids=files)
        assert (await sdk.vector_stores.list()).data == []
        store = (await sdk.vector_stores.create(file_ids=files[:1])).id
        with pytest.raises(openai.BadRequestError, match="is limited to 1"):
            await sdk.vector_stores.file_batches.create(store, file_ids=files)
        batches = await server.state.store.list_documents(BATCH, DEFAULT_PROJECT, Page(), parent=store)
        assert batches == ([], False)


async def test_a_store_whose_files_cannot_be_added_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has its id."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk().with_options(max_retries=0)
        file = await upload(sdk, "tea.md", TEA)

        async def full(*arguments: Any) -> None:
            raise StoreFailed("The server's disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(server.state.store, "append_items", full)
            with pytest.raises(openai.InternalServerError):
                await sdk.vector_stores.create(file_ids=[file])
        assert (await sdk.vector_stores.list()).data == []


async def test_a_search_is_answered_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the store was used cannot be noted then."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk().with_options(max_retries=0)
        store = await filled(sdk, tea_md=TEA)
        monkeypatch.setattr(search, "_USE_SECONDS", -1)

        async def full(row: Any) -> None:
            raise StoreFailed("The server's disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(server.state.store, "update_document", full)
            assert await names(sdk, store, "green tea") == ["tea.md"]
        assert await names(sdk, store, "green tea") == ["tea.md"]


async def test_a_deleted_file_leaves_every_store(tmp_path: Path) -> None:
    """Its text is found no more, in any store of the project; other files stay, and so do other projects' of the name."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        file, other = await upload(sdk, "tea.md", TEA), await upload(sdk, "kyoto.txt", KYOTO)
        stores = [(await sdk.vector_stores.create(file_ids=[file, other])).id for _ in range(3)]
        for store in stores:
            await settled(sdk, store)
        assert (await sdk.files.delete(file)).deleted
        for store in stores:
            assert await names(sdk, store, "green tea") == []
            assert await names(sdk, store, "拝観") == ["kyoto.txt"]
            assert [one.id async for one in sdk.vector_stores.files.list(store)] == [other]
        with pytest.raises(openai.NotFoundError):
            await sdk.files.delete(file)


async def test_a_cursor_that_is_not_there_is_named_as_the_client_wrote_it(tmp_path: Path) -> None:
    """Not by the name that the row has in the store."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = (await sdk.vector_stores.create()).id
        for name in ("after", "before"):
            options: Any = {name: "file-none"}
            with pytest.raises(openai.NotFoundError, match="No object with the id 'file-none'") as caught:
                await sdk.vector_stores.files.list(store, **options)
            assert caught.value.param == name


async def test_filters_choose_files_by_attributes(tmp_path: Path) -> None:
    """Comparisons of texts and numbers, nested; changed attributes hold from the next search."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = await filled(sdk, a_txt="red apples", b_txt="red berries are small", c_txt="red cars")
        by: Callable[[Any], Any] = lambda where: names(sdk, store, "red", filters=where)  # noqa: E731 - one line
        assert await by({"type": "eq", "key": "name", "value": "a_txt"}) == ["a.txt"]
        assert sorted(await by({"type": "nin", "key": "name", "value": ["a_txt"]})) == ["b.txt", "c.txt"]
        large = {"type": "gt", "key": "size", "value": 10}
        either = {"type": "or", "filters": [large, {"type": "eq", "key": "name", "value": "a_txt"}]}
        assert await by(large) == ["b.txt"]
        assert sorted(await by(either)) == ["a.txt", "b.txt"]
        file = (await sdk.vector_stores.files.list(store, order="asc")).data[0]
        await sdk.vector_stores.files.update(file.id, vector_store_id=store, attributes={"size": 99})
        assert sorted(await by(large)) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"filters": {"type": "like", "key": "a", "value": 1}}, "filters.type"),
        ({"filters": {"type": "and", "filters": [{"type": "eq", "key": "a"}]}}, "filters.filters[0].value"),
        ({"rewrite_query": True}, "rewrite_query"),
        ({"max_num_results": 51}, "max_num_results"),
        ({"ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
    ],
)
async def test_a_search_that_cannot_be_honoured_names_its_field(
    tmp_path: Path, options: dict[str, Any], param: str
) -> None:
    """Nothing is ignored: the error has the path of what is wrong."""
    async with served(settings(tmp_path)) as server:
        store = await server.sdk().vector_stores.create()
        with pytest.raises(openai.BadRequestError) as caught:
            await server.sdk().vector_stores.search(store.id, query="x", **options)
    assert caught.value.param == param


async def test_a_store_belongs_to_its_project(tmp_path: Path) -> None:
    """Another project's key finds neither the store nor its files, and cannot add to it."""
    async with served(settings(tmp_path)) as server:
        ada, bob = [server.sdk(await make_key(server, name)) for name in ("ada", "bob")]
        store = await filled(ada, tea_md=TEA)
        for call in (
            bob.vector_stores.retrieve(store),
            bob.vector_stores.search(store, query="tea"),
            bob.vector_stores.delete(store),
            bob.vector_stores.files.list(store),
            bob.vector_stores.files.create(store, file_id=await upload(bob, "x.txt", "x")),
        ):
            with pytest.raises(openai.NotFoundError):
                await call
        assert await names(ada, store, "tea") == ["tea.md"]
        assert (await bob.vector_stores.list()).data == []


async def test_a_number_that_no_database_keeps_is_refused(tmp_path: Path) -> None:
    """Whole numbers of more than 64 bits, in an attribute and in a filter; the largest that fits is found."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = await filled(sdk, tea_md=TEA)
        (file,) = (await sdk.vector_stores.files.list(store)).data
        for number in (2**63, -(2**63), 10**30):
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.vector_stores.files.update(file.id, vector_store_id=store, attributes={"n": number})
            assert str(caught.value.param).startswith("attributes")
            with pytest.raises(openai.BadRequestError) as caught:
                await names(sdk, store, "tea", filters={"type": "lt", "key": "n", "value": number})
            assert caught.value.param == "filters.value"
        await sdk.vector_stores.files.update(file.id, vector_store_id=store, attributes={"n": 2**63 - 1})
        where = {"type": "gt", "key": "n", "value": 2**63 - 2}
        assert await names(sdk, store, "tea", filters=where) == ["tea.md"]


async def test_deleted_files_and_stores_are_found_no_more(tmp_path: Path) -> None:
    """A file leaves its store and stays a file; a store leaves nothing in the index."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = await filled(sdk, tea_md=TEA, kyoto_txt=KYOTO)
        file = (await sdk.vector_stores.files.list(store, order="asc")).data[0]
        await sdk.vector_stores.files.delete(file.id, vector_store_id=store)
        assert await names(sdk, store, "tea") == []
        assert (await sdk.files.retrieve(file.id)).filename == "tea.md"
        await sdk.vector_stores.delete(store)
        with pytest.raises(openai.NotFoundError):
            await sdk.vector_stores.retrieve(store)
        index = server.state.store.search_index
        assert index is not None and await index.match_terms([store], ["拝観"], None, 5) == []


async def test_a_batch_of_files_is_listed_and_cancelled(tmp_path: Path) -> None:
    """Options for all or for each; a bad file fails alone; what was cancelled is not searched."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = (await sdk.vector_stores.create()).id
        good, bad = await upload(sdk, "good.txt", TEA), await upload(sdk, "bad.pdf", b"%PDF-1.4 damaged")
        batch = await sdk.vector_stores.file_batches.create(
            store, files=[{"file_id": good, "attributes": {"k": "v"}}, {"file_id": bad}]
        )
        await settled(sdk, store)
        batch = await sdk.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store)
        assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 1, 1)
        listed = await sdk.vector_stores.file_batches.list_files(
            batch.id, vector_store_id=store, filter="failed"
        )
        assert [file.id for file in listed.data] == [bad]
        assert listed.data[0].last_error is not None and listed.data[0].last_error.code == "invalid_file"
        many = [await upload(sdk, f"{n}.txt", f"cancelled words {n}") for n in range(8)]
        batch = await sdk.vector_stores.file_batches.create(store, file_ids=many)
        batch = await sdk.vector_stores.file_batches.cancel(batch.id, vector_store_id=store)
        assert batch.status == "cancelled" and batch.file_counts.cancelled >= 4
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.vector_stores.file_batches.create(store)
        assert caught.value.param == "file_ids"


async def test_an_unused_store_expires(tmp_path: Path) -> None:
    """The days count from the last use; an expired store is refused by name and its chunks are deleted."""
    clock = MovedClock()
    async with served(settings(tmp_path), clock=clock) as server:
        sdk = server.sdk()
        store = await filled(sdk, tea_md=TEA)
        await sdk.vector_stores.update(store, expires_after={"anchor": "last_active_at", "days": 2})
        clock.moved = 1.5 * 86400
        assert await names(sdk, store, "tea") == ["tea.md"]
        clock.moved = 3 * 86400
        assert (await sdk.vector_stores.retrieve(store)).status == "completed"
        clock.moved = 4 * 86400
        assert (await sdk.vector_stores.retrieve(store)).status == "expired"
        with pytest.raises(openai.BadRequestError) as caught:
            await names(sdk, store, "tea")
        assert caught.value.code == "vector_store_expired"
        assert server.state.vector_stores is not None and server.state.store.search_index is not None
        await server.state.vector_stores.sweep()
        assert await server.state.store.search_index.match_terms([store], ["tea"], None, 5) == []


def _zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"word/{number}.xml", b"0" * (60 * 2**20))
    return packed.getvalue()


def _docx() -> bytes:
    document = docx.Document()
    document.add_heading("Plans", 1)
    document.add_paragraph("The quarterly budget is 300 euros.")
    packed = io.BytesIO()
    document.save(packed)
    return packed.getvalue()


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "damaged pdf": (
        "x.pdf",
        lambda: b"%PDF-1.7\n" + b"1 0 obj<</Type/Page/Parent 1 0 R>>" * 1000,
        "invalid_file",
    ),
    "zip bomb": ("x.docx", _zip_bomb, "invalid_file"),
    "no zip": ("x.xlsx", lambda: b"not a zip", "invalid_file"),
    "program": ("x.exe", lambda: b"MZ\x00\x01\x02" * 100, "unsupported_file"),
    "empty": ("x.txt", lambda: b"  \n", "invalid_file"),
    "binary text": ("x.txt", lambda: b"a\x00b" * 100, "invalid_file"),
}


async def test_hostile_files_fail_alone_and_say_why(tmp_path: Path) -> None:
    """Damaged, packed and foreign files end with their error; a good one beside them is found."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = (await sdk.vector_stores.create()).id
        wanted = {}
        for name, make, code in HOSTILE.values():
            file = await upload(sdk, name, make())
            await sdk.vector_stores.files.create(store, file_id=file)
            wanted[file] = code
        good = await upload(sdk, "plans.docx", _docx())
        await sdk.vector_stores.files.create(store, file_id=good)
        await settled(sdk, store)
        files = {file.id: file async for file in sdk.vector_stores.files.list(store)}
        found = {id_: file.last_error.code for id_, file in files.items() if file.last_error}
        assert found == wanted
        assert await names(sdk, store, "quarterly budget") == ["plans.docx"]


def test_a_killed_ingestion_ends_after_the_restart(tmp_path: Path) -> None:
    """kill -9 in the middle of the chunks: every chunk is there once, in its order."""
    text = "\n\n".join(f"Paragraph {n} of the long report about item{n}." for n in range(6000))
    script = tmp_path / "script.json"
    script.write_text('{"turns": []}')
    server = start(tmp_path / "home", script)
    try:
        sdk = server.sdk()
        store = sdk.vector_stores.create()
        file = sdk.files.create(file=("long.txt", text.encode()), purpose="assistants")
        sdk.vector_stores.files.create(
            store.id,
            file_id=file.id,
            chunking_strategy={
                "type": "static",
                "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0},
            },
        )
        kills = 0
        while sdk.vector_stores.retrieve(store.id).status == "in_progress" and kills < 3:
            if sdk.vector_stores.files.content(file.id, vector_store_id=store.id).data:
                server.kill()
                kills += 1
                server = start(tmp_path / "home", script)
                sdk = server.sdk()
        while sdk.vector_stores.retrieve(store.id).status == "in_progress":
            pass
        assert kills, "no kill struck in the middle"
        data = sdk.vector_stores.files.content(file.id, vector_store_id=store.id).data
        assert "".join(part.text or "" for part in data) == text
        assert sdk.vector_stores.search(store.id, query="item4321").data[0].filename == "long.txt"
    finally:
        server.kill()
