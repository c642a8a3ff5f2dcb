"""A server that speaks the Responses API itself: items, tools and reasoning go through, kodo keeps the state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.engines import answer, asking
from tests.serving import MODEL, served, settings
from tests.standin.recorded import frames, recorded

from kodo.server.config import ModelSettings
from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.lifecycle.errors import ContextLengthExceeded, EngineFailed
from kodo.server.lifecycle.ports import ContextItem, Prompt, ProviderFields
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, InputImage, InputText, Message
from kodo.server.wire.tools import CustomTool, FunctionTool, JsonSchemaFormat, NamespaceTool, ShellTool

WEATHER = FunctionTool(name="get_weather", parameters={"type": "object", "properties": {}})
USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 42,
}
REASONING = {
    "id": "rs_theirs",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Both cities."}],
    "encrypted_content": "theirs-and-opaque",
}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """An event of a stream."""
    return {"type": f"response.{kind}", **fields}


def call(number: int, city: str) -> list[dict[str, Any]]:
    """The events of a call."""
    item = {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", "name": "get_weather"}
    text = json.dumps({"city": city})
    return [
        event("output_item.added", output_index=number, item={**item, "arguments": ""}),
        event("function_call_arguments.delta", output_index=number, delta=text[:5]),
        event("function_call_arguments.delta", output_index=number, delta=text[5:]),
        event("function_call_arguments.done", output_index=number, arguments=text),
        event(
            "output_item.done", output_index=number, item={**item, "arguments": text, "status": "completed"}
        ),
    ]


def done(status: str = "completed", **more: Any) -> dict[str, Any]:
    """The last event."""
    return event(status, response={"id": "resp_theirs", "status": status, "usage": USAGE, **more})


THINKS_AND_CALLS = [
    event("created", response={"id": "resp_theirs"}),
    event("output_item.added", item={"id": "rs_theirs", "type": "reasoning", "summary": []}),
    event("reasoning_summary_text.delta", delta="Both "),
    event("reasoning_summary_text.delta", delta="cities."),
    event("output_item.done", item=REASONING),
    *call(1, "Paris"),
    *call(2, "Tokyo"),
    done(),
]
SAYS = [
    event("output_item.added", item={"id": "msg_theirs", "type": "message", "content": []}),
    event("output_text.delta", delta="It is "),
    event("output_text.delta", delta="sunny."),
    event(
        "output_item.done",
        item={"type": "message", "content": [{"type": "output_text", "text": "It is sunny."}]},
    ),
    done(),
]


def engine_at(url: str) -> UpstreamEngine:
    """The engine in front of a Responses server."""
    return UpstreamEngine(
        [TargetOptions(name="one", base_url=url, model="m", profile="generic", api="responses", api_key="k")]
    )


async def test_reasoning_and_calls_come_through_and_go_back(tmp_path: Path) -> None:
    """Through the whole server: two calls, chained; the second request has the server's own reasoning, encrypted."""
    async with recorded(frames(*THINKS_AND_CALLS, done=False), frames(*SAYS, done=False)) as upstream:
        model = ModelSettings(
            engine="upstream", base_url=upstream.url, target="m", api="responses", profile="generic"
        )
        async with served(settings(tmp_path, model)) as server:
            sdk = server.sdk()
            tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}, "strict": False}]  # fmt: skip
            first = await sdk.responses.create(
                model=MODEL, input="The weather?", tools=tools, instructions="Be kind."
            )
            calls: list[Any] = [item for item in first.output if item.type == "function_call"]
            assert [json.loads(one.arguments)["city"] for one in calls] == ["Paris", "Tokyo"]
            assert first.output[0].type == "reasoning"
            assert first.usage is not None
            assert (first.usage.input_tokens, first.usage.input_tokens_details.cached_tokens) == (30, 4)
            outputs: Any = [
                {"type": "function_call_output", "call_id": one.call_id, "output": "sunny"} for one in calls
            ]
            second = await sdk.responses.create(
                model=MODEL, input=outputs, previous_response_id=first.id, tools=tools
            )
            assert second.output_text == "It is sunny."
    sent = upstream.bodies[1]
    assert (sent["store"], sent["include"], sent["stream"]) == (False, ["reasoning.encrypted_content"], True)
    assert "previous_response_id" not in sent
    kinds = [item["type"] for item in sent["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call", "function_call_output", "function_call_output"]  # fmt: skip
    assert (sent["input"][1]["id"], sent["input"][1]["encrypted_content"]) == (
        "rs_theirs",
        "theirs-and-opaque",
    )
    assert all("id" not in item for item in sent["input"] if item["type"] != "reasoning")
    assert "instructions" not in sent  # the parent's do not go on; the client set none


async def test_a_client_that_keeps_the_state_gets_the_reasoning_sealed(tmp_path: Path) -> None:
    """With `encrypted_content` asked for, the server's own comes back to it out of kodo's seal."""
    async with recorded(frames(*THINKS_AND_CALLS, done=False), frames(*SAYS, done=False)) as upstream:
        model = ModelSettings(
            engine="upstream", base_url=upstream.url, target="m", api="responses", profile="generic"
        )
        async with served(settings(tmp_path, model)) as server:
            sdk = server.sdk()
            tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}, "strict": False}]  # fmt: skip
            first = await sdk.responses.create(
                model=MODEL,
                input="The weather?",
                tools=tools,
                store=False,
                include=["reasoning.encrypted_content"],
            )
            history: Any = [item.to_dict() for item in first.output]
            outputs: Any = [
                {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}
                for item in history
                if item["type"] == "function_call"
            ]
            assert "theirs-and-opaque" not in str(history)
            await sdk.responses.create(model=MODEL, input=[*history, *outputs], tools=tools, store=False)
    reasoning = next(item for item in upstream.bodies[1]["input"] if item["type"] == "reasoning")
    assert (reasoning["id"], reasoning["encrypted_content"]) == ("rs_theirs", "theirs-and-opaque")


async def test_every_kind_of_tool_goes_through() -> None:
    """Namespaces, custom tools and shells as they are, and their calls come back as what they are."""
    custom = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c1", "name": "code", "namespace": "ns"}
    shell = {
        "id": "sh_1",
        "type": "shell_call",
        "call_id": "c2",
        "action": {"commands": ["ls"]},
        "status": "completed",
    }
    stream = [
        event("output_item.added", item={**custom, "input": ""}),
        event("custom_tool_call_input.delta", delta="print(1)"),
        event("output_item.done", item={**custom, "input": "print(1)"}),
        event("output_item.done", item=shell),
        done(),
    ]
    tools = (NamespaceTool(name="ns", tools=(CustomTool(name="code"),)), ShellTool())
    schema = JsonSchemaFormat(name="out", schema_={"type": "object"})
    async with recorded(frames(*stream, done=False)) as upstream:
        engine = engine_at(upstream.url)
        got = await answer(engine, asking("Go.", tools=tools, format=schema, reasoning_effort="low"))
        await engine.stop()
    assert [(start.kind, start.namespace, start.name, text) for start, text in got.calls] == [
        ("custom", "ns", "code", "print(1)"),
        ("shell", None, "shell", '{"commands":["ls"]}'),
    ]
    sent = upstream.bodies[0]
    assert [tool["type"] for tool in sent["tools"]] == ["namespace", "shell"]
    assert sent["text"]["format"]["schema"] == {"type": "object"}
    assert sent["reasoning"] == {"effort": "low"}
    assert (sent["max_output_tokens"], "parallel_tool_calls" in sent, "seed" in sent) == (40, False, False)


async def test_images_go_through_in_messages_and_outputs() -> None:
    """`input_image` stays one, in a user's message and in a tool's output."""
    image = InputImage(image_url="data:image/png;base64,iVBORw0KGgo=")
    items = (
        ContextItem(item=Message(role="user", content=(InputText(text="What?"), image))),
        ContextItem(item=FunctionCallOutput(call_id="c", output=(image,))),
    )
    async with recorded(frames(*SAYS, done=False)) as upstream:
        engine = engine_at(upstream.url)
        await answer(engine, Prompt(items=items))
        await engine.stop()
    sent = upstream.bodies[0]["input"]
    assert sent[0]["content"][1]["image_url"] == sent[1]["output"][0]["image_url"] == image.image_url


@pytest.mark.parametrize(
    ("stream", "text", "reason"),
    [
        (SAYS, "It is sunny.", "stop"),
        ([SAYS[3], done()], "It is sunny.", "stop"),
        (
            [SAYS[1], done("incomplete", incomplete_details={"reason": "max_output_tokens"})],
            "It is ",
            "length",
        ),
        (
            [SAYS[1], done("incomplete", incomplete_details={"reason": "content_filter"})],
            "It is ",
            "content_filter",
        ),
    ],
)
async def test_an_answer_is_read_with_or_without_deltas(stream: list[Any], text: str, reason: str) -> None:
    """Whole items are enough, and an end that is not one says why."""
    async with recorded(frames(*stream, done=False)) as upstream:
        engine = engine_at(upstream.url)
        got = await answer(engine, asking("Go."))
        await engine.stop()
    assert (got.text, got.end.reason, got.end.usage.cached) == (text, reason, 4)


ONE, TWO = call(1, "Paris"), call(2, "Tokyo")
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Sunny."}]}


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([ONE[0], TWO[0], *ONE[1:], *TWO[1:], done()], id="both begin first"),
        pytest.param([ONE[0], ONE[1], TWO[0], TWO[1], ONE[2], TWO[2], *ONE[3:], *TWO[3:], done()], id="taking turns"),
        pytest.param([ONE[0], TWO[0], *TWO[1:], *ONE[1:], done()], id="the second is done first"),
        pytest.param([*ONE[:3], *TWO[:3], done()], id="no item is said to be done"),
        pytest.param([ONE[4], TWO[4], done()], id="whole items"),
        pytest.param([done(output=[ONE[4]["item"], TWO[4]["item"]])], id="with the end only"),
        pytest.param([ONE[0], done(output=[ONE[4]["item"], TWO[4]["item"]])], id="begun, and with the end"),
    ],
)  # fmt: skip
async def test_calls_that_take_turns_come_out_one_after_the_other(stream: list[Any]) -> None:
    """Gateways open every call of a turn before they close one, or send what is whole only."""
    async with recorded(frames(*stream)) as server:
        engine = engine_at(server.url)
        got = await answer(engine, asking("Go.", tools=(WEATHER,)))
        await engine.stop()
    expected = [("call_1", '{"city": "Paris"}'), ("call_2", '{"city": "Tokyo"}')]
    assert [(start.call_id, text) for start, text in got.calls] == expected


@pytest.mark.parametrize(
    "stream",
    [
        [done(output=[MESSAGE])],
        [event("output_text.done", output_index=0, text="Sunny."), done(output=[MESSAGE])],
        [event("output_text.delta", output_index=0, delta="Sunny."), event("output_text.done", output_index=0, text="Sunny."), done(output=[])],
        [event("output_item.done", item=MESSAGE), event("output_text.done", text="Sunny."), done(output=[MESSAGE])],
    ],
)  # fmt: skip
async def test_a_text_comes_out_once_wherever_it_is(stream: list[Any]) -> None:
    """In deltas, with its own end, with the item's or with the response's."""
    async with recorded(frames(*stream)) as server:
        engine = engine_at(server.url)
        got = await answer(engine, asking("Go."))
        await engine.stop()
    assert (got.text, got.end.reason) == ("Sunny.", "stop")


async def test_a_failure_beside_the_response_says_why() -> None:
    """Gateways put the error into the event, with null in the response."""
    failed = {**done("failed", error=None), "error": {"message": "no such luck", "code": "upstream_error"}}
    async with recorded(frames(failed)) as server:
        engine = engine_at(server.url)
        with pytest.raises(EngineFailed, match="no such luck"):
            await answer(engine, asking("Go."))
        await engine.stop()


async def test_an_answer_that_fails_says_why() -> None:
    """`response.failed`, an error event, and a stream without an end."""
    failed = done("failed", error={"code": "server_error", "message": "out of luck"})
    too_long = done("failed", error={"code": "context_length_exceeded", "message": "request (9000 tokens) exceeds the available context size (4096 tokens)"})  # fmt: skip
    for stream, kind, words in (
        ([SAYS[1], failed], EngineFailed, "out of luck"),
        ([too_long], ContextLengthExceeded, "4096"),
        ([{"type": "error", "message": "went wrong"}], EngineFailed, "went wrong"),
        ([SAYS[1]], EngineFailed, "in the middle"),
    ):
        async with recorded(frames(*stream, done=False)) as upstream:
            engine = engine_at(upstream.url)
            with pytest.raises(kind, match=words):
                await answer(engine, asking("Go."))
            await engine.stop()


async def test_a_tool_that_was_not_offered_is_told_to_the_model() -> None:
    """The error stands in the input of a second request; its answer is handed out."""
    item = {"type": "function_call", "call_id": "c9", "name": "invented", "arguments": "{}"}
    invented = [event("output_item.added", item=item), event("output_item.done", item=item), done()]
    async with recorded(frames(*invented, done=False), frames(*SAYS, done=False)) as upstream:
        engine = engine_at(upstream.url)
        got = await answer(engine, asking("Go.", tools=(WEATHER,)))
        await engine.stop()
    assert (got.text, got.calls) == ("It is sunny.", [])
    assert "The tools are: get_weather." in upstream.bodies[1]["input"][-1]["output"]


async def test_a_call_of_an_unknown_tool_beside_a_known_one_goes_back_with_its_error() -> None:
    """The known call is the client's; the other one and its error stand behind it in the next input."""
    item = {"type": "function_call", "call_id": "c9", "name": "invented", "arguments": "{}"}
    stream = [
        *call(1, "Paris"),
        event("output_item.added", item=item),
        event("output_item.done", item=item),
        done(),
    ]
    async with recorded(frames(*stream, done=False), frames(*SAYS, done=False)) as upstream:
        engine = engine_at(upstream.url)
        got = await answer(engine, asking("Go.", tools=(WEATHER,)))
        ((start, text),) = got.calls
        state = next(one.state for one in got.events if isinstance(one, ProviderFields))
        made = FunctionCall(call_id=start.call_id, name=start.name, arguments=text)
        output = FunctionCallOutput(call_id=start.call_id, output="sunny")
        prompt = Prompt(
            items=(ContextItem(item=made, provider=state), ContextItem(item=output)), tools=(WEATHER,)
        )
        await answer(engine, prompt)
        await engine.stop()
    sent = upstream.bodies[1]["input"]
    assert [one.get("name") for one in sent] == ["get_weather", "invented", None, None]
    assert "The tools are: get_weather." in sent[2]["output"]
    assert sent[2]["call_id"] == sent[1]["call_id"] != sent[0]["call_id"] == sent[3]["call_id"]
