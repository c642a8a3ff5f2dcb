"""What the upstream engine makes of a server that goes wrong, and of tools that Chat Completions does not have."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.contract.chat_server import chat_server
from tests.contract.engines import WEATHER, answer, asking, says, upstream
from tests.standin.recorded import frames, recorded

from kodo.server.engines.upstream.chat_request import chat_request
from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.profile import profile_named
from kodo.server.lifecycle.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)
from kodo.server.lifecycle.ports import ContextItem, Prompt
from kodo.server.wire.items import CustomToolCall, CustomToolCallOutput, FunctionCall, FunctionCallOutput
from kodo.server.wire.tools import (
    AllowedTools,
    CustomChoice,
    CustomTool,
    FunctionTool,
    GrammarInput,
    NamespaceTool,
    ShellTool,
    TextInput,
    ToolName,
)

GENERIC = profile_named("generic")


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
        engine = upstream(url, model)
        with pytest.raises(kind) as caught:
            await answer(engine, asking("Hello there."))
        await engine.stop()
    assert "sk-secret" not in caught.value.message
    if isinstance(caught.value, Overloaded) and model == "http-429":
        assert caught.value.retry_after == 7


@contextlib.asynccontextmanager
async def _saying(*chunks: dict[str, Any]) -> AsyncIterator[UpstreamEngine]:
    async with recorded(frames(*chunks)) as server:
        engine = upstream(server.url, "m")
        yield engine
        await engine.stop()


async def test_reasoning_and_its_tokens_are_kept_apart() -> None:
    """`reasoning_content` becomes reasoning, and usage says how much of the output it was."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    async with _saying(
        {"choices": [{"delta": {"reasoning_content": "Hm."}}]},
        {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ) as engine:
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
    tools = (NamespaceTool(name="ns", tools=(CustomTool(name="code"),)),)
    async with _saying(
        {"choices": [{"delta": {"tool_calls": [call]}}]},
        {"choices": [{"delta": {"tool_calls": [more]}, "finish_reason": "tool_calls"}]},
    ) as engine:
        got = await answer(engine, asking("Go.", tools=tools))
    ((start, text),) = got.calls
    assert (start.kind, start.namespace, start.name, start.call_id, text) == (
        "custom",
        "ns",
        "code",
        "c1",
        "print(1)",
    )


async def test_a_tool_that_is_invented_again_and_again_is_dropped() -> None:
    """The model is told twice; then its call is left out, and the answer is not a failure."""
    call = {"index": 0, "id": "c1", "function": {"name": "invented", "arguments": "{}"}}
    body = frames({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    async with recorded(body) as server:
        engine = upstream(server.url, "m")
        got = await answer(engine, asking("Go.", tools=(WEATHER,), max_output_tokens=None))
        await engine.stop()
    assert (got.calls, got.end.reason, len(server.bodies)) == ([], "stop", 3)


def test_a_history_of_calls_becomes_messages() -> None:
    """Calls that follow each other are one assistant message; each output is a tool message."""
    items = (
        says("Go."),
        ContextItem(item=FunctionCall(call_id="a", name="get_weather", arguments="{}")),
        ContextItem(item=CustomToolCall(call_id="b", name="code", input="x")),
        ContextItem(item=FunctionCallOutput(call_id="a", output="sunny")),
        ContextItem(item=CustomToolCallOutput(call_id="b", output="done")),
    )
    messages = chat_request("m", Prompt(items=items, instructions="Be brief."), GENERIC, "here").body[
        "messages"
    ]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["id"] for call in messages[2]["tool_calls"]] == ["a", "b"]
    assert json.loads(messages[2]["tool_calls"][1]["function"]["arguments"]) == {"input": "x"}


def test_the_grammar_of_a_custom_tool_is_told_and_said_to_be_no_more_than_that() -> None:
    """In the description of the function, also inside a namespace; free text needs no word."""
    grammar = GrammarInput(syntax="lark", definition='start: "x"')
    tools = (
        CustomTool(name="free", format=TextInput()),
        CustomTool(name="held", description="Say x.", format=grammar),
        NamespaceTool(name="n", description="", tools=(CustomTool(name="bare", format=grammar),)),
    )
    request = chat_request("m", Prompt(tools=tools), GENERIC, "here")
    told = [tool["function"].get("description") for tool in request.body["tools"]]
    rule = 'The input must match this lark grammar:\nstart: "x"'
    assert told == [None, f"Say x.\n\n{rule}", rule]
    assert request.unenforced == ("grammar",)
    assert chat_request("m", Prompt(tools=tools[:1]), GENERIC, "here").unenforced == ()


def test_choices_are_translated() -> None:
    """A named custom tool, and a shell, become named functions; a namespace allows all of its functions."""
    tools = (CustomTool(name="code"), ShellTool())
    body = chat_request("m", Prompt(tools=tools, tool_choice=CustomChoice(name="code")), GENERIC, "here").body
    assert body["tool_choice"] == {"type": "function", "function": {"name": "code"}}
    assert [tool["function"]["name"] for tool in body["tools"]] == ["code", "shell"]
    inner = (FunctionTool(name="a"), FunctionTool(name="b"))
    both = AllowedTools(tools=(ToolName(type="namespace", name="n"),), mode="required")
    prompt = Prompt(tools=(*tools, NamespaceTool(name="n", description="", tools=inner)), tool_choice=both)
    body = chat_request("m", prompt, GENERIC, "here").body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["n__a", "n__b"]
    assert body["tool_choice"] == "required"
