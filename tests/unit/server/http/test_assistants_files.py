"""``file_search`` of assistants over real vector stores: found, shown as a step, cited with marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai.types.beta.threads import Message
from openai.types.beta.threads.runs import RunStep
from tests.serving import MODEL, script, served, settings
from tests.unit.server.http.test_vector_stores import KYOTO, TEA, filled

pytestmark = [
    pytest.mark.usefixtures("each_database"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the SDK marks this API so; here it lives on
]
TURNS: list[dict[str, Any]] = [
    {"match": "<passage", "steps": [{"type": "text", "text": "Two minutes[1]."}]},
    {
        "match": ".",
        "steps": [{"type": "call", "name": "file_search", "arguments": {"queries": ["green tea"]}}],
    },
]


async def test_a_run_searches_the_stores_of_assistant_and_thread(tmp_path: Path) -> None:
    """The file of the thread's store is found and cited, with its name in the mark and its id in the annotation."""
    async with served(settings(tmp_path / "home", script(tmp_path, *TURNS))) as server:
        sdk = server.sdk()
        own, thread_store = await filled(sdk, kyoto_txt=KYOTO), await filled(sdk, tea_md=TEA)
        made = await sdk.beta.assistants.create(
            model=MODEL,
            tools=[{"type": "file_search"}],
            tool_resources={"file_search": {"vector_store_ids": [own]}},
        )
        thread = await sdk.beta.threads.create(
            messages=[{"role": "user", "content": "How long is green tea steeped?"}],
            tool_resources={"file_search": {"vector_store_ids": [thread_store]}},
        )
        run = await sdk.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        assert (run.status, run.last_error) == ("completed", None)
        steps = [
            step
            async for step in sdk.beta.threads.runs.steps.list(
                run.id,
                thread_id=thread.id,
                order="asc",
                include=["step_details.tool_calls[*].file_search.results[*].content"],
            )
        ]
        message = [one async for one in sdk.beta.threads.messages.list(thread.id, order="asc")][-1]
        (file,) = [file async for file in sdk.vector_stores.files.list(thread_store)]
    for step in steps:
        RunStep.model_validate_json(step.to_json(), strict=True)
    Message.model_validate_json(message.to_json(), strict=True)
    search: Any = steps[0].step_details
    results = search.tool_calls[0].file_search.results
    assert [(one.file_id, one.file_name) for one in results] == [(file.id, "tea.md")]
    assert "two minutes" in results[0].content[0].text
    part: Any = message.content[0]
    assert part.text.value == "Two minutes【0†tea.md】."
    assert [one.file_citation.file_id for one in part.text.annotations] == [file.id]


async def test_a_store_is_created_with_what_it_is_for(tmp_path: Path) -> None:
    """An assistant, a thread and a run with its thread can describe the store to search: it is there with its files, named by
    its id, and a thread's expires seven days after its last use."""
    async with served(settings(tmp_path / "home", script(tmp_path, *TURNS))) as server:
        sdk = server.sdk()
        file = await sdk.files.create(file=("tea.md", TEA.encode()), purpose="assistants")
        described: Any = {"file_search": {"vector_stores": [{"file_ids": [file.id], "metadata": {"a": "b"}}]}}
        tools: Any = [{"type": "file_search"}]
        made = await sdk.beta.assistants.create(model=MODEL, tools=tools, tool_resources=described)
        said: Any = {"messages": [{"role": "user", "content": "How long?"}], "tool_resources": described}
        thread = await sdk.beta.threads.create(**said)
        bare = await sdk.beta.assistants.create(model=MODEL, tools=tools)
        run = await sdk.beta.threads.create_and_run_poll(assistant_id=bare.id, thread=said)
        of_run = await sdk.beta.threads.retrieve(run.thread_id)
        for owner, days in ((made, None), (thread, 7), (of_run, 7)):
            (store_id,) = owner.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr,misc]
            assert owner.tool_resources.to_dict() == {"file_search": {"vector_store_ids": [store_id]}}  # type: ignore[union-attr]
            store = await sdk.vector_stores.retrieve(store_id)
            assert store.metadata == {"a": "b"}
            assert (store.expires_after.days if store.expires_after else None) == days
            assert [one.id async for one in sdk.vector_stores.files.list(store_id)] == [file.id]
        assert run.status == "completed"


@pytest.mark.parametrize(
    ("stores", "where"),
    [
        ([{"file_ids": ["file-none"]}], "vector_stores[0].file_ids[0]"),
        ([{"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 90}}}],
         "vector_stores[0].chunking_strategy.static.chunk_overlap_tokens"),
        ([{}, {}], "vector_stores"),
    ],
    ids=["no file", "no size", "two"],
)  # fmt: skip
async def test_a_store_that_cannot_be_created_is_named(stores: list[Any], where: str, tmp_path: Path) -> None:
    """The field of the body that has it; and where something else is wrong, no store is left."""
    async with served(settings(tmp_path / "home")) as server, server.http() as http:
        bad = {"tool_resources": {"file_search": {"vector_stores": stores}}}
        good = {"tool_resources": {"file_search": {"vector_stores": [{}]}}}
        for path, body, at in (
            ("/v1/assistants", {"model": MODEL, **bad}, ""),
            ("/v1/threads", bad, ""),
            ("/v1/threads/runs", {"assistant_id": "asst_none", "thread": bad}, "thread."),
        ):
            answer = await http.post(path, json=body)
            assert answer.status_code in (400, 404)
            assert answer.json()["error"]["param"] == f"{at}tool_resources.file_search.{where}"
        both = {"file_search": {"vector_stores": [{}], "vector_store_ids": ["vs_1"]}}
        refused = await http.post("/v1/threads", json={"tool_resources": both})
        assert refused.json()["error"]["code"] == "mutually_exclusive_parameters"
        lost = await http.post("/v1/threads/runs", json={"assistant_id": "asst_none", "thread": good})
        assert lost.status_code == 404
        assert (await http.get("/v1/vector_stores")).json()["data"] == []
