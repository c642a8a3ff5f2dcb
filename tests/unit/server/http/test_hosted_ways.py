"""The loop over hosted tools on every way in: WebSocket, Batch, an upstream by either API, both kinds of storing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response
from tests.journal_tool import JournalTool
from tests.serving import MODEL, script, served, settings
from tests.unit.server.http.test_batches import finished, jsonl, line, lines_of, submit
from websockets.asyncio.client import connect

from kodo.server.config import ModelSettings
from kodo.server.lifecycle.errors import ServiceError

SEARCH: Any = {"type": "web_search"}
CALL = {"type": "call", "name": "look_up", "arguments": {"q": "tea"}}
TURNS: list[dict[str, Any]] = [
    {"match": "found", "steps": [{"type": "text", "text": "It is green."}]},
    {"match": ".", "steps": [CALL]},
]


def types_of(response: dict[str, Any]) -> list[str]:
    """The types of a response's output."""
    return [item["type"] for item in response["output"]]


async def test_over_a_websocket(tmp_path: Path) -> None:
    """The same events in frames; a second turn on the connection sees the first one's call."""
    tool = JournalTool(tmp_path / "journal")
    given = settings(tmp_path, script(tmp_path, *TURNS))
    async with served(given, tools={"web_search": tool}) as server:
        async with connect(f"ws{server.url[4:]}/v1/responses") as socket:
            previous = None
            for number in (1, 2):
                frame = {
                    "type": "response.create",
                    "model": MODEL,
                    "input": "tea?",
                    "tools": [SEARCH],
                    "store": False,
                    "previous_response_id": previous,
                }
                await socket.send(json.dumps(frame))
                events = [json.loads(await socket.recv())]
                while events[-1]["type"] != "response.completed":
                    assert events[-1]["type"] not in ("error", "response.failed"), events[-1]
                    events.append(json.loads(await socket.recv()))
                names = [event["type"] for event in events]
                assert "response.web_search_call.searching" in names
                final = events[-1]["response"]
                assert types_of(final) == ["web_search_call", "message"]
                previous = final["id"]
                assert len(tool.lines()) == 2 * number
                shown = tool.contexts[-1].items
                assert [context.shown is not None for context in shown].count(True) == number - 1


async def test_in_a_batch(tmp_path: Path) -> None:
    """Each line has its call and its answer, and is counted once."""
    tool = JournalTool(tmp_path / "journal")
    given = settings(tmp_path, script(tmp_path, *TURNS))
    async with served(given, tools={"web_search": tool}) as server:
        sdk = server.sdk()
        ids = [f"line-{number}" for number in range(5)]
        batch = await submit(sdk, jsonl(*(line(one, input=one, tools=[SEARCH]) for one in ids)))
        done = await finished(sdk, batch.id)
        found = await lines_of(sdk, done.output_file_id)
    assert sorted(found) == ids
    for one in found.values():
        assert types_of(one["response"]["body"]) == ["web_search_call", "message"]
    assert len(tool.lines()) == 2 * len(ids)


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_with_an_upstream_model(tmp_path: Path, api: Any) -> None:
    """The upstream is asked twice, with the call and its output as its own API has them."""
    tool = JournalTool(tmp_path / "journal")
    async with served(settings(tmp_path / "up", script(tmp_path, *TURNS))) as upstream:
        model = ModelSettings(engine="upstream", base_url=f"{upstream.url}/v1", target=MODEL, api=api)
        async with served(settings(tmp_path / "kodo", model), tools={"web_search": tool}) as server:
            sdk = server.sdk()
            done = await sdk.responses.create(model=MODEL, input="tea?", tools=[SEARCH])
            Response.model_validate_json(done.to_json(), strict=True)
            assert types_of(done.to_dict()) == ["web_search_call", "message"]
            more = await sdk.responses.create(
                model=MODEL, input="and coffee?", tools=[SEARCH], previous_response_id=done.id
            )
            assert types_of(more.to_dict()) == ["web_search_call", "message"]
    assert tool.lines().count("end tea") == 2


@pytest.mark.parametrize("store", [True, False])
async def test_a_chain_shows_the_model_what_it_saw(tmp_path: Path, store: bool) -> None:
    """With the store, and with the output sent back by the client: the next turn's prompt holds call and output."""
    tool = JournalTool(tmp_path / "journal")
    given = settings(tmp_path, script(tmp_path, *TURNS))
    async with served(given, tools={"web_search": tool}) as server:
        sdk = server.sdk()
        first = await sdk.responses.create(model=MODEL, input="tea?", tools=[SEARCH], store=store)
        engine, prompts = server.state.models[MODEL].engine, []
        prepare = engine.prepare

        async def noted(prompt: Any) -> Any:
            prompts.append(prompt)
            return await prepare(prompt)

        engine.prepare = noted  # type: ignore[method-assign]  # to read the prompts
        if store:
            await sdk.responses.create(model=MODEL, input="found?", previous_response_id=first.id)
        else:
            history: Any = [{"role": "user", "content": "tea?"}, *(one.to_dict() for one in first.output)]
            await sdk.responses.create(
                model=MODEL, input=[*history, {"role": "user", "content": "found?"}], store=False
            )
    shown = [type(context.item).__name__ for context in prompts[0].items]
    expected = ["FunctionCall", "FunctionCallOutput"] if store else ["Message"]
    assert shown == ["Message", *expected, "Message", "Message"]


async def test_a_response_in_a_conversation_keeps_what_the_model_saw(tmp_path: Path) -> None:
    """The items of a conversation are the contract's; the next response on it still has the output."""
    tool = JournalTool(tmp_path / "journal")
    given = settings(tmp_path, script(tmp_path, *TURNS))
    async with served(given, tools={"web_search": tool}) as server:
        sdk = server.sdk()
        conversation = await sdk.conversations.create()
        await sdk.responses.create(model=MODEL, input="tea?", tools=[SEARCH], conversation=conversation.id)
        items = [item async for item in sdk.conversations.items.list(conversation.id, order="asc")]
        assert [item.type for item in items] == ["message", "web_search_call", "message"]
        rows = await server.state.store.all_items("default", conversation.id)
    assert msgspec.to_builtins(rows[1].shown)[1]["output"] == "found: tea"


async def test_tools_of_the_settings_are_offered_to_every_request(tmp_path: Path) -> None:
    """``tools.always``, for clients that cannot name them: added once, echoed, and nowhere but in the Responses API."""
    tool = JournalTool(tmp_path / "journal")
    given = settings(tmp_path, script(tmp_path, *TURNS), tools={"always": [SEARCH]})
    async with served(given, tools={"web_search": tool}) as server:
        sdk = server.sdk()
        done = await sdk.responses.create(model=MODEL, input="tea?")
        assert types_of(done.to_dict()) == ["web_search_call", "message"]
        again = await sdk.responses.create(model=MODEL, input="tea?", tools=[SEARCH])
        assert [one.type for one in again.tools] == ["web_search"]


@pytest.mark.parametrize(
    "wrong", [{"type": "web_search"}, {"type": "mcp"}, {"type": "function", "name": "f"}]
)
async def test_a_tool_of_the_settings_that_cannot_be_used_stops_the_start(tmp_path: Path, wrong: Any) -> None:
    """The message names the setting."""
    with pytest.raises(ServiceError, match=r"tools\.always"):
        async with served(settings(tmp_path, tools={"always": [wrong]})):
            pass
