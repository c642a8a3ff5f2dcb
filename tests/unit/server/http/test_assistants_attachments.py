"""Files that come with messages: found by the runs of their thread, read by their code, and named where they are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.beta.threads import Message
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_assistants_files import TURNS
from tests.unit.server.http.test_assistants_hosted import StandIn, standing_in
from tests.unit.server.http.test_vector_stores import KYOTO, TEA

from kodo.server.http.vector_stores import store_files
from kodo.server.http.vector_stores.store_files import StoreFiles
from kodo.server.http.vector_stores.worker import ingest
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.wire.hosted_tools import CodeInterpreterTool

pytestmark = [
    pytest.mark.usefixtures("each_database"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the SDK marks this API so; here it lives on
]
SEARCH: Any = [{"type": "file_search"}]
CODE: Any = [{"type": "code_interpreter"}]


def attached(file: Any, tools: Any = SEARCH) -> Any:
    """An attachment of a file."""
    return [{"file_id": getattr(file, "id", file), "tools": tools}]


def asking(file: Any, tools: Any = SEARCH) -> Any:
    """A message with a file."""
    return {
        "role": "user",
        "content": "How long is green tea steeped?",
        "attachments": attached(file, tools),
    }


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[tuple[Served, openai.AsyncOpenAI, Any, Any]]:
    """A server, its client, an assistant that searches, and a file about tea."""
    async with served(settings(tmp_path / "home", script(tmp_path, *TURNS))) as server:
        sdk = server.sdk()
        file = await sdk.files.create(file=("tea.md", TEA.encode()), purpose="assistants")
        yield server, sdk, await sdk.beta.assistants.create(model=MODEL, tools=SEARCH), file


async def store_of(sdk: openai.AsyncOpenAI, thread_id: str) -> str:
    """The thread's store."""
    resources: Any = (await sdk.beta.threads.retrieve(thread_id)).tool_resources
    (store_id,) = resources.file_search.vector_store_ids
    return str(store_id)


async def files_in(sdk: openai.AsyncOpenAI, store_id: str) -> set[str]:
    """The files of a store."""
    return {one.id async for one in sdk.vector_stores.files.list(store_id)}


@pytest.mark.parametrize("way", ["thread", "message", "additional", "create_and_run"])
async def test_a_file_of_a_message_is_searched(way: str, tmp_path: Path) -> None:
    """However the message comes to its thread: the thread gets a store that expires in a week, and a run finds the file in
    it."""
    async with serving(tmp_path) as (_, sdk, made, file):
        threads = sdk.beta.threads
        said = asking(file)
        if way == "create_and_run":
            run = await threads.create_and_run_poll(assistant_id=made.id, thread={"messages": [said]})
        elif way == "additional":
            thread = await threads.create()
            run = await threads.runs.create_and_poll(
                thread_id=thread.id, assistant_id=made.id, additional_messages=[said]
            )
        else:
            thread = await threads.create(messages=[said] if way == "thread" else [])
            if way != "thread":
                await threads.messages.create(thread.id, **said)
            run = await threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        assert (run.status, run.last_error) == ("completed", None)
        messages = [one async for one in threads.messages.list(run.thread_id, order="asc")]
        store = await sdk.vector_stores.retrieve(await store_of(sdk, run.thread_id))
        assert await files_in(sdk, store.id) == {file.id}
    assert store.expires_after is not None
    assert store.expires_after.days == 7
    for message in messages:
        Message.model_validate_json(message.to_json(), strict=True)
    assert messages[0].to_dict()["attachments"] == attached(file)
    part: Any = messages[-1].content[0]
    assert [one.file_citation.file_id for one in part.text.annotations] == [file.id]


async def test_a_run_waits_until_the_file_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts start it right behind the message; it can be cancelled meanwhile."""
    go = asyncio.Event()

    async def later(*given: Any) -> None:
        await go.wait()
        await ingest(*given)

    monkeypatch.setattr(store_files, "ingest", later)
    async with serving(tmp_path) as (_, sdk, made, file):
        threads = sdk.beta.threads
        thread = (await threads.create(messages=[asking(file)])).id
        first = await threads.runs.create(thread, assistant_id=made.id)
        await asyncio.sleep(0.3)
        assert (await threads.runs.retrieve(first.id, thread_id=thread)).status == "queued"
        await threads.runs.cancel(first.id, thread_id=thread)
        ended = await threads.runs.poll(run_id=first.id, thread_id=thread)
        assert ended.status == "cancelled"
        second = await threads.runs.create(thread, assistant_id=made.id)
        await asyncio.sleep(0.3)
        assert (await threads.runs.retrieve(second.id, thread_id=thread)).status == "queued"
        go.set()
        ended = await threads.runs.poll(run_id=second.id, thread_id=thread)
        last = (await threads.messages.list(thread)).data[0]
    assert ended.status == "completed"
    part: Any = last.content[0]
    assert len(part.text.annotations) == 1


async def test_a_waiting_run_looks_when_the_work_on_the_file_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once at the start and once at the end, not again and again."""
    go = asyncio.Event()
    looks = 0
    every = StoreFiles.all

    async def later(*given: Any) -> None:
        await go.wait()
        await ingest(*given)

    async def counted(*given: Any) -> Any:
        nonlocal looks
        looks += 1
        return await every(*given)

    monkeypatch.setattr(store_files, "ingest", later)
    async with serving(tmp_path) as (_, sdk, made, file):
        thread = (await sdk.beta.threads.create(messages=[asking(file)])).id
        monkeypatch.setattr(StoreFiles, "all", counted)
        run = await sdk.beta.threads.runs.create(thread, assistant_id=made.id)
        while not looks:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert looks == 1
        go.set()
        ended = await sdk.beta.threads.runs.poll(run_id=run.id, thread_id=thread)
        assert ended.status == "completed"
    assert looks <= 3  # one more where the work has ended and its task has not yet


async def test_a_file_leaves_the_store_where_its_message_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was there before: what joined it for the message is taken out again, and nothing else."""

    async def full(*_given: Any, **_named: Any) -> None:
        raise StoreFailed("The disk is full.")

    async with serving(tmp_path) as (server, sdk, _, file):
        other = await sdk.files.create(file=("kyoto.txt", KYOTO.encode()), purpose="assistants")
        own = await sdk.vector_stores.create(file_ids=[other.id])
        search: Any = {"file_search": {"vector_store_ids": [own.id]}}
        thread = await sdk.beta.threads.create(tool_resources=search)
        said = {**asking(file), "attachments": [*attached(file), *attached(other)]}
        with monkeypatch.context() as broken:
            broken.setattr(type(server.state.store), "append_items", full)
            with pytest.raises(openai.InternalServerError):
                await sdk.with_options(max_retries=0).beta.threads.messages.create(thread.id, **said)
        assert await files_in(sdk, own.id) == {other.id}
        await sdk.beta.threads.messages.create(thread.id, **said)
        assert await files_in(sdk, own.id) == {file.id, other.id}


async def test_later_files_join_the_store_that_is_there(tmp_path: Path) -> None:
    """One that the client named, or one of an earlier message; a file twice is there once, and stays when its message goes."""
    async with serving(tmp_path) as (_, sdk, _, file):
        other = await sdk.files.create(file=("kyoto.txt", KYOTO.encode()), purpose="assistants")
        own = await sdk.vector_stores.create(file_ids=[other.id])
        thread = await sdk.beta.threads.create(
            messages=[asking(file)], tool_resources={"file_search": {"vector_store_ids": [own.id]}}
        )
        assert await files_in(sdk, own.id) == {file.id, other.id}
        new = await sdk.beta.threads.create(messages=[asking(file), asking(file)])
        store = await store_of(sdk, new.id)
        message = await sdk.beta.threads.messages.create(new.id, **asking(other))
        await sdk.beta.threads.messages.create(new.id, **asking(file))
        await sdk.beta.threads.messages.delete(message.id, thread_id=new.id)
        assert await store_of(sdk, new.id) == store != own.id
        assert await files_in(sdk, store) == {file.id, other.id}
        assert await store_of(sdk, thread.id) == own.id


async def test_code_reads_the_files_of_messages(tmp_path: Path) -> None:
    """The run's container gets those of the assistant, of the thread and of its messages, each once."""
    tool = StandIn()
    async with standing_in(tmp_path, tool) as server:
        sdk = server.sdk()
        a, b, c = [
            await sdk.files.create(file=(f"{name}.csv", b"1,2\n"), purpose="assistants") for name in "abc"
        ]
        made = await sdk.beta.assistants.create(
            model=MODEL, tools=CODE, tool_resources={"code_interpreter": {"file_ids": [a.id]}}
        )
        thread = await sdk.beta.threads.create(messages=[asking(b, CODE)])
        both: Any = [*attached(c, CODE), *attached(b, CODE)]
        await sdk.beta.threads.messages.create(thread.id, role="user", content="compute", attachments=both)
        run = await sdk.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        assert run.status == "completed"
        resources: Any = (await sdk.beta.threads.retrieve(thread.id)).tool_resources
    assert resources.to_dict() == {"code_interpreter": {"file_ids": [b.id, c.id]}}
    entry = tool.entries[0]
    assert isinstance(entry, CodeInterpreterTool)
    assert entry.container == {"type": "auto", "file_ids": [a.id, b.id, c.id]}


async def test_a_file_that_is_not_there_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    """The field of the body; no message, no store and no thread is left."""
    async with serving(tmp_path) as (server, sdk, made, file), server.http() as http:
        thread = (await sdk.beta.threads.create()).id
        said = [asking(file), asking("file-none")]
        for path, body, at in (
            ("/v1/threads", {"messages": said}, "messages[1]."),
            ("/v1/threads/runs", {"assistant_id": made.id, "thread": {"messages": said}}, "thread.messages[1]."),
            (f"/v1/threads/{thread}/messages", said[1], ""),
            (f"/v1/threads/{thread}/runs", {"assistant_id": made.id, "additional_messages": said}, "additional_messages[1]."),
        ):  # fmt: skip
            answer = await http.post(path, json=body)
            assert answer.status_code == 404, path
            assert answer.json()["error"]["param"] == f"{at}attachments[0].file_id"
        assert [one async for one in sdk.vector_stores.list()] == []
        assert [one async for one in sdk.beta.threads.messages.list(thread)] == []
        assert (await sdk.beta.threads.retrieve(thread)).tool_resources.to_dict() == {}  # type: ignore[union-attr]


async def test_more_files_than_code_can_read_are_refused(tmp_path: Path) -> None:
    """Twenty, as in ``tool_resources``."""
    async with standing_in(tmp_path, StandIn()) as server, server.http() as http:
        sdk = server.sdk()
        files = [await sdk.files.create(file=(f"{n}.csv", b"1\n"), purpose="assistants") for n in range(21)]
        many = [{"file_id": one.id, "tools": CODE} for one in files]
        body = {"role": "user", "content": "x", "attachments": many}
        answer = await http.post("/v1/threads", json={"messages": [body]})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "messages[0].attachments[20].file_id"


async def test_an_image_of_a_file_is_shown_to_the_model(tmp_path: Path) -> None:
    """One that sees none is told that it was there; a file that is not there is named."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        sdk = server.sdk()
        image = await sdk.files.create(file=("a.png", b"\x89PNG\r\n\x1a\n"), purpose="vision")
        part: Any = {"type": "image_file", "image_file": {"file_id": image.id, "detail": "low"}}
        text: Any = {"type": "text", "text": "What is this?"}
        thread = await sdk.beta.threads.create(messages=[{"role": "user", "content": [text, part]}])
        (message,) = (await sdk.beta.threads.messages.list(thread.id)).data
        echo = await sdk.beta.assistants.create(model=MODEL)
        run = await sdk.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=echo.id)
        said: Any = (await sdk.beta.threads.messages.list(thread.id)).data[0].content[0]
        lost = {"type": "image_file", "image_file": {"file_id": "file-none"}}
        refused = await http.post(
            f"/v1/threads/{thread.id}/messages", json={"role": "user", "content": [text, lost]}
        )
    Message.model_validate_json(message.to_json(), strict=True)
    assert message.to_dict()["content"][1] == part  # type: ignore[index]
    assert run.status == "completed"
    assert "An image was attached here." in said.text.value
    assert refused.status_code == 404
    assert refused.json()["error"]["param"] == "content[1].image_file.file_id"


async def test_a_file_for_no_tool_is_kept_with_its_message(tmp_path: Path) -> None:
    """It is shown, and nothing reads it."""
    async with serving(tmp_path) as (_, sdk, _, file):
        thread = await sdk.beta.threads.create()
        said: Any = [{"file_id": file.id}]
        message = await sdk.beta.threads.messages.create(
            thread.id, role="user", content="x", attachments=said
        )
        assert [one.file_id for one in message.attachments or ()] == [file.id]
        assert (await sdk.beta.threads.retrieve(thread.id)).tool_resources.to_dict() == {}  # type: ignore[union-attr]
