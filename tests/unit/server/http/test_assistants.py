"""The Assistants API through the SDK, every answer and every event judged by the SDK's strict types."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import openai
import pydantic
import pytest
from openai import AsyncAssistantEventHandler
from openai.types.beta import Assistant, AssistantStreamEvent, Thread
from openai.types.beta.threads import Message, Run, RunStatus
from openai.types.beta.threads.run_create_params import RunCreateParamsBase, RunCreateParamsStreaming
from openai.types.beta.threads.runs import RunStep
from tests.paths import DOCS
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_access import make_key

from kodo.server.http.assistants import documents as assistants
from kodo.server.http.assistants import request_translation, worker
from kodo.server.http.assistants.defaults import with_sampling
from kodo.server.http.assistants.run_states import RUN_STATUS
from kodo.server.lifecycle.context import new_row
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.ports import ModelCard
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.store import documents
from kodo.server.wire import assistants as wire
from kodo.server.wire.items import InputText
from kodo.server.wire.items import Message as Item

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # the SDK marks this API so; here it lives on

TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALLS = {
    "steps": [
        {"type": "text", "text": "Let me see."},
        {"type": "call", "name": "add", "arguments": {"a": 1}, "call_id": "call_1"},
        {"type": "call", "name": "add", "arguments": {"a": 2}, "call_id": "call_2"},
    ]
}
OUTPUTS: Any = [{"tool_call_id": "call_1", "output": "one"}, {"tool_call_id": "call_2", "output": "two"}]
SLOW = {"steps": [{"type": "text", "text": "Wait"}, {"type": "delay", "seconds": 30}]}
KINDS: dict[str, Any] = {
    "assistant": Assistant,
    "thread": Thread,
    "thread.message": Message,
    "thread.run": Run,
    "thread.run.step": RunStep,
}
_event: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(AssistantStreamEvent)


def said(text: str) -> dict[str, Any]:
    """A turn that says something."""
    return {"steps": [{"type": "text", "text": text}]}


class Client:
    """A bare client whose every answer and event is checked, for one assistant."""

    def __init__(self, server: Served, http: Any, assistant_id: str) -> None:
        self.server = server
        self._http = http
        self.assistant_id = assistant_id

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One answer, of the SDK's strict type."""
        answer = await self._http.request(method, f"/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return self._checked(answer.content)

    def _checked(self, content: bytes) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(content)
        for one in value["data"] if value["object"] == "list" else [value]:
            if one["object"] in KINDS:
                KINDS[one["object"]].model_validate_json(json.dumps(one), strict=True)
        return value

    async def refused(self, method: str, path: str, body: Any = None, status: int = 400) -> dict[str, Any]:
        """The error of a call."""
        answer = await self._http.request(method, f"/v1/{path}", json=body)
        assert answer.status_code == status, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return error

    async def thread(self, *messages: str) -> str:
        """A thread with messages of a user."""
        given = [{"role": "user", "content": text} for text in messages]
        return str((await self.ask("POST", "threads", {"messages": given}))["id"])

    async def begin(self, thread_id: str, **options: Any) -> str:
        """A run."""
        body = {"assistant_id": self.assistant_id, **options}
        return str((await self.ask("POST", f"threads/{thread_id}/runs", body))["id"])

    async def until(self, thread_id: str, run_id: str, *statuses: str) -> dict[str, Any]:
        """A run, once it is in one of some states."""
        while True:
            run = await self.ask("GET", f"threads/{thread_id}/runs/{run_id}")
            if run["status"] in statuses:
                return run
            assert run["status"] in RUN_STATUS.unfinished, f"the run is {run['status']}"
            await asyncio.sleep(0.01)

    async def over(self, thread_id: str, **options: Any) -> dict[str, Any]:
        """A run of its own, and its end."""
        run_id = await self.begin(thread_id, **options)
        ends = list(RUN_STATUS.final)
        return await self.until(thread_id, run_id, *ends, "requires_action")

    async def stream(self, path: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """All events of a stream, which ends with ``done``."""
        return [event async for event in self.events(path, body)]

    async def events(self, path: str, body: dict[str, Any]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The events of a stream as they come."""
        name = ""
        async with self._http.stream("POST", f"/v1/{path}", json={**body, "stream": True}) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name != "done":
                    data = json.loads(line.removeprefix("data: "))
                    _event.validate_json(json.dumps({"event": name, "data": data}), strict=True)
                    yield name, data
        assert name == "done"

    async def texts(self, thread_id: str) -> list[tuple[str, str]]:
        """What was said in a thread, oldest first."""
        found = await self.ask("GET", f"threads/{thread_id}/messages?order=asc")
        return [(m["role"], m["content"][0]["text"]["value"]) for m in found["data"]]

    async def steps(self, thread_id: str, run_id: str) -> list[dict[str, Any]]:
        """What a run did, oldest first."""
        found = await self.ask("GET", f"threads/{thread_id}/runs/{run_id}/steps?order=asc")
        steps: list[dict[str, Any]] = found["data"]
        return steps


@contextlib.asynccontextmanager
async def client(
    tmp_path: Path, *turns: dict[str, Any], pace: float = 0.0, assistant: str | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A server with a script (none: it echoes), and an assistant with a tool."""
    given = settings(
        tmp_path / "home", script(tmp_path, *turns, pace=pace), **{"shutdown_seconds": 0, **options}
    )
    async with served(given) as server, server.http() as http:
        made = Client(server, http, assistant or "")
        if assistant is None:
            body = {"model": MODEL, "tools": [TOOL], "instructions": "Be brief."}
            made.assistant_id = (await made.ask("POST", "assistants", body))["id"]
        yield made


# --- assistants, threads, messages -----------------------------------------------------------------------------------


async def test_assistants_are_made_changed_listed_and_deleted(tmp_path: Path) -> None:
    """What a change leaves out stays, what it sets to null goes."""
    async with served(settings(tmp_path)) as server:
        api = server.sdk().beta.assistants
        made = await api.create(
            model=MODEL, name="Ann", description="d", instructions="i", tools=[TOOL], temperature=0.5, top_p=0.9,
            metadata={"a": "b"}, response_format={"type": "json_object"}, reasoning_effort="low",
        )  # fmt: skip
        assert (made.name, made.temperature, made.tools[0].type) == ("Ann", 0.5, "function")
        assert made.response_format == openai.types.shared.ResponseFormatJSONObject(type="json_object")
        changed = await api.update(made.id, name="Bea", description=None, tools=[])
        assert (changed.name, changed.description, changed.instructions) == ("Bea", None, "i")
        assert changed.tools == []
        assert await api.retrieve(made.id) == changed
        others = [(await api.create(model=MODEL)).id for _ in range(3)]
        assert [one.id async for one in api.list(limit=2)] == [*reversed(others), made.id]
        assert (await api.delete(made.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await api.retrieve(made.id)


async def test_threads_and_messages_are_made_read_changed_and_deleted(tmp_path: Path) -> None:
    """Messages come as a string or as parts, each with metadata; lists go both ways."""
    async with served(settings(tmp_path)) as server:
        api = server.sdk().beta.threads
        thread = await api.create(messages=[{"role": "user", "content": "one"}], metadata={"a": "b"})
        assert thread.metadata == {"a": "b"}
        assert (await api.update(thread.id, metadata={"c": "d"})).metadata == {"c": "d"}
        parts: Any = [
            {"type": "text", "text": "two"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]
        two = await api.messages.create(thread.id, role="assistant", content=parts, metadata={"n": "2"})
        assert [part.type for part in two.content] == ["text", "image_url"]
        assert await api.messages.retrieve(two.id, thread_id=thread.id) == two
        changed = await api.messages.update(two.id, thread_id=thread.id, metadata={"n": "3"})
        assert (changed.metadata, changed.content) == ({"n": "3"}, two.content)
        listed = [one.id async for one in api.messages.list(thread.id, order="asc", limit=1)]
        assert listed[1:] == [two.id]
        assert (await api.messages.delete(two.id, thread_id=thread.id)).deleted
        assert [one.id async for one in api.messages.list(thread.id)] == listed[:1]
        assert (await api.delete(thread.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await api.messages.list(thread.id)


async def test_what_was_not_set_is_shown_as_what_holds(tmp_path: Path) -> None:
    """As the hosted API fills it in, everywhere: the model's temperature, empty resources, and a tool without files."""
    tools = [{"type": "code_interpreter"}, {"type": "file_search"}]
    async with client(tmp_path, said("Yes.")) as one:
        plain = await one.ask("GET", f"assistants/{one.assistant_id}")
        assert (plain["temperature"], plain["top_p"]) == (1.0, 1.0)
        assert (plain["response_format"], plain["tool_resources"]) == ("auto", {})
        made = await one.ask("POST", "assistants", {"model": MODEL, "tools": tools, "temperature": 0.5})
        assert made["tool_resources"] == {
            "code_interpreter": {"file_ids": []},
            "file_search": {"vector_store_ids": []},
        }
        changed = await one.ask("POST", f"assistants/{made['id']}", {"temperature": None, "tools": []})
        assert (changed["temperature"], changed["tool_resources"]) == (1.0, {})
        listed = (await one.ask("GET", "assistants"))["data"]
        assert listed == [changed, plain]
        thread = await one.ask("POST", "threads", {"messages": [{"role": "user", "content": "Go."}]})
        assert thread["tool_resources"] == {}
        assert await one.ask("GET", f"threads/{thread['id']}") == thread
        assert (await one.ask("POST", f"threads/{thread['id']}", {"metadata": {}}))["tool_resources"] == {}
        run = await one.over(thread["id"])
        assert (run["temperature"], run["top_p"], run["response_format"]) == (1.0, 1.0, "auto")
        assert run["truncation_strategy"] == {"type": "auto", "last_messages": None}
        assert (run["tool_choice"], run["parallel_tool_calls"]) == ("auto", True)
        events = await one.stream("threads/runs", {"assistant_id": one.assistant_id})
        assert [data["tool_resources"] for name, data in events if name == "thread.created"] == [{}]
        shown = [
            data["temperature"]
            for name, data in events
            if name.startswith("thread.run.") and "step" not in name
        ]
        assert set(shown) == {1.0}


def test_defaults_are_the_models_own_and_are_not_asked_for() -> None:
    """A model's card says what holds; the engine is asked with what the client set, as for a response."""
    card = ModelCard(
        name="m", engine="e", context_window=1, max_output_tokens=1, parallel=1, temperature=0.2, top_p=0.8
    )
    models: Any = {"m": SimpleNamespace(card=card)}
    made = wire.Assistant(id="asst_1", created_at=1, model="m", top_p=0.5)
    assert (with_sampling(made, models).temperature, with_sampling(made, models).top_p) == (0.2, 0.5)
    assert with_sampling(made, {}).temperature == 1.0
    run = wire.ThreadRun(id="run_1", created_at=1, thread_id="t", assistant_id="a", model="m", top_p=0.5)
    shown = with_sampling(run, models)
    stored = assistants.StoredRun(run=shown, asked_sampling=assistants.AskedSampling(top_p=0.5))
    assert stored.asked == run
    assert assistants.StoredRun(run=run).asked == run  # a document of an earlier version


async def test_what_is_one_projects_is_not_anothers(tmp_path: Path) -> None:
    """A foreign assistant, thread, message or run looks like one that is not there."""
    async with served(settings(tmp_path)) as server:
        mine = server.sdk(await make_key(server, "mine")).beta
        other = server.sdk(await make_key(server, "other")).beta
        assistant = await mine.assistants.create(model=MODEL)
        run = await mine.threads.create_and_run_poll(
            assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "hi"}]}
        )
        own = await other.assistants.create(model=MODEL)
        for attempt in (
            other.assistants.retrieve(assistant.id),
            other.threads.retrieve(run.thread_id),
            other.threads.messages.create(run.thread_id, role="user", content="x"),
            other.threads.runs.retrieve(run.id, thread_id=run.thread_id),
            other.threads.runs.create(run.thread_id, assistant_id=own.id),
            other.threads.create_and_run(assistant_id=assistant.id),
            other.threads.delete(run.thread_id),
        ):
            with pytest.raises(openai.NotFoundError):
                await attempt
        assert [one async for one in other.assistants.list()] == [own]


# --- runs ------------------------------------------------------------------------------------------------------------


async def test_a_run_answers_and_the_thread_remembers(tmp_path: Path) -> None:
    """The answer joins the thread; the next run is shown it; usage is what the engine counted."""
    async with client(tmp_path) as c:
        thread = await c.thread("Hello there")
        one = await c.over(thread)
        assert (one["status"], one["expires_at"], one["required_action"]) == ("completed", None, None)
        assert one["instructions"] == "Be brief."
        assert one["started_at"] <= one["completed_at"]
        assert await c.texts(thread) == [("user", "Hello there"), ("assistant", "Hello there")]
        (step,) = await c.steps(thread, one["id"])
        assert (step["type"], step["status"], step["usage"]) == (
            "message_creation",
            "completed",
            one["usage"],
        )
        message = await c.ask(
            "GET", f"threads/{thread}/messages/{step['step_details']['message_creation']['message_id']}"
        )
        assert (message["run_id"], message["assistant_id"]) == (one["id"], c.assistant_id)
        again = await c.over(thread)
        assert again["usage"]["prompt_tokens"] > one["usage"]["prompt_tokens"]
        mine = await c.ask("GET", f"threads/{thread}/messages?run_id={one['id']}&limit=1")
        assert [m["id"] for m in mine["data"]] == [message["id"]]
        assert [r["id"] for r in (await c.ask("GET", f"threads/{thread}/runs"))["data"]] == [
            again["id"],
            one["id"],
        ]
        assert (await c.ask("POST", f"threads/{thread}/runs/{one['id']}", {"metadata": {"k": "v"}}))[
            "metadata"
        ] == {"k": "v"}


async def test_a_deleted_message_is_not_shown_to_the_model(tmp_path: Path) -> None:
    """The prompt shrinks by it."""
    async with client(tmp_path) as c:
        thread = await c.thread("a rather long message that costs", "short")
        before = await c.over(thread)
        found = (await c.ask("GET", f"threads/{thread}/messages?order=asc"))["data"]
        for message in (found[0], found[2]):
            await c.ask("DELETE", f"threads/{thread}/messages/{message['id']}")
        after = await c.over(thread)
        assert after["usage"]["prompt_tokens"] < before["usage"]["prompt_tokens"]


async def test_function_calls_wait_for_their_outputs(tmp_path: Path) -> None:
    """All calls of a turn are owed together; their outputs are in the step, and the run goes on."""
    async with client(tmp_path, CALLS, said("three")) as c:
        thread = await c.thread("add")
        run = await c.over(thread, metadata={"m": "n"})
        path = f"threads/{thread}/runs/{run['id']}"
        assert (run["status"], run["usage"]) == ("requires_action", None)
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        assert [(call["id"], call["function"]["arguments"]) for call in calls] == [
            ("call_1", '{"a":1}'),
            ("call_2", '{"a":2}'),
        ]
        assert [(s["type"], s["status"]) for s in await c.steps(thread, run["id"])] == [
            ("message_creation", "completed"),
            ("tool_calls", "in_progress"),
        ]
        for wrong in ([], OUTPUTS[:1], [*OUTPUTS, OUTPUTS[0]], [OUTPUTS[0], {"tool_call_id": "other"}]):
            error = await c.refused("POST", f"{path}/submit_tool_outputs", {"tool_outputs": wrong})
            assert error["param"] == "tool_outputs"
        queued = await c.ask("POST", f"{path}/submit_tool_outputs", {"tool_outputs": OUTPUTS})
        assert (queued["status"], queued["required_action"]) == ("queued", None)
        done = await c.until(thread, run["id"], "completed")
        steps = await c.steps(thread, run["id"])
        outputs = [call["function"]["output"] for call in steps[1]["step_details"]["tool_calls"]]
        assert ([step["status"] for step in steps], outputs) == (["completed"] * 3, ["one", "two"])
        assert sum(step["usage"]["total_tokens"] for step in steps) == done["usage"]["total_tokens"]
        assert await c.texts(thread) == [
            ("user", "add"),
            ("assistant", "Let me see."),
            ("assistant", "three"),
        ]
        error = await c.refused("POST", f"{path}/submit_tool_outputs", {"tool_outputs": OUTPUTS})
        assert "completed" in error["message"]
        assert (await c.ask("GET", f"{path}/steps/{steps[1]['id']}"))["id"] == steps[1]["id"]


async def test_the_sdks_polling_helpers_work_async_and_sync(tmp_path: Path) -> None:
    """`create_and_poll` and `submit_tool_outputs_and_poll`, and the same in a thread of the synchronous client."""
    async with client(tmp_path, CALLS, said("three"), said("four")) as c:
        runs = c.server.sdk().beta.threads.runs
        thread = await c.thread("add")
        run = await runs.create_and_poll(thread_id=thread, assistant_id=c.assistant_id)
        assert run.status == "requires_action"
        run = await runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread, tool_outputs=OUTPUTS)
        assert run.status == "completed"

        def with_the_synchronous_client() -> list[str]:
            with openai.OpenAI(base_url=f"{c.server.url}/v1", api_key="any") as sdk:
                done = sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=c.assistant_id)
                found = sdk.beta.threads.messages.list(thread, run_id=done.id)
                return [block.text.value for m in found for block in m.content if block.type == "text"]

        assert await asyncio.to_thread(with_the_synchronous_client) == ["four"]


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_the_events_of_a_run_come_in_order(tmp_path: Path) -> None:
    """A new thread, the run, its steps and messages, calls and outputs, until it is completed; deltas add up."""
    async with client(tmp_path, CALLS, said("three")) as c:
        body = {"assistant_id": c.assistant_id, "thread": {"messages": [{"role": "user", "content": "add"}]}}
        events = await c.stream("threads/runs", body)
        kinds = [name.removeprefix("thread.") for name, _ in events if not name.endswith("delta")]
        assert kinds == [
            "created", "run.created", "run.queued", "run.in_progress",
            "run.step.created", "run.step.in_progress", "message.created", "message.in_progress",
            "message.completed", "run.step.completed",
            "run.step.created", "run.step.in_progress", "run.requires_action",
        ]  # fmt: skip
        pieces = [
            data["delta"]["content"][0]["text"] for name, data in events if name == "thread.message.delta"
        ]
        assert "".join(piece["value"] for piece in pieces) == "Let me see."
        assert [("annotations" in piece) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
        arguments = ["", ""]
        for name, data in events:
            if name == "thread.run.step.delta":
                (call,) = data["delta"]["step_details"]["tool_calls"]
                arguments[call["index"]] += call["function"]["arguments"]
        assert arguments == ['{"a":1}', '{"a":2}']
        run = events[-1][1]
        path = f"threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
        rest = await c.stream(path, {"tool_outputs": OUTPUTS})
        assert [name.removeprefix("thread.") for name, _ in rest if not name.endswith("delta")] == [
            "run.step.completed", "run.queued", "run.in_progress",
            "run.step.created", "run.step.in_progress", "message.created", "message.in_progress",
            "message.completed", "run.step.completed", "run.completed",
        ]  # fmt: skip
        assert rest[-1][1] == await c.ask("GET", f"threads/{run['thread_id']}/runs/{run['id']}")


async def test_the_sdks_streaming_helpers_work(tmp_path: Path) -> None:
    """`runs.stream` with an event handler: its callbacks, its text deltas, its final objects."""
    heard: list[str] = []

    class Handler(AsyncAssistantEventHandler):
        async def on_text_done(self, text: Any) -> None:
            heard.append(text.value)

        async def on_tool_call_done(self, tool_call: Any) -> None:
            heard.append(tool_call.function.arguments)

    async with client(tmp_path, said("Hello"), CALLS, said("three")) as c:
        threads = c.server.sdk().beta.threads
        thread = await c.thread("hi")
        async with threads.runs.stream(thread_id=thread, assistant_id=c.assistant_id) as stream:
            assert "".join([piece async for piece in stream.text_deltas]) == "Hello"
            assert (await stream.get_final_run()).status == "completed"
        async with threads.runs.stream(
            thread_id=thread, assistant_id=c.assistant_id, event_handler=Handler()
        ) as calling:
            run = await calling.get_final_run()
            assert len(await calling.get_final_run_steps()) == 2
        assert heard == ["Let me see.", '{"a":1}', '{"a":2}']
        async with threads.runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=thread, tool_outputs=OUTPUTS
        ) as answering:
            (message,) = await answering.get_final_messages()
        assert message.status == "completed"


async def test_a_run_goes_on_without_its_reader(tmp_path: Path) -> None:
    """Whoever hangs up in the middle of a stream finds the run completed later."""
    async with client(tmp_path, said("a long enough answer"), pace=0.02) as c:
        thread = await c.thread("hi")
        async with contextlib.aclosing(
            c.events(f"threads/{thread}/runs", {"assistant_id": c.assistant_id})
        ) as events:
            async for name, data in events:
                if name == "thread.run.created":
                    run_id = data["id"]
                if name == "thread.message.delta":
                    break
        await c.until(thread, run_id, "completed")
        assert (await c.texts(thread))[-1] == ("assistant", "a long enough answer")


# --- ends ------------------------------------------------------------------------------------------------------------


async def test_a_run_is_cancelled_while_it_speaks(tmp_path: Path) -> None:
    """Cancelling, then cancelled; what was said stays, as incomplete; a second cancel is refused."""
    async with client(tmp_path, SLOW, said("next")) as c:
        thread = await c.thread("hi")
        path, told, run_id = f"threads/{thread}/runs", [], ""
        async for name, data in c.events(path, {"assistant_id": c.assistant_id}):
            told.append((name, data))
            run_id = run_id or data["id"]
            if name == "thread.message.delta":
                assert (await c.ask("POST", f"{path}/{run_id}/cancel"))["status"] == "cancelling"
        assert [name for name, _ in told[-4:]] == [
            "thread.run.cancelling",
            "thread.message.incomplete",
            "thread.run.step.cancelled",
            "thread.run.cancelled",
        ]
        assert told[-3][1]["incomplete_details"] == {"reason": "run_cancelled"}
        assert told[-1][1]["cancelled_at"] is not None
        assert await c.texts(thread) == [("user", "hi"), ("assistant", "Wait")]
        assert "cancelled" in (await c.refused("POST", f"{path}/{run_id}/cancel"))["message"]
        assert (await c.over(thread))["status"] == "completed"


async def test_a_run_is_cancelled_while_it_waits_for_outputs(tmp_path: Path) -> None:
    """Its calls leave the thread: the next run is not shown calls without outputs."""
    async with client(tmp_path, CALLS, said("next")) as c:
        thread = await c.thread("add")
        run = await c.over(thread)
        await c.ask("POST", f"threads/{thread}/runs/{run['id']}/cancel")
        await c.until(thread, run["id"], "cancelled")
        assert [step["status"] for step in await c.steps(thread, run["id"])] == ["completed", "cancelled"]
        items, _ = await c.server.state.store.list_items("default", thread, Page())
        assert {type(row.context.item) for row in items} == {Item}
        assert (await c.over(thread))["status"] == "completed"


@pytest.mark.parametrize(
    ("turn", "step"), [(SLOW, "expired"), (CALLS, "expired")], ids=["speaking", "waiting"]
)
async def test_a_run_expires(turn: dict[str, Any], step: str, tmp_path: Path) -> None:
    """After its time it is over, whether it speaks or waits for outputs."""
    async with client(tmp_path, turn, said("next"), run_seconds=2) as c:
        thread = await c.thread("hi")
        run_id = await c.begin(thread)
        run = await c.until(thread, run_id, "expired")
        assert (run["required_action"], run["usage"]["prompt_tokens"] > 0) == (None, True)
        assert (await c.steps(thread, run_id))[-1]["status"] == step
        assert (await c.over(thread))["status"] == "completed"


async def test_a_run_fails_with_its_engine(tmp_path: Path) -> None:
    """The error is the run's and its step's, the message is incomplete, the thread is free again."""
    turn = {"steps": [{"type": "text", "text": "I am"}, {"type": "fail", "message": "It broke."}]}
    async with client(tmp_path, turn, said("next")) as c:
        thread = await c.thread("hi")
        events = await c.stream(f"threads/{thread}/runs", {"assistant_id": c.assistant_id})
        assert [name for name, _ in events[-3:]] == [
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.failed",
        ]
        error = {"code": "server_error", "message": "It broke."}
        assert (events[-1][1]["last_error"], events[-2][1]["last_error"]) == (error, error)
        assert (await c.over(thread))["status"] == "completed"


async def test_a_turn_that_cannot_be_stored_fails_the_run_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end is tried again until the store takes it; what the turn had written already is taken away."""
    async with client(tmp_path, CALLS, said("next")) as c:
        thread, store, refusals = await c.thread("hi"), c.server.state.store, [2]
        append, update = store.append_items, store.update_document

        async def append_items(*args: Any, **options: Any) -> None:
            if "unless" not in options:  # what the run itself adds
                raise StoreFailed("The disk is full.")
            await append(*args, **options)

        async def update_document(row: DocumentRow, **options: Any) -> None:
            if row.status == "failed" and refusals:
                refusals.pop()
                raise StoreFailed("The disk is full.")
            await update(row, **options)

        monkeypatch.setattr(store, "append_items", append_items)
        monkeypatch.setattr(store, "update_document", update_document)
        run = await c.over(thread)
        monkeypatch.setattr(store, "append_items", append)
        assert (run["status"], run["last_error"]["message"]) == ("failed", "The disk is full.")
        assert (refusals, await c.steps(thread, run["id"])) == ([], [])
        assert await c.texts(thread) == [("user", "hi")]
        assert (await c.over(thread))["status"] == "completed"


async def test_outputs_that_could_not_be_stored_are_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed has left nothing: outputs, step and run are stored together."""
    async with client(tmp_path, CALLS, said("three")) as c:
        thread, store = await c.thread("add"), c.server.state.store
        run = await c.over(thread)
        before = await store.get_document("thread.run", "default", run["id"])
        path, body = f"threads/{thread}/runs/{run['id']}/submit_tool_outputs", {"tool_outputs": OUTPUTS}
        with monkeypatch.context() as patch:

            def full(connection: sqlite3.Connection, row: DocumentRow) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            patch.setattr(documents, "take", full)
            await c.refused("POST", path, body, status=500)
        assert await store.get_document("thread.run", "default", run["id"]) == before
        assert len((await store.list_items("default", thread, Page()))[0]) == 2
        assert (await c.steps(thread, run["id"]))[-1]["status"] == "in_progress"
        await c.ask("POST", path, body)
        await c.until(thread, run["id"], "completed")
        assert len((await store.list_items("default", thread, Page()))[0]) == 7


async def test_a_run_waits_once_the_store_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it waits is tried again, as its end is: a write that was called failed may have been kept."""
    monkeypatch.setattr(worker, "_RETRY_SECONDS", 0.05)
    async with client(tmp_path, CALLS, said("three")) as c:
        thread, store, refusals = await c.thread("add"), c.server.state.store, [1, 1]
        update = store.update_document

        async def update_document(row: DocumentRow, **options: Any) -> None:
            if row.status == "requires_action" and refusals:
                refusals.pop()
                raise StoreFailed("The disk is full.")
            await update(row, **options)

        monkeypatch.setattr(store, "update_document", update_document)
        run = await c.over(thread)
        assert (run["status"], refusals) == ("requires_action", [])
        await c.ask(
            "POST", f"threads/{thread}/runs/{run['id']}/submit_tool_outputs", {"tool_outputs": OUTPUTS}
        )
        await c.until(thread, run["id"], "completed")
        assert len((await store.list_items("default", thread, Page()))[0]) == 7


async def test_limits_of_tokens_make_a_run_incomplete(tmp_path: Path) -> None:
    """`max_completion_tokens` cuts, over all turns; `max_prompt_tokens` leaves out the oldest messages first."""
    async with client(tmp_path, CALLS) as c:
        thread = await c.thread("add")
        run = await c.over(thread, max_completion_tokens=9)
        path = f"threads/{thread}/runs/{run['id']}/submit_tool_outputs"
        await c.ask("POST", path, {"tool_outputs": OUTPUTS})
        run = await c.until(thread, run["id"], "incomplete")
        assert run["incomplete_details"] == {"reason": "max_completion_tokens"}
    async with client(tmp_path / "echo") as c:
        thread = await c.thread("many words " * 40, "few words to say")
        run = await c.over(thread, max_completion_tokens=2)
        assert (run["status"], run["usage"]["completion_tokens"]) == ("incomplete", 2)
        message = (await c.ask("GET", f"threads/{thread}/messages?limit=1"))["data"][0]
        assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})
        run = await c.over(thread, max_prompt_tokens=40)
        assert (run["status"], run["usage"]["prompt_tokens"] <= 40) == ("completed", True)
        run = await c.over(thread, max_prompt_tokens=1)
        assert run["incomplete_details"] == {"reason": "max_prompt_tokens"}


# --- threads that are busy -------------------------------------------------------------------------------------------


async def test_a_busy_thread_takes_no_run_and_no_message(tmp_path: Path) -> None:
    """400 as long as a run is active, then it is free; other threads are not concerned."""
    async with client(tmp_path, CALLS, said("elsewhere"), said("here")) as c:
        thread = await c.thread("hi")
        first = (await c.ask("GET", f"threads/{thread}/messages"))["data"][0]["id"]
        run = await c.over(thread)
        for method, path, body in (
            ("POST", f"threads/{thread}/runs", {"assistant_id": c.assistant_id}),
            ("POST", f"threads/{thread}/messages", {"role": "user", "content": "x"}),
            ("DELETE", f"threads/{thread}/messages/{first}", None),
        ):
            error = await c.refused(method, path, body)
            assert run["id"] in error["message"]
        assert (await c.over(await c.thread("other")))["status"] == "completed"
        await c.ask("POST", f"threads/{thread}/runs/{run['id']}/cancel")
        await c.until(thread, run["id"], "cancelled")
        await c.ask("POST", f"threads/{thread}/messages", {"role": "user", "content": "x"})
        assert (await c.over(thread))["status"] == "completed"


async def test_of_two_runs_at_once_one_is_refused(tmp_path: Path) -> None:
    """However close together they are asked for."""
    async with client(tmp_path, SLOW) as c:
        thread = await c.thread("hi")
        path, body = f"/v1/threads/{thread}/runs", {"assistant_id": c.assistant_id}
        async with c.server.http() as http:
            answers = await asyncio.gather(*(http.post(path, json=body) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_a_thread_is_deleted_with_its_run(tmp_path: Path) -> None:
    """A run that is active on it is stopped, its stream says so, and nothing of it stays."""
    async with client(tmp_path, SLOW) as c:
        thread = await c.thread("hi")
        with pytest.raises(openai.APIError, match="stopped"):
            async with c.server.sdk().beta.threads.runs.stream(
                thread_id=thread, assistant_id=c.assistant_id
            ) as stream:
                async for event in stream:
                    if event.event == "thread.message.delta":
                        await c.ask("DELETE", f"threads/{thread}")
        await c.refused("GET", f"threads/{thread}/runs", status=404)
        assert not await c.server.state.store.unfinished_documents("thread.run", ["in_progress", "queued"])


# --- what a run may set ----------------------------------------------------------------------------------------------


async def test_additional_messages_and_the_last_messages_are_what_the_model_sees(tmp_path: Path) -> None:
    """They join the thread first; `last_messages` counts what stood there when the run began."""
    async with client(tmp_path) as c:
        thread = await c.thread("a long message " * 20, "short")
        more = [{"role": "user", "content": "newest"}]
        run = await c.over(
            thread,
            additional_messages=more,
            truncation_strategy={"type": "last_messages", "last_messages": 1},
        )
        assert (await c.texts(thread))[-2:] == [("user", "newest"), ("assistant", "newest")]
        assert run["usage"]["prompt_tokens"] < 20
        assert (await c.over(thread))["usage"]["prompt_tokens"] > 80


async def test_a_run_that_cannot_be_stored_adds_no_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are stored together, so that whoever tries again has them in the thread once."""
    put = documents.put

    def full(connection: sqlite3.Connection, row: DocumentRow) -> None:
        if row.kind == "thread.run":
            raise sqlite3.OperationalError("database or disk is full")
        put(connection, row)

    async with client(tmp_path) as c:
        thread = await c.thread("first")
        body = {
            "assistant_id": c.assistant_id,
            "additional_messages": [{"role": "user", "content": "second"}],
        }
        with monkeypatch.context() as patch:
            patch.setattr(documents, "put", full)
            await c.refused("POST", f"threads/{thread}/runs", body, status=500)
        assert await c.texts(thread) == [("user", "first")]
        await c.over(thread, additional_messages=body["additional_messages"])
        assert [role for role, _ in await c.texts(thread)] == ["user", "user", "assistant"]


@pytest.mark.parametrize("words", ["hi", "Two words and a few more.", "日本語で答えて。", "a\n" * 50])
async def test_a_run_and_the_same_response_say_and_cost_the_same(words: str, tmp_path: Path) -> None:
    """A run is a response on a conversation: same text, same tokens, also in a second turn that stands on the first."""
    async with client(tmp_path) as c:
        sdk, thread = c.server.sdk(), await c.thread(words)
        given: Any = {"model": MODEL, "instructions": "Be brief.", "input": words}
        answer = await sdk.responses.create(**given)
        run = await c.over(thread, tools=[])
        for _ in range(2):
            assert (await c.texts(thread))[-1] == ("assistant", answer.output_text)
            assert answer.usage is not None
            assert run["usage"] == {
                "prompt_tokens": answer.usage.input_tokens,
                "completion_tokens": answer.usage.output_tokens,
                "total_tokens": answer.usage.total_tokens,
            }
            given["previous_response_id"] = answer.id
            answer = await sdk.responses.create(**given)
            more = [{"role": "user", "content": words}]
            run = await c.over(thread, tools=[], additional_messages=more)


async def test_a_run_counts_under_its_keys_limits(tmp_path: Path) -> None:
    """Its tokens are charged when they are used: the next request of the key is over the limit."""
    async with client(tmp_path) as c:
        key = await make_key(c.server, tokens_per_minute=5)
        beta = c.server.sdk(key).beta
        thread = await beta.threads.create(messages=[{"role": "user", "content": "hello " * 20}])
        await beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=c.assistant_id)
        with pytest.raises(openai.RateLimitError):
            await beta.threads.runs.create(thread.id, assistant_id=c.assistant_id)


def test_a_run_is_translated_with_everything_it_sets() -> None:
    """The run's own settings go before the assistant's; each has its place in the response that is made."""
    assistant = wire.Assistant(
        id="asst_1", created_at=1, model="a", instructions="Be kind.", temperature=0.1, reasoning_effort="low"
    )
    raw = {
        "assistant_id": "asst_1", "model": "b", "additional_instructions": "And brief.", "temperature": 0.2,
        "top_p": 0.3, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}},
        "parallel_tool_calls": False, "metadata": {"a": "b"}, "max_completion_tokens": 5, "max_prompt_tokens": 6,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    }  # fmt: skip
    run = request_translation.build_run(
        request_translation.parse_body(raw, wire.CreateRun), assistant, "thread_1", "run_1", 10.0, 600
    )
    assert (run.instructions, run.expires_at) == ("Be kind.\n\nAnd brief.", 610)
    made = msgspec.to_builtins(
        request_translation.turn_request(run, max_output_tokens=4, allow_forced_call=True)
    )
    expected = {
        "model": "b", "instructions": "Be kind.\n\nAnd brief.", "temperature": 0.2, "top_p": 0.3, "store": False,
        "parallel_tool_calls": False, "max_output_tokens": 4, "tool_choice": {"type": "function", "name": "add"},
        "reasoning": {"effort": "low", "summary": None}, "truncation": "auto",
    }  # fmt: skip
    assert {name: made[name] for name in expected} == expected
    assert (made["tools"][0]["name"], made["text"]["format"]["schema"]) == ("add", {"type": "object"})
    later = request_translation.turn_request(run, max_output_tokens=4, allow_forced_call=False)
    assert later.tool_choice == "auto"


async def test_instructions_of_a_run_replace_the_assistants(tmp_path: Path) -> None:
    """The engine is given the run's, which are shorter here."""
    async with client(tmp_path) as c:
        thread = await c.thread("hi")
        own = await c.over(thread, instructions="x" * 400, tools=[])
        assert (own["instructions"], own["tools"]) == ("x" * 400, [])
        assert own["usage"]["prompt_tokens"] > 100


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("assistants", {}, "model"),
    ("assistants", {"model": MODEL, "nonsense": 1}, "nonsense"),
    ("assistants", {"model": MODEL, "tools": [TOOL, {"type": "code_interpreter"}]}, "tools[1].type"),
    ("assistants", {"model": MODEL, "tools": [{"type": "browser"}]}, "tools[0].type"),
    ("assistants", {"model": MODEL, "tools": [{"type": "function"}]}, "tools[0].function"),
    ("assistants", {"model": MODEL, "tool_resources": {"code_interpreter": {}}}, "tool_resources"),
    ("assistants", {"model": MODEL, "tool_resources": 5}, "tool_resources"),
    ("assistants", {"model": MODEL, "temperature": 3}, "temperature"),
    ("assistants", {"model": MODEL, "metadata": {"k" * 65: "v"}}, "metadata"),
    ("threads", {"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
    (
        "threads",
        {"messages": [{"role": "user", "content": "x", "attachments": [{}]}]},
        "messages[0].attachments[0].file_id",
    ),
    ("threads", {"messages": 5}, "messages"),
    ("threads", {"tool_resources": {"code_interpreter": {}}}, "tool_resources"),
    ("messages", {"role": "user"}, "content"),
    (
        "messages",
        {"role": "user", "content": [{"type": "image_file", "image_file": {}}]},
        "content[0].image_file",
    ),
    ("messages", {"role": "user", "content": []}, "content"),
    ("messages", {"role": "user", "content": ""}, "content"),
    ("messages", {"role": "user", "content": [{"type": "text", "text": ""}]}, "content[0].text"),
    ("messages", {"role": "user", "content": "x", "attachments": [{"tools": []}]}, "attachments[0].file_id"),
    (
        "messages",
        {"role": "user", "content": "x", "attachments": [{"file_id": "f", "tools": [{"type": "browser"}]}]},
        "attachments[0].tools[0].type",
    ),
    (
        "messages",
        {
            "role": "user",
            "content": "x",
            "attachments": [{"file_id": "f", "tools": [{"type": "code_interpreter"}]}],
        },
        "attachments[0].tools[0].type",
    ),
    ("runs", {}, "assistant_id"),
    ("runs", {"nonsense": 1}, "nonsense"),
    ("runs", {"thread": {}}, "thread"),
    ("runs", {"max_completion_tokens": 0}, "max_completion_tokens"),
    ("runs", {"truncation_strategy": {"type": "last_messages"}}, "truncation_strategy.last_messages"),
    (
        "runs",
        {"truncation_strategy": {"type": "auto", "last_messages": 1}},
        "truncation_strategy.last_messages",
    ),
    ("runs", {"tool_choice": {"type": "file_search"}}, "tool_choice"),
    ("runs", {"tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
    ("runs", {"tool_choice": "required", "tools": []}, "tool_choice"),
    ("runs", {"tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
    ("runs", {"additional_messages": [{"role": "user"}]}, "additional_messages[0].content"),
    ("threads/runs", {"thread": {"messages": [{"role": "tool", "content": ""}]}}, "thread.messages[0].role"),
    ("threads/runs", {"thread": {"tool_resources": {"code_interpreter": {}}}}, "thread.tool_resources"),
    ("threads/runs", {"additional_messages": []}, "additional_messages"),
]


async def test_what_is_unknown_wrong_or_hosted_is_refused_by_name(tmp_path: Path) -> None:
    """400, and `param` is the path of the field; a model that is not there is 404."""
    async with client(tmp_path, tools={"code_interpreter": {"enabled": False}}) as c:
        thread = await c.thread("hi")
        for where, body, param in BAD:
            path = f"threads/{thread}/{where}" if where in ("messages", "runs") else where
            whole = {"assistant_id": c.assistant_id, **body} if "runs" in where and body else body
            error = await c.refused("POST", path, whole)
            assert error["param"].startswith(param), (where, body, error)
        for path, body in (
            ("assistants", {"model": "none"}),
            (f"threads/{thread}/runs", {"assistant_id": c.assistant_id, "model": "none"}),
            (f"threads/{thread}/runs", {"assistant_id": "asst_none"}),
        ):
            await c.refused("POST", path, body, status=404)
        await c.refused("GET", "assistants?nonsense=1")
        assert (await c.over(thread))["status"] == "completed"


def rows_of(heading: str) -> dict[str, str]:
    """The first and the last column of the table under a heading of docs/guides/assistants.md."""
    page = (DOCS / "guides" / "assistants.md").read_text()
    section = page.partition(f"## {heading}")[2].partition("\n## ")[0]
    table = [line.strip("| \n").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name: cells[-1] for cells in table for name in re.findall(r"`(\w+)`", cells[0])}


def test_the_page_says_which_status_follows_which() -> None:
    """docs/guides/assistants.md, the table of moves and the SDK's statuses agree."""
    stated = {
        name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows_of("A run is a response").items()
    }
    assert stated == {status: set(following) for status, following in RUN_STATUS.transitions.items()}
    assert set(RUN_STATUS.transitions) == set(get_args(RunStatus))


def test_the_page_has_every_parameter_of_a_run() -> None:
    """docs/guides/assistants.md, the body that is taken and the SDK's parameters agree."""
    sdk = {name for kind in (RunCreateParamsBase, RunCreateParamsStreaming) for name in kind.__annotations__}
    assert set(rows_of("Parameters of a run")) == sdk == {*wire.CreateRun.__struct_fields__, "include"}


# --- restarts --------------------------------------------------------------------------------------------------------


async def test_a_run_is_taken_up_at_the_next_start(tmp_path: Path) -> None:
    """The turn that was cut is made again, and what it has left half-written is gone; one answer stands in the thread."""
    async with client(tmp_path, CALLS, SLOW) as c:
        thread = await c.thread("add")
        run_id = (await c.over(thread))["id"]
        assistant = c.assistant_id
    async with client(tmp_path, SLOW, assistant=assistant) as c:
        waiting = await c.until(thread, run_id, "requires_action")
        assert len(waiting["required_action"]["submit_tool_outputs"]["tool_calls"]) == 2
        path = f"threads/{thread}/runs/{run_id}/submit_tool_outputs"
        await c.ask("POST", path, {"tool_outputs": OUTPUTS})
        await c.until(thread, run_id, "in_progress")
        store = c.server.state.store
        half = new_row(c.server.state.ids, Item(role="assistant", content=(InputText(text="half"),)))
        await store.append_items("default", thread, [half])
    async with client(tmp_path, said("three"), assistant=assistant) as c:
        done = await c.until(thread, run_id, "completed")
        assert done["usage"]["total_tokens"] == sum(
            step["usage"]["total_tokens"] for step in await c.steps(thread, run_id)
        )
        assert await c.texts(thread) == [
            ("user", "add"),
            ("assistant", "Let me see."),
            ("assistant", "three"),
        ]
        items, _ = await c.server.state.store.list_items("default", thread, Page())
        assert half.id not in [row.id for row in items]
        assert len(items) == 7


async def test_a_run_is_taken_up_once_the_store_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes nothing at the start keeps neither the server from its start nor the run from its end."""
    async with client(tmp_path, SLOW) as c:
        thread = await c.thread("add")
        run_id = await c.begin(thread)
        await c.until(thread, run_id, "in_progress")
        assistant = c.assistant_id
    refusals, delete_leftovers = [1], assistants.delete_leftovers

    async def refuse_first(*args: Any) -> None:
        if refusals:
            refusals.pop()
            raise StoreFailed("The disk is full.")
        await delete_leftovers(*args)

    monkeypatch.setattr(assistants, "delete_leftovers", refuse_first)
    monkeypatch.setattr(worker, "_RETRY_SECONDS", 0.05)
    async with client(tmp_path, said("three"), assistant=assistant) as c:
        await c.until(thread, run_id, "completed")
        assert refusals == []
        assert await c.texts(thread) == [("user", "add"), ("assistant", "three")]


async def test_a_turn_is_made_once_however_near_to_its_end_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped when all but the end of the run was stored, it leaves one answer, one step, and the tokens of one turn."""
    async with client(tmp_path, said("three")) as c:
        store, cut = c.server.state.store, asyncio.Event()
        update = store.update_document

        async def update_document(row: DocumentRow, **options: Any) -> None:
            if row.status == "completed":
                cut.set()
                await asyncio.Event().wait()
            await update(row, **options)

        monkeypatch.setattr(store, "update_document", update_document)
        thread = await c.thread("add")
        run_id = await c.begin(thread)
        await cut.wait()
        assistant = c.assistant_id
    async with client(tmp_path, said("three"), assistant=assistant) as c:
        done = await c.until(thread, run_id, "completed")
        (step,) = await c.steps(thread, run_id)
        assert step["usage"]["total_tokens"] == done["usage"]["total_tokens"]
        assert await c.texts(thread) == [("user", "add"), ("assistant", "three")]
        assert len(await c.server.state.store.all_items("default", thread)) == 2


async def test_a_run_whose_time_is_over_expires_at_the_next_start(tmp_path: Path) -> None:
    """The time that the server was away counts."""
    async with client(tmp_path, CALLS) as c:
        thread = await c.thread("hi")
        run_id = (await c.over(thread))["id"]
        assistant = c.assistant_id
    async with client(tmp_path, assistant=assistant, run_seconds=0.01) as c:
        assert (await c.until(thread, run_id, "expired"))["required_action"] is None


async def test_a_run_whose_beginning_is_gone_takes_nothing_for_its_own(tmp_path: Path) -> None:
    """An older server deleted the message that it began at: the thread keeps all others. Else only what is the run's goes."""
    async with client(tmp_path, said("x")) as c:
        thread, store = await c.thread("one"), c.server.state.store
        kept = (await store.all_items("default", thread))[-1].item.id
        await store.append_items(
            "default",
            thread,
            [new_row(c.server.state.ids, Item(role="user", content=(InputText(text="x"),)))],
        )
        run = wire.ThreadRun(id="run_1", created_at=0, thread_id=thread, assistant_id="asst_1", model=MODEL)
        for began_at, left in (("gone", 2), (kept, 1)):
            stored = assistants.StoredRun(run=run, last_item_at_start=began_at)
            await assistants.delete_leftovers(store, "default", stored)
            assert len(await store.all_items("default", thread)) == left
