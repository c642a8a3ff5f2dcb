"""The loop over tools that the server runs: turns of one response, through the SDK."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.journal_tool import JournalTool
from tests.serving import MODEL, Served, script, served, settings

SEARCH: Any = {"type": "web_search"}
CLIENT: Any = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def call(q: str, **arguments: Any) -> dict[str, Any]:
    """A step of the script that calls the tool."""
    return {"type": "call", "name": "look_up", "arguments": {"q": q, **arguments}}


def say(text: str) -> dict[str, Any]:
    """A step of the script that writes."""
    return {"type": "text", "text": text}


def turns(*steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turns in order."""
    return [{"steps": one} for one in steps]


def types_of(response: Response) -> list[str]:
    """The types of a response's output."""
    return [item.type for item in response.output]


async def test_a_call_runs_between_two_turns(tmp_path: Path) -> None:
    """The model's call, the tool's item and the answer are one response; the usage is both turns'."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("tea")], [say("It is green.")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="what is tea?", tools=[SEARCH])
        Response.model_validate_json(done.to_json(), strict=True)
    assert types_of(done) == ["web_search_call", "message"]
    assert done.output[0].status == "completed"  # type: ignore[union-attr]  # a search
    assert done.output_text == "It is green."
    assert tool.lines() == ["begin tea", "end tea"]
    assert done.usage is not None and done.usage.input_tokens > 20
    assert done.tool_usage is not None and done.tool_usage.web_search.num_requests == 1


async def test_events_come_in_the_documented_order(tmp_path: Path) -> None:
    """added, in_progress, searching, completed, done; numbers without a gap; every event fits the SDK's strict type."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("tea")], [say("green")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        stream = await server.sdk().responses.create(model=MODEL, input="tea?", tools=[SEARCH], stream=True)
        events = [event async for event in stream]
    for event in events:
        EVENT.validate_json(event.to_json(), strict=True)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type for event in events]
    assert names[:7] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
        "response.web_search_call.completed",
        "response.output_item.done",
    ]
    assert {event.item_id for event in events[3:6]} == {events[2].item.id}  # type: ignore[union-attr]  # by the order above
    assert names[7:9] == ["response.output_item.added", "response.content_part.added"]


async def test_calls_of_a_turn_run_side_by_side(tmp_path: Path) -> None:
    """Two slow calls take the time of one; their items stand in the order of the calls."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("a", seconds=0.3), call("b", seconds=0.2)], [say("both")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
    assert tool.most == 2
    assert [item.action.query for item in done.output[:2]] == ["a", "b"]  # type: ignore[union-attr]  # searches


async def test_a_clients_function_ends_the_turn_after_the_hosted_calls(tmp_path: Path) -> None:
    """The hosted call of the same turn has run; the next response sees its output and the client's."""
    tool = JournalTool(tmp_path / "journal")
    mine = {"type": "call", "name": "mine", "arguments": {}, "call_id": "call_mine"}
    model = script(tmp_path, *turns([call("tea"), mine], [say("all of it")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        sdk = server.sdk()
        first = await sdk.responses.create(model=MODEL, input="?", tools=[SEARCH, CLIENT])
        assert sorted(types_of(first)) == ["function_call", "web_search_call"]
        output: Any = {"type": "function_call_output", "call_id": "call_mine", "output": "ok"}
        second = await sdk.responses.create(
            model=MODEL, previous_response_id=first.id, input=[output], tools=[SEARCH, CLIENT]
        )
    assert second.output_text == "all of it"
    assert tool.lines() == ["begin tea", "end tea"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "raise"}, "internal error"),
        ({"mode": "refuse"}, "not this"),
        ({"mode": "half"}, "not valid text"),
        ({"seconds": 5}, "longer than 0.3 seconds"),
    ],
)
async def test_a_call_that_fails_is_told_to_the_model(
    tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    """A bug, a refusal and the time limit end the call, not the response."""
    tool = JournalTool(tmp_path / "journal")
    model = script(
        tmp_path, {"steps": [call("x", **arguments)]}, {"match": said, "steps": [say("I was told.")]}
    )
    given = settings(tmp_path, model, tools={"call_seconds": 0.3 if "seconds" in arguments else 60})
    async with served(given, tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
        metrics = server.state.metrics.text().decode()
    assert done.output[0].status == "failed"  # type: ignore[union-attr]  # a search
    assert done.output_text == "I was told."
    outcome = {"half": "done"}.get(
        arguments.get("mode", ""), "timeout" if "seconds" in arguments else "failed"
    )
    assert f'kodo_tool_call_seconds_count{{outcome="{outcome}",type="web_search"}} 1.0' in metrics


async def test_too_much_output_is_cut(tmp_path: Path) -> None:
    """The model gets the beginning, and is told."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, {"steps": [call("x", size=900)]}, {"match": "too long", "steps": [say("cut")]})
    given = settings(tmp_path, model, tools={"max_output_chars": 300})
    async with served(given, tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
    assert done.output_text == "cut"


@pytest.mark.parametrize("calls", [1, 3])
async def test_outputs_are_cut_to_the_models_window(tmp_path: Path, calls: int) -> None:
    """Outputs that no window could hold leave room for the answer, however many calls there are."""
    tool = JournalTool(tmp_path / "journal")
    steps = [call(f"x{number}", size=200_000) for number in range(calls)]
    model = script(tmp_path, {"match": "found", "steps": [say("read")]}, {"match": ".", "steps": steps})
    given = settings(tmp_path, model, tools={"max_output_chars": 1_000_000})
    async with served(given, tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
        assert done.output_text == "read"
        more = await server.sdk().responses.create(model=MODEL, input="found?", previous_response_id=done.id)
    assert more.usage is not None
    assert 20_000 < more.usage.input_tokens < 32_768 - 1000


async def test_max_tool_calls_holds_over_the_turns(tmp_path: Path) -> None:
    """After the last allowed call the model is offered no tools, so that it answers."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("a")], [call("b")], [say("enough")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH], max_tool_calls=2)
    assert done.output_text == "enough"
    assert types_of(done) == ["web_search_call", "web_search_call", "message"]


async def test_max_tool_calls_holds_within_a_turn(tmp_path: Path) -> None:
    """Three calls side by side of which two are allowed: the third is not made, and shown nowhere."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("a"), call("b"), call("c")], [say("enough")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH], max_tool_calls=2)
    assert types_of(done) == ["web_search_call", "web_search_call", "message"]
    assert done.output_text == "enough"
    assert sorted(tool.lines()) == ["begin a", "begin b", "end a", "end b"]


async def test_the_servers_limit_on_turns_holds(tmp_path: Path) -> None:
    """The engine is not allowed a call in the turn after the last one: the scripted model fails if it tries."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, {"match": ".", "steps": [call("again")]})
    given = settings(tmp_path, model, tools={"max_turns": 3})
    async with served(given, tools={"web_search": tool}) as server:
        with pytest.raises(openai.APIStatusError, match="although the request allows none"):
            await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
    assert tool.lines().count("begin again") == 3


@pytest.mark.parametrize("end_loops", [True, False, None])
async def test_a_call_that_is_repeated_ends_the_calls(tmp_path: Path, end_loops: bool | None) -> None:
    """A model that loops is offered no tools behind a call it made before, with the same result; another may go on."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("a")], [call("b")], [call("a")], [call("a")], [say("enough")]))
    given = settings(tmp_path, model.model_copy(update={"end_loops": end_loops}))
    async with served(given, tools={"web_search": tool}) as server:
        asked = server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
        if end_loops:
            with pytest.raises(openai.APIStatusError, match="although the request allows none"):
                await asked
        else:
            assert (await asked).output_text == "enough"
    assert tool.lines().count("begin a") == (2 if end_loops else 3)


async def test_a_tool_that_asks_ends_the_response(tmp_path: Path) -> None:
    """A result without output is the client's to answer."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("x", mode="ask")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
    assert (done.status, types_of(done)) == ("completed", ["mcp_approval_request"])


async def test_what_a_tool_does_first_comes_before_the_model(tmp_path: Path) -> None:
    """An opening is an item in front of the answer."""
    tool = JournalTool(tmp_path / "journal", opens=True)
    model = script(tmp_path, {"match": ".", "steps": [say("hello")]})  # the prompt is prepared twice
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH])
    assert types_of(done) == ["web_search_call", "message"]


async def test_markers_become_citations(tmp_path: Path) -> None:
    """A marker is cut from the text and from every delta, and stands in the annotations with its place."""
    tool = JournalTool(tmp_path / "journal")
    model = script(
        tmp_path, *turns([call("x", marker="[s1]")], [say("Tea is green. [s1] Coffee [s is not.")])
    )
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        stream = await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH], stream=True)
        events = [event async for event in stream]
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == "Tea is green.  Coffee [s is not."
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert len(added) == 1
    final = events[-1].response  # type: ignore[union-attr]  # response.completed
    assert final.output_text == deltas
    (annotation,) = final.output[-1].content[0].annotations  # type: ignore[union-attr]  # a message
    assert deltas[annotation.start_index : annotation.end_index] == "Tea is green. "
    EVENT.validate_json(added[0].to_json(), strict=True)


async def test_a_forced_choice_is_for_the_first_turn(tmp_path: Path) -> None:
    """tool_choice by the tool's type forces its function; afterwards the model is free, or it would never end."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("x")], [say("done")]))
    choice: Any = {"type": "web_search_preview"}
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        sdk = server.sdk()
        done = await sdk.responses.create(model=MODEL, input="?", tools=[SEARCH], tool_choice="required")
        assert done.output_text == "done"
        with pytest.raises(openai.BadRequestError, match="tool_choice"):
            await sdk.responses.create(model=MODEL, input="?", tools=[SEARCH], tool_choice=choice)


async def test_an_entry_that_cannot_be_honoured_is_refused_by_its_field(tmp_path: Path) -> None:
    """The tool's own refusal names the place in the request."""
    tool = JournalTool(tmp_path / "journal")
    async with served(settings(tmp_path), tools={"web_search": tool}) as server:
        with pytest.raises(openai.BadRequestError) as caught:
            await server.sdk().responses.create(
                model=MODEL,
                input="?",
                tools=[CLIENT, {**SEARCH, "filters": {"allowed_domains": ["a.example"]}}],
            )
    assert caught.value.param == "tools[1].filters"


async def test_cancel_stops_a_call(tmp_path: Path) -> None:
    """A background response is cancelled in the middle of a call; the item says that it was cut."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("slow", seconds=60)]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        sdk = server.sdk()
        begun = await sdk.responses.create(model=MODEL, input="?", tools=[SEARCH], background=True)
        await _begun(tool)
        over = await sdk.responses.cancel(begun.id)
    assert over.status == "cancelled"
    assert over.output[0].status == "failed"  # type: ignore[union-attr]  # a search
    assert tool.running == 0


async def _begun(tool: JournalTool) -> None:
    while not tool.lines():
        await asyncio.sleep(0.01)


async def _background(server: Served) -> Response:
    return await server.sdk().responses.create(model=MODEL, input="?", tools=[SEARCH], background=True)


async def test_a_background_stream_is_resumed_in_the_middle_of_a_call(tmp_path: Path) -> None:
    """Events after any number are the same as those of the whole stream."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, *turns([call("x", seconds=0.1)], [say("done")]))
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        sdk = server.sdk()
        begun = await _background(server)
        whole = [event async for event in await sdk.responses.retrieve(begun.id, stream=True)]
        for after in range(0, len(whole), 3):
            rest = await sdk.responses.retrieve(begun.id, stream=True, starting_after=after)
            assert [event.to_json() async for event in rest] == [one.to_json() for one in whole[after + 1 :]]


async def test_one_call_a_turn_where_the_client_wants_that(tmp_path: Path) -> None:
    """parallel_tool_calls: false ends the turn before the second call; the next turn goes on."""
    tool = JournalTool(tmp_path / "journal")
    model = script(
        tmp_path, {"match": "found", "steps": [say("one")]}, {"match": ".", "steps": [call("a"), call("b")]}
    )
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(
            model=MODEL, input="?", tools=[SEARCH], parallel_tool_calls=False
        )
    assert (done.output_text, tool.lines()) == ("one", ["begin a", "end a"])


async def test_a_call_that_was_cut_is_not_run(tmp_path: Path) -> None:
    """max_output_tokens in the middle of the arguments: incomplete, without an item of the tool."""
    tool = JournalTool(tmp_path / "journal")
    model = script(tmp_path, {"match": ".", "steps": [call("a" * 200)]})
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(
            model=MODEL, input="?", tools=[SEARCH], max_output_tokens=5
        )
    assert (done.status, done.output, tool.lines()) == ("incomplete", [], [])


async def test_the_cap_on_tokens_holds_over_the_turns(tmp_path: Path) -> None:
    """What earlier turns wrote is taken from max_output_tokens; the usage says so."""
    tool = JournalTool(tmp_path / "journal")
    model = script(
        tmp_path, {"match": "found", "steps": [say("word " * 50)]}, {"match": ".", "steps": [call("a")]}
    )
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server:
        done = await server.sdk().responses.create(
            model=MODEL, input="?", tools=[SEARCH], max_output_tokens=20
        )
    assert (done.status, types_of(done)) == ("incomplete", ["web_search_call", "message"])
    assert done.usage is not None and done.usage.output_tokens == 20


async def test_no_tool_runs_for_a_prompt_that_is_only_read(tmp_path: Path) -> None:
    """Prewarming a cache lists nothing and calls nothing."""
    tool = JournalTool(tmp_path / "journal", opens=True)
    model = script(tmp_path, {"match": ".", "steps": [call("a")]})
    async with served(settings(tmp_path, model), tools={"web_search": tool}) as server, server.http() as http:
        body = {"model": MODEL, "input": "?", "tools": [SEARCH], "prompt_cache_options": {"prewarm": True}}
        answer = await http.post("/v1/responses", json=body)
    assert (answer.status_code, answer.json()["output"], tool.lines()) == (200, [], [])
