"""What the upstream engine makes of a server that goes wrong, and of tools that Chat Completions does not have."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from tests.contract.chat_server import chat_server
from tests.contract.engines import WEATHER, answer, asking, says

from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.request import chat_request
from kodo.server.lifecycle.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)
from kodo.server.lifecycle.ports import ContextItem, Prompt
from kodo.server.wire.items import CustomToolCall, CustomToolCallOutput, FunctionCall, FunctionCallOutput
from kodo.server.wire.tools import CustomChoice, CustomTool, FunctionChoice, NamespaceTool, ShellTool


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("http-400", InvalidRequest),
        ("http-401", EngineUnavailable),
        ("http-404", EngineUnavailable),
        ("http-429", Overloaded),
        ("http-500", EngineUnavailable),
        ("cut", EngineFailed),
        ("noise", EngineFailed),
    ],
)
async def test_a_servers_error_is_translated_and_its_words_stay_out(
    model: str, kind: type[ServiceError]
) -> None:
    """Each failure is one of kodo's errors, without the server's paths and keys."""
    async with chat_server() as url:
        engine = UpstreamEngine(url, model)
        with pytest.raises(kind) as caught:
            await answer(engine, asking("Hello there."))
        await engine.stop()
    assert "sk-secret" not in caught.value.message
    if isinstance(caught.value, Overloaded) and model == "http-429":
        assert caught.value.retry_after == 7


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Nothing listens: 503, and the server starts all the same."""
    engine = UpstreamEngine("http://127.0.0.1:9/v1", "m")
    await engine.start()
    with pytest.raises(EngineUnavailable):
        await answer(engine, asking("Hi"))
    await engine.stop()


def _saying(*chunks: dict[str, Any]) -> UpstreamEngine:
    lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=lines))
    return UpstreamEngine("http://upstream/v1", "m", transport=transport)


async def test_reasoning_and_its_tokens_are_kept_apart() -> None:
    """`reasoning_content` becomes reasoning, and usage says how much of the output it was."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    engine = _saying(
        {"choices": [{"delta": {"reasoning_content": "Hm."}}]},
        {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    )
    got = await answer(engine, asking("Well?"))
    assert (got.reasoning, got.text) == ("Hm.", "Yes.")
    assert (got.end.usage.input, got.end.usage.cached, got.end.usage.output, got.end.usage.reasoning) == (
        9,
        4,
        7,
        5,
    )


async def test_a_custom_tools_input_comes_out_of_its_json() -> None:
    """The function that stands for it is unwrapped, with its namespace."""
    call = {"index": 0, "id": "c1", "function": {"name": "ns__code", "arguments": '{"inp'}}
    more = {"index": 0, "function": {"arguments": 'ut": "print(1)"}'}}
    engine = _saying(
        {"choices": [{"delta": {"tool_calls": [call]}}]},
        {"choices": [{"delta": {"tool_calls": [more]}, "finish_reason": "tool_calls"}]},
    )
    tools = (NamespaceTool(name="ns", tools=(CustomTool(name="code"),)),)
    got = await answer(engine, asking("Go.", tools=tools))
    ((start, text),) = got.calls
    assert (start.kind, start.namespace, start.name, start.call_id, text) == (
        "custom",
        "ns",
        "code",
        "c1",
        "print(1)",
    )


async def test_a_tool_that_was_not_offered_is_an_error() -> None:
    """A server that makes up a tool is not believed."""
    call = {"index": 0, "id": "c1", "function": {"name": "invented", "arguments": "{}"}}
    engine = _saying({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    with pytest.raises(EngineFailed, match="not offered"):
        await answer(engine, asking("Go.", tools=(WEATHER,)))


def test_a_history_of_calls_becomes_messages() -> None:
    """Calls that follow each other are one assistant message; each output is a tool message."""
    items = (
        says("Go."),
        ContextItem(item=FunctionCall(call_id="a", name="get_weather", arguments="{}")),
        ContextItem(item=CustomToolCall(call_id="b", name="code", input="x")),
        ContextItem(item=FunctionCallOutput(call_id="a", output="sunny")),
        ContextItem(item=CustomToolCallOutput(call_id="b", output="done")),
    )
    messages = chat_request("m", Prompt(items=items, instructions="Be brief.")).body["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["id"] for call in messages[2]["tool_calls"]] == ["a", "b"]
    assert json.loads(messages[2]["tool_calls"][1]["function"]["arguments"]) == {"input": "x"}


def test_choices_are_translated() -> None:
    """A named custom tool, and a shell, become named functions; an unknown one is the caller's mistake."""
    tools = (CustomTool(name="code"), ShellTool())
    body = chat_request("m", Prompt(tools=tools, tool_choice=CustomChoice(name="code"))).body
    assert body["tool_choice"] == {"type": "function", "function": {"name": "code"}}
    assert [tool["function"]["name"] for tool in body["tools"]] == ["code", "shell"]
    with pytest.raises(InvalidRequest) as caught:
        chat_request("m", Prompt(tools=tools, tool_choice=FunctionChoice(name="code")))
    assert caught.value.param == "tool_choice"
