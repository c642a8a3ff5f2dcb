"""Assistants whose tools the server runs: resources, steps, citations. The tools are stand-ins; their own tests are elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.beta.threads import Message
from openai.types.beta.threads.runs import RunStep
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.lifecycle.hosted.ports import Announced, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.lifecycle.retrieval.search import store_not_found
from kodo.server.wire.hosted_events import FileSearchCompleted, FileSearchSearching
from kodo.server.wire.hosted_items import CodeInterpreterCall, FileSearchCall
from kodo.server.wire.hosted_tools import FileSearchTool, HostedChoice, HostedToolEntry
from kodo.server.wire.items import Item
from kodo.server.wire.tools import FunctionTool

pytestmark = [
    pytest.mark.usefixtures("each_database"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the SDK marks this API so; here it lives on
]
CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"


NEW: Any = {"file_search": {"vector_stores": [{}]}}


class StandIn:
    """File search and code in one: notes the entries that it is given."""

    types = frozenset({"file_search", "code_interpreter"})

    def __init__(self) -> None:
        self.entries: list[HostedToolEntry] = []

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """One function a type."""
        name = "file_search" if isinstance(entry, FileSearchTool) else "python"
        return [FunctionTool(name=name, parameters={"type": "object"})]

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """All."""
        return [function.name for function in functions]

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """None."""
        return []

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """In progress."""
        if call.name == "python":
            return Announced(
                item=CodeInterpreterCall(status="in_progress", code="", container_id="c", outputs=None),
                effect="none",
            )
        return Announced(item=FileSearchCall(status="in_progress", queries=[], results=None), effect="read")

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """A result with what was asked to be included."""
        self.entries.append(call.entry)
        if call.name == "python":
            logs = [{"type": "logs", "logs": "42\n"}]
            shown = logs if "code_interpreter_call.outputs" in context.include else None
            item: Item = CodeInterpreterCall(
                status="completed", code="print(42)", container_id="c", outputs=shown
            )
            yield Done(item=item, output="42")
            return
        yield FileSearchSearching()
        result = {
            "file_id": "file-1",
            "filename": "tea.txt",
            "score": 0.5,
            "text": "Tea is green.",
            "attributes": {},
        }
        shown = [result] if "file_search_call.results" in context.include else None
        yield Done(
            item=FileSearchCall(status="completed", queries=["tea"], results=shown),
            output="found [s1]: Tea is green.",
            events=(FileSearchCompleted(),),
            sources={"[s1]": {"type": "file_citation", "file_id": "file-1", "filename": "tea.txt"}},
        )

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """Not reached here."""
        raise AssertionError(message)


TURNS: list[dict[str, Any]] = [
    {"match": "^found", "steps": [{"type": "text", "text": "It is green [s1], and hot [s1]."}]},
    {"match": "^42$", "steps": [{"type": "text", "text": "It is 42."}]},
    {"match": "compute", "steps": [{"type": "call", "name": "python", "arguments": {"code": "print(42)"}}]},
    {"match": "tea", "steps": [{"type": "call", "name": "file_search", "arguments": {"queries": ["tea"]}}]},
]


def standing_in(tmp_path: Path, tool: StandIn) -> Any:
    """A server with the stand-in."""
    return served(settings(tmp_path, script(tmp_path, *TURNS)), tools=dict.fromkeys(sorted(tool.types), tool))


async def assistant(server: Served, **more: Any) -> tuple[Any, Any]:
    """The SDK's part for this API, and an assistant with both tools."""
    api = server.sdk().beta
    made = await api.assistants.create(
        model=MODEL,
        tools=[
            {"type": "file_search", "file_search": {"max_num_results": 7}},
            {"type": "code_interpreter"},
        ],
        tool_resources={
            "file_search": {"vector_store_ids": ["vs_a"]},
            "code_interpreter": {"file_ids": ["file-9"]},
        },
        **more,
    )
    return api, made


async def test_a_search_is_a_step_and_its_citations_are_marked(tmp_path: Path) -> None:
    """The stores of assistant and thread are searched; the text holds marks that clients replace, at their places."""
    tool = StandIn()
    async with standing_in(tmp_path, tool) as server:
        api, made = await assistant(server)
        assert made.tool_resources.file_search.vector_store_ids == ["vs_a"]
        thread = await api.threads.create(
            messages=[{"role": "user", "content": "tea?"}],
            tool_resources={"file_search": {"vector_store_ids": ["vs_t"]}},
        )
        run = await api.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=made.id, tool_choice={"type": "file_search"}
        )
        assert (run.status, run.last_error) == ("completed", None)
        entry = tool.entries[0]
        assert isinstance(entry, FileSearchTool)
        assert (entry.vector_store_ids, entry.max_num_results) == (("vs_a", "vs_t"), 7)
        steps = [step async for step in api.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")]
        for step in steps:
            RunStep.model_validate_json(step.to_json(), strict=True)
        assert [(step.type, step.status) for step in steps] == [
            ("tool_calls", "completed"),
            ("message_creation", "completed"),
        ]
        search = steps[0].step_details.tool_calls[0].file_search
        assert [(one.file_id, one.file_name, one.content) for one in search.results] == [
            ("file-1", "tea.txt", None)
        ]
        full = await api.threads.runs.steps.retrieve(
            steps[0].id, run_id=run.id, thread_id=thread.id, include=[CONTENT]
        )
        assert full.step_details.tool_calls[0].file_search.results[0].content[0].text == "Tea is green."
        (message,) = [
            one async for one in api.threads.messages.list(thread.id, order="asc") if one.role == "assistant"
        ]
        Message.model_validate_json(message.to_json(), strict=True)
    text = message.content[0].text
    assert text.value == "It is green 【0†tea.txt】, and hot 【1†tea.txt】."
    for one in text.annotations:
        assert text.value[one.start_index : one.end_index] == one.text
        assert one.file_citation.file_id == "file-1"
    assert sum(step.usage.total_tokens for step in steps) == run.usage.total_tokens


async def test_a_stream_says_the_same(tmp_path: Path) -> None:
    """The deltas make up the text with its marks; the step begins, and ends completed."""
    async with standing_in(tmp_path, StandIn()) as server:
        api, made = await assistant(server)
        thread = await api.threads.create(messages=[{"role": "user", "content": "tea?"}])
        stream = await api.threads.runs.create(thread.id, assistant_id=made.id, stream=True)
        events = [event async for event in stream]
    names = [event.event for event in events]
    assert names.index("thread.run.step.completed") < names.index("thread.message.created")
    parts = [event.data.delta.content[0].text for event in events if event.event == "thread.message.delta"]
    (done,) = [event.data for event in events if event.event == "thread.message.completed"]
    assert "".join(part.value for part in parts) == done.content[0].text.value
    marked = [one for part in parts for one in part.annotations or []]
    assert [one.index for one in marked] == [0, 1]
    assert [(one.start_index, one.text) for one in marked] == [
        (one.start_index, one.text) for one in done.content[0].text.annotations
    ]


async def test_code_is_a_step_with_its_outputs(tmp_path: Path) -> None:
    """Input and logs; the files of the resources are the container's."""
    tool = StandIn()
    async with standing_in(tmp_path, tool) as server:
        api, made = await assistant(server)
        thread = await api.threads.create(messages=[{"role": "user", "content": "compute"}])
        run = await api.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        steps = [step async for step in api.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")]
    RunStep.model_validate_json(steps[0].to_json(), strict=True)
    code = steps[0].step_details.tool_calls[0].code_interpreter
    assert (code.input, code.outputs[0].logs) == ("print(42)", "42\n")
    assert json.loads(json.dumps(tool.entries[0].container)) == {  # type: ignore[union-attr]  # code_interpreter
        "type": "auto",
        "file_ids": ["file-9"],
    }


async def test_resources_can_be_changed(tmp_path: Path) -> None:
    """On assistants and threads; a store is brought along by something new only."""
    async with standing_in(tmp_path, StandIn()) as server:
        api, made = await assistant(server)
        other: Any = {"file_search": {"vector_store_ids": ["vs_b"]}}
        changed = await api.assistants.update(made.id, tool_resources=other)
        assert changed.tool_resources.file_search.vector_store_ids == ["vs_b"]
        thread = await api.threads.create()
        changed = await api.threads.update(thread.id, tool_resources=other)
        assert changed.tool_resources.file_search.vector_store_ids == ["vs_b"]
        for change in (
            api.assistants.update(made.id, tool_resources=NEW),
            api.threads.update(thread.id, tool_resources=NEW),
        ):
            with pytest.raises(
                openai.BadRequestError, match="vector_stores"
            ):  # only something new brings a store
                await change


class WithoutStore(StandIn):
    """Its store was deleted."""

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """Not to be honoured."""
        raise store_not_found("vs_a", "vector_store_ids[0]")


async def test_a_run_whose_vector_store_was_deleted_fails_and_says_so(tmp_path: Path) -> None:
    """It ends, with the store's name in its error; it does not wait for ever, and the thread takes the next one."""
    async with standing_in(tmp_path, WithoutStore()) as server:
        api, made = await assistant(server)
        thread = await api.threads.create(messages=[{"role": "user", "content": "tea?"}])
        run = await api.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        assert (run.status, run.last_error.code) == ("failed", "invalid_prompt")
        assert "vs_a" in run.last_error.message
        again = await api.threads.runs.create_and_poll(
            thread_id=thread.id,
            assistant_id=made.id,
            tools=[],
            additional_messages=[{"role": "user", "content": "found"}],
        )
        assert again.status == "completed"


class Endless(StandIn):
    """Its code runs until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """Nothing comes of it."""
        self.began.set()
        await asyncio.Event().wait()
        yield FileSearchSearching()

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """Where it is stopped."""
        return Done(item=announced, output=message)


async def test_a_step_that_was_begun_is_ended_with_its_run(tmp_path: Path) -> None:
    """A run that is cancelled while the server runs its tool: the step is cancelled with it, in the events and in the list."""
    tool = Endless()
    async with standing_in(tmp_path, tool) as server:
        api, made = await assistant(server)
        thread = await api.threads.create(messages=[{"role": "user", "content": "compute"}])
        stream = await api.threads.runs.create(thread.id, assistant_id=made.id, stream=True)
        names, run_id = [], ""
        async for event in stream:
            names.append(event.event)
            run_id = run_id or (event.data.id if event.event == "thread.run.created" else "")
            if event.event == "thread.run.step.in_progress":
                await tool.began.wait()
                await api.threads.runs.cancel(run_id, thread_id=thread.id)
        steps = [step async for step in api.threads.runs.steps.list(run_id, thread_id=thread.id)]
    assert names[-2:] == ["thread.run.step.cancelled", "thread.run.cancelled"]
    assert [(step.type, step.status) for step in steps] == [("tool_calls", "cancelled")]
