"""gpt-oss' own form of tools, on its published template and a tiny model: what is shown, what is written, what goes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from tests.contract.engines import MAIL, WEATHER, answer, asking, llama, running, says
from tests.paths import DATA
from tests.tiny_model import byte_symbols, write_tiny_model

from kodo.server.engines.llama.engine import LlamaEngine
from kodo.server.engines.llama.prompting.tool_call_format import CHANNELS, HERMES
from kodo.server.lifecycle.ports import ContextItem, Prompt, ReasoningDelta, Sampling
from kodo.server.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    Reasoning,
    SummaryText,
)
from kodo.server.wire.tools import CustomTool, FunctionTool

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("engine")]

CONTEXT = 8192
MARKS = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>", "<|constrain|>")
STARTS = [start.mark for start in CHANNELS.other_starts if not start.at_start] + [CHANNELS.trigger]
CONTROL = (*MARKS, *STARTS)
"""The marks that begin a call are control tokens of the tiny model too, so that a bias makes it write them."""
TEMPLATE = (DATA / "templates" / "gpt-oss.jinja").read_text()
SEARCH = FunctionTool(
    name="search",
    description="Search the notes",
    parameters={
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for"},
            "kind": {"type": "string", "enum": ["note", "task"], "default": "note"},
            "limit": {"type": "integer", "default": 10},
            "tags": {"type": "array", "items": {"type": "string"}},
            "range": {
                "type": "object",
                "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
                "required": ["from"],
            },
            "either": {"oneOf": [{"type": "string", "description": "a word"}, {"type": "number"}]},
        },
        "required": ["query"],
    },
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaEngine]:
    """A tiny model with gpt-oss' template."""
    path = tmp_path_factory.mktemp("channels") / "tiny.gguf"
    made = llama(write_tiny_model(path, template=TEMPLATE, context=CONTEXT, control=CONTROL), context=CONTEXT)
    async with running(made):
        yield made


def text_of_ids(ids: Sequence[int]) -> str:
    """The text of ids, control tokens included."""
    assert len(byte_symbols()) == 256
    names = {1: b"<s>", 2: b"</s>", **{259 + at: mark.encode() for at, mark in enumerate(CONTROL)}}
    return b"".join(names[token] if token in names else bytes([token - 3]) for token in ids).decode()


def control_of(ids: Sequence[int]) -> list[int]:
    """The control tokens among ids."""
    return [token for token in ids if token < 3 or token >= 259]


def call(call_id: str, city: str) -> ContextItem:
    """A call of the weather."""
    arguments = json.dumps({"city": city})
    return ContextItem(item=FunctionCall(call_id=call_id, name="get_weather", arguments=arguments))


def output(call_id: str, text: str) -> ContextItem:
    """Its output."""
    return ContextItem(item=FunctionCallOutput(call_id=call_id, output=text))


def thought(text: str) -> ContextItem:
    """A reasoning item."""
    return ContextItem(item=Reasoning(summary=(SummaryText(text=text),)))


def said(text: str) -> ContextItem:
    """A final answer."""
    return ContextItem(item=Message(role="assistant", content=(OutputText(text=text),)))


def spec(tool: FunctionTool) -> dict[str, Any]:
    """A tool as the template is given it."""
    parameters = {"type": "object", **(tool.parameters or {"properties": {}})}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


async def rendered(engine: LlamaEngine, messages: list[dict[str, Any]], tools: Sequence[FunctionTool]) -> str:
    """What the template makes of messages and tools."""
    body: dict[str, Any] = {"messages": messages}
    if tools:
        body |= {"tools": [spec(tool) for tool in tools], "tool_choice": "none"}
    return await engine._client.render(body)


def message_of(call_id: str, city: str, thinking: str = "") -> dict[str, Any]:
    """A call as the template is given it."""
    function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
    made: dict[str, Any] = {"role": "assistant", "content": ""}
    if thinking:
        made["reasoning_content"] = thinking
    return {**made, "tool_calls": [{"id": call_id, "type": "function", "function": function}]}


async def test_a_prompt_is_what_the_template_makes_of_it(engine: LlamaEngine) -> None:
    """Types in TypeScript, two calls of one turn each with its output, and the reasoning that led to them."""
    assert engine._template.knows_channel_tools
    tools = (WEATHER, SEARCH, FunctionTool(name="now", description="The time"))
    items = (
        says("Be kind.", "developer"),
        says("Paris and Rome?"),
        thought("Both."),
        call("c1", "Paris"),
        call("c2", "Rome"),
        output("c1", 'Sun "now"'),
        output("c2", "Rain"),
    )
    prepared = await engine.prepare(Prompt(instructions="Be brief.", items=items, tools=tools))
    messages = [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "Paris and Rome?"},
        message_of("c1", "Paris", "Both."),
        {"role": "tool", "tool_call_id": "c1", "content": 'Sun "now"'},
        message_of("c2", "Rome"),
        {"role": "tool", "tool_call_id": "c2", "content": "Rain"},
    ]
    told = text_of_ids(prepared.payload.ids)
    assert told == await rendered(engine, messages, tools)
    assert "type get_weather = (_: {" in told
    assert '// default: "note"' in told or "// default: note" in told
    assert "<|channel|>analysis<|message|>Both.<|end|>" in told
    assert '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city"' in told
    assert "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>" in told
    assert prepared.payload.call_format is CHANNELS
    assert sum(prepared.item_tokens) < prepared.input_tokens == len(prepared.payload.ids)


async def test_reasoning_is_shown_until_a_final_answer(engine: LlamaEngine) -> None:
    """The second turn of a tool loop has it; the turn behind the answer does not."""
    loop = (says("Paris?"), thought("Let me look."), call("c1", "Paris"), output("c1", "Sun"))
    second = await engine.prepare(Prompt(items=loop, tools=(WEATHER,)))
    third = await engine.prepare(Prompt(items=(*loop, said("Sunny."), says("Thanks.")), tools=(WEATHER,)))
    assert "analysis<|message|>Let me look.<|end|>" in text_of_ids(second.payload.ids)
    assert "Let me look." not in text_of_ids(third.payload.ids)
    assert "<|channel|>final<|message|>Sunny.<|end|>" in text_of_ids(third.payload.ids)


async def test_a_call_that_has_to_be_made_is_written_in_a_channel(engine: LlamaEngine) -> None:
    """Name and arguments are held to what is offered, and the ids are those of the form."""
    options: dict[str, Any] = {"tools": (WEATHER, MAIL), "tool_choice": "required", "max_output_tokens": 300}
    got = await answer(engine, asking("Go.", **options))
    ((start, arguments),) = got.calls
    jsonschema.validate(
        json.loads(arguments), {"get_weather": WEATHER, "send_mail": MAIL}[start.name].parameters
    )
    written = f"{CHANNELS.prefix}{start.name}{CHANNELS.separator}{arguments}{CHANNELS.suffix}"
    assert text_of_ids(got.ids) == written
    assert (got.end.reason, got.text) == ("stop", "")
    assert got.end.usage.output - len(got.ids) in (0, 1)  # the model may end the arguments itself


@pytest.mark.parametrize("mark", STARTS)
async def test_a_call_that_the_model_begins_is_one(engine: LlamaEngine, mark: str) -> None:
    """In the channel or in the role: the name and the arguments that follow are held to what is offered."""
    prompt = asking(
        "Go.",
        tools=(WEATHER,),
        sampling=Sampling(temperature=0, logit_bias=((259 + CONTROL.index(mark), 100.0),)),
        max_output_tokens=300,
    )
    got = await answer(engine, prompt)
    ((start, arguments),) = got.calls
    assert start.name == "get_weather"
    jsonschema.validate(json.loads(arguments), WEATHER.parameters)
    form = CHANNELS.begun_by(mark)
    assert form is not None
    assert text_of_ids(got.ids).endswith(f"{form.prefix}get_weather{form.separator}{arguments}<|call|>")
    assert not any("to=" in event.text for event in got.events if isinstance(event, ReasoningDelta))
    assert got.text == ""


async def test_without_tools_such_a_mark_begins_nothing(engine: LlamaEngine) -> None:
    """The model may write what it likes where it has no tools: no call comes of it."""
    bias = ((259 + CONTROL.index(CHANNELS.trigger), 100.0),)
    prompt = asking("Go.", sampling=Sampling(temperature=0, logit_bias=bias), max_output_tokens=20)
    assert (await answer(engine, prompt)).calls == []


async def test_nothing_of_a_client_becomes_a_control_token(engine: LlamaEngine) -> None:
    """Names, descriptions, every word of a schema, arguments, outputs and thoughts full of marks hold as many as harmless ones."""
    marks = "".join((*MARKS, *STARTS, "</s>", "<s>"))
    counts = []
    for text in ("harmless", f'"{marks}"', marks):
        schema = {
            "type": "object",
            "properties": {
                f"key {text}": {
                    "type": "string",
                    "enum": [text],
                    "description": text,
                    "default": text,
                },
                "nested": {"type": "object", "properties": {f"in {text}": {"type": "string"}}},
                "some": {"oneOf": [{"type": "string", "description": text}, {"type": "number"}]},
                "odd": {"type": text, "default": {"a": text}},
            },
            "required": [f"key {text}", text],
        }
        tool = FunctionTool(name="get_weather", description=text, parameters=schema)
        items = (says(text), thought(text), call("c1", text), output("c1", text))
        prepared = await engine.prepare(Prompt(instructions=text, items=items, tools=(tool,)))
        assert prepared.payload.call_format is CHANNELS
        counts.append(control_of(prepared.payload.ids))
        assert text_of_ids(prepared.payload.ids).count(text.strip('"')) >= 10
    assert counts[0] == counts[1] == counts[2]
    assert counts[0]


async def test_what_the_template_has_no_place_for_is_written_in_kodos_form(engine: LlamaEngine) -> None:
    """A tool whose input is no JSON; an output whose call was forgotten is the user's text."""
    prepared = await engine.prepare(asking("Go.", tools=(WEATHER, CustomTool(name="code"))))
    assert prepared.payload.call_format is HERMES
    orphan = await engine.prepare(Prompt(items=(output("c9", "Sun"), says("And?")), tools=(WEATHER,)))
    assert "<|start|>user<|message|>Sun<|end|>" in text_of_ids(orphan.payload.ids)
