"""``functions`` and ``function_call`` of Chat Completions, which clients from before tools send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, script, served, settings

FUNCTION: Any = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ASKED: Any = {"role": "user", "content": "weather in Paris?"}
CALLED: Any = {
    "role": "assistant",
    "content": None,
    "function_call": {"name": "weather", "arguments": '{"city":"Paris"}'},
}
ANSWERED: Any = {"role": "function", "name": "weather", "content": "sunny"}
TURNS: Any = (
    {"match": "weather in", "steps": [{"type": "call", "name": "weather", "arguments": {"city": "Paris"}}]},
    {"match": "sunny", "steps": [{"type": "text", "text": "It is sunny."}]},
)


async def test_a_call_and_its_answer_are_in_the_first_form(tmp_path: Path) -> None:
    """The call is the message's ``function_call``; a message of the role ``function`` answers it."""
    async with served(settings(tmp_path, script(tmp_path, *TURNS))) as server, server.sdk() as client:
        first = await client.chat.completions.create(model=MODEL, messages=[ASKED], functions=[FUNCTION])
        choice = first.choices[0]
        assert choice.finish_reason == "function_call"
        assert choice.message.tool_calls is None
        assert choice.message.function_call is not None
        assert choice.message.function_call.to_dict() == CALLED["function_call"]
        history = [ASKED, choice.message.to_dict(), ANSWERED]
        second = await client.chat.completions.create(model=MODEL, messages=history, functions=[FUNCTION])
        assert second.choices[0].message.content == "It is sunny."
        assert second.choices[0].finish_reason == "stop"


async def test_a_streamed_call_is_in_the_first_form(tmp_path: Path) -> None:
    """Name first, then the arguments piece by piece; ``function_call`` names the one function to call."""
    async with served(settings(tmp_path, script(tmp_path, *TURNS))) as server, server.sdk() as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=[ASKED],
            functions=[FUNCTION],
            function_call={"name": "weather"},
            stream=True,
        )
        choices = [chunk.choices[0] async for chunk in stream]
        calls = [choice.delta.function_call for choice in choices if choice.delta.function_call is not None]
        assert calls[0].name == "weather"
        assert "".join(call.arguments or "" for call in calls) == '{"city":"Paris"}'
        assert all(choice.delta.tool_calls is None for choice in choices)
        assert choices[-1].finish_reason == "function_call"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"functions": [{"parameters": {}}]}, "functions[0].name", "missing_required_parameter"),
        ({"functions": [{**FUNCTION, "strict_": True}]}, "functions[0].strict_", "unknown_parameter"),
        ({"functions": []}, "functions", "empty_array"),
        ({"functions": [FUNCTION], "function_call": "required"}, "function_call", "invalid_value"),
        ({"function_call": "auto"}, "function_call", "invalid_value"),
        (
            {"functions": [FUNCTION], "tools": [{"type": "function", "function": FUNCTION}]},
            "functions",
            "mutually_exclusive_parameters",
        ),
        ({"messages": [ASKED, ANSWERED]}, "messages[1].name", "invalid_value"),
        ({"messages": [ASKED, CALLED, ANSWERED, ANSWERED]}, "messages[3].name", "invalid_value"),
        (
            {"messages": [ASKED, {"role": "assistant", "function_call": {"name": "weather"}}]},
            "messages[1].function_call.arguments",
            "missing_required_parameter",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_errors_name_the_fields_of_the_first_form(
    body: dict[str, Any], param: str, code: str, tmp_path: Path
) -> None:
    """No error speaks of tools to a client that sent functions."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/chat/completions", json={"model": MODEL, "messages": [ASKED], **body})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error
