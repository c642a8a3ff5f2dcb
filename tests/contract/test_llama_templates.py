"""Chat templates that know tools or reasoning: what kodo finds out about them, and what it does with that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from tests.contract.engines import MAIL, WEATHER, Answered, answer, asking, llama, own, running, says
from tests.paths import DATA
from tests.serving import MODEL, served, settings
from tests.tiny_model import TEMPLATE, byte_symbols, write_tiny_model

from kodo.server.config import LlamaSettings, ModelSettings
from kodo.server.engines.llama.decoding.turn import MAX_CALLS
from kodo.server.engines.llama.engine import LlamaEngine
from kodo.server.engines.llama.prompting.tool_call_format import HERMES, call_tag
from kodo.server.lifecycle.ports import ContextItem, Prompt, Sampling
from kodo.server.wire.items import FunctionCall, FunctionCallOutput
from kodo.server.wire.tools import CustomTool, FunctionTool

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("engine")]

FOLDER = DATA / "templates"
CONTROL = {
    "qwen2.5": ("<tool_call>", "</tool_call>", "<|im_start|>", "<|im_end|>"),
    "qwen3": ("<think>", "</think>", "<|im_start|>", "<|im_end|>"),
    "mistral-nemo": ("[TOOL_CALLS]", "[INST]", "[/INST]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    "marks-form": ("<calls>", "</calls>", "<call>", "<sep>", "<end>", "<out>", "<turn>", "<eot>", "<tools>"),
    "llama3.1-form": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
}
"""Control tokens of each model, with the ids from 259 on."""
TEMPLATES = list(CONTROL)
NEWLINE = 3 + ord("\n")
CONTEXT = 4096
NOW = FunctionTool(name="now", description="The time")


def _model(folder: Path, template: str, control: Sequence[str] = ()) -> Path:
    return write_tiny_model(folder / "tiny.gguf", template=template, context=CONTEXT, control=control)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=TEMPLATES)
async def named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, LlamaEngine]]:
    """A tiny model with each of the templates."""
    name = request.param
    path = _model(tmp_path_factory.mktemp(name), (FOLDER / f"{name}.jinja").read_text(), CONTROL[name])
    engine = llama(path, context=CONTEXT)
    async with running(engine):
        yield name, engine


def _told(ids: Sequence[int], control: Sequence[str]) -> str:
    """The text of ids, control tokens included."""
    symbols = byte_symbols()
    assert len(symbols) == 256
    names = {1: b"<s>", 2: b"</s>", **{259 + at: mark.encode() for at, mark in enumerate(control)}}
    return b"".join(names[token] if token in names else bytes([token - 3]) for token in ids).decode()


def _control(ids: Sequence[int]) -> list[int]:
    return [token for token in ids if token < 3 or token >= 259]


def _call(call_id: str, city: str) -> ContextItem:
    arguments = json.dumps({"city": city})
    return ContextItem(item=FunctionCall(call_id=call_id, name="get_weather", arguments=arguments))


def _output(call_id: str, text: str) -> ContextItem:
    return ContextItem(item=FunctionCallOutput(call_id=call_id, output=text))


# --- tools in the template's own form --------------------------------------------------------------------------------


async def test_a_prompt_is_what_the_template_makes_of_it(named: tuple[str, LlamaEngine]) -> None:
    """Tools, calls and outputs, against the template rendered with the contents themselves."""
    name, engine = named
    call_format = engine._template.call_format
    assert call_format is not None
    cities = {"c1": "Paris", "c2": "Rome"} if call_format.next_call is not None else {"c1": "Paris"}
    items = [says("The weather?"), *(_call(key, city) for key, city in cities.items())]
    items += [_output(key, 'Sun "now"') for key in cities]
    prompt = Prompt(items=tuple(items), tools=(WEATHER, MAIL), max_output_tokens=10)
    prepared = await engine.prepare(prompt)

    def function(key: str, city: str) -> dict[str, Any]:
        call = {"name": "get_weather", "arguments": json.dumps({"city": city})}
        return {"id": call_tag(key), "type": "function", "function": call}

    messages: list[dict[str, Any]] = [{"role": "user", "content": "The weather?"}]
    calls = [function(key, city) for key, city in cities.items()]
    messages.append({"role": "assistant", "content": "", "tool_calls": calls})
    messages += [{"role": "tool", "tool_call_id": call_tag(key), "content": 'Sun "now"'} for key in cities]
    tools = [
        {"name": one.name, "description": one.description, "parameters": {"type": "object", **one.parameters}}
        for one in (WEATHER, MAIL)
        if one.parameters
    ]
    body = {"messages": messages, "tools": [{"type": "function", "function": one} for one in tools]}
    assert _told(prepared.payload.ids, CONTROL[name]) == await engine._client.render(body)
    assert sum(prepared.item_tokens) < prepared.input_tokens == len(prepared.payload.ids)


async def test_a_call_is_written_in_the_templates_form_and_goes_round(
    named: tuple[str, LlamaEngine],
) -> None:
    """Arguments fit, the ids are those of its form, and the next prompt begins with the very ids of this turn."""
    name, engine = named
    call_format = engine._template.call_format
    assert call_format is not None
    prompt = asking(
        "Go.",
        tools=(WEATHER, NOW),
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=300,
    )
    prepared = await engine.prepare(prompt)
    got = await answer(engine, prepared)
    ((start, arguments),) = got.calls
    schema = {"get_weather": WEATHER, "now": NOW}[start.name].parameters
    jsonschema.validate(json.loads(arguments), schema or {})
    written = (
        call_format.prefix
        + start.name
        + call_format.separator
        + arguments
        + call_format.suffix_of(start.call_id)
        + call_format.closing
    )
    assert _told(got.ids, CONTROL[name]) == written
    assert got.end.reason == "stop"
    call = FunctionCall(call_id=start.call_id, name=start.name, arguments=arguments)
    items = (*prompt.items, own(call, got), _output(start.call_id, "Done."))
    after = await engine.prepare(Prompt(items=items, tools=(WEATHER, NOW)))
    before = (*prepared.payload.ids, *got.ids)
    assert after.payload.call_format.from_template
    assert after.payload.ids[: len(before)] == before
    assert (
        call_tag(start.call_id) in _told(after.payload.ids, CONTROL[name]) or not call_format.tag_placeholder
    )


async def test_nothing_of_a_client_becomes_a_control_token(named: tuple[str, LlamaEngine]) -> None:
    """Names, descriptions, schemas, arguments and outputs full of the template's marks hold as many as harmless ones."""
    name, engine = named
    marks = "".join((*CONTROL[name], "</s>", "<s>"))
    counts = []
    for text in ("harmless", f'"{marks}"', marks):
        schema = {
            "type": "object",
            "properties": {f"key {text}": {"enum": [text], "description": text}},
            "additionalProperties": False,
        }
        tool = FunctionTool(name="get_weather", description=text, parameters=schema)
        items = (says(text), _call("c1", text), _output("c1", text))
        prepared = await engine.prepare(Prompt(instructions=text, items=items, tools=(tool,)))
        assert prepared.payload.call_format.from_template
        counts.append(_control(prepared.payload.ids))
        assert _told(prepared.payload.ids, CONTROL[name]).count(text.strip('"')) >= 7
    assert counts[0] == counts[1] == counts[2]
    assert counts[0]


async def test_a_custom_tool_has_no_form_in_a_template(named: tuple[str, LlamaEngine]) -> None:
    """Its input is no JSON: kodo's own block and marks stand for all tools of such a request."""
    name, engine = named
    prepared = await engine.prepare(asking("Go.", tools=(WEATHER, CustomTool(name="code"))))
    assert prepared.payload.call_format is HERMES
    assert "You can call these tools:" in _told(prepared.payload.ids, CONTROL[name])


@pytest.mark.parametrize("name", ["qwen2.5", "mistral-nemo", "marks-form"])
async def test_a_model_that_begins_a_call_gets_it(name: str, tmp_path: Path) -> None:
    """With auto the model decides; its mark is a control token, which the engine would leave out of the text."""
    path = _model(tmp_path, (FOLDER / f"{name}.jinja").read_text(), CONTROL[name])
    engine = llama(path, context=CONTEXT)
    async with running(engine):
        for bias, calls in (((259, 100.0),), 1), ((), 0):
            prompt = asking(
                "The weather in a city?",
                tools=(WEATHER, MAIL),
                parallel_tool_calls=False,
                sampling=Sampling(temperature=0, logit_bias=bias),
                max_output_tokens=300 if calls else 30,
            )
            got = await answer(engine, prompt)
            assert len(got.calls) == calls
            assert bool(got.text) is not bool(calls)


async def test_an_order_that_the_template_refuses_is_written_in_kodos_form(tmp_path: Path) -> None:
    """Mistral's template raises where a user speaks right behind an output."""
    path = _model(tmp_path, (FOLDER / "mistral-nemo.jinja").read_text(), CONTROL["mistral-nemo"])
    engine = llama(path, context=CONTEXT)
    async with running(engine):
        items = (says("The weather?"), _call("c1", "Paris"), _output("c1", "Sun"))
        assert (await engine.prepare(Prompt(items=items, tools=(WEATHER,)))).payload.call_format.from_template
        prepared = await engine.prepare(Prompt(items=(*items, says("And?")), tools=(WEATHER,)))
        assert prepared.payload.call_format is HERMES


@pytest.mark.parametrize(
    "shown",
    [
        "{{ tools | length }}",
        "{% for tool in tools %}{{ tool.function.name }}{% endfor %}",
        "{% for tool in tools %}{{ tool | tojson }}{% endfor %}",
    ],
)
async def test_a_template_that_knows_only_half_of_it_is_not_used(tmp_path: Path, shown: str) -> None:
    """A count, names without schemas, tools without calls: none of these will do."""
    path = _model(tmp_path, "{% if tools %}" + shown + "{% endif %}" + TEMPLATE)
    engine = llama(path, context=CONTEXT)
    async with running(engine):
        assert engine._template.call_format is None
        prepared = await engine.prepare(asking("Go.", tools=(WEATHER,)))
        assert "You can call these tools:" in _told(prepared.payload.ids, ())


# --- the same tool again ---------------------------------------------------------------------------------------------


async def _calls(engine: LlamaEngine, text: str, tool: FunctionTool, **options: Any) -> Answered:
    """A turn of a model that always wants another call."""
    sampling = Sampling(temperature=0, logit_bias=((NEWLINE, 100.0),))
    options = {"max_output_tokens": 3000, "tool_choice": "required", **options}
    return await answer(engine, asking(text, tools=(tool,), sampling=sampling, **options))


async def test_a_tool_is_called_again_with_other_arguments_and_the_turn_ends(tmp_path: Path) -> None:
    """No call twice, at most so many, every id accounted for; one only where the client wants one."""
    path = _model(tmp_path, (FOLDER / "qwen2.5.jinja").read_text())
    engine = llama(path, context=CONTEXT)
    async with running(engine):
        got = await _calls(engine, "Go.", WEATHER)
        arguments = [text for _, text in got.calls]
        assert 2 <= len(arguments) <= MAX_CALLS
        assert len(set(arguments)) == len(arguments)
        assert got.end.reason == "stop"
        assert got.end.usage.output == len(got.ids) + len(arguments)  # the model ends each call's arguments
        assert len((await _calls(engine, "Go.", WEATHER, parallel_tool_calls=False)).calls) == 1
        once = await _calls(engine, "Go.", NOW)
        assert [text for _, text in once.calls] == ["{}"]
        assert once.end.usage.output == len(once.ids) + 1


async def test_a_further_call_behind_a_control_token_is_the_models_choice(tmp_path: Path) -> None:
    """No grammar can let it draw the mark of a further call; it draws freely, and that mark is one, all else the end."""
    control = CONTROL["marks-form"]
    path = _model(tmp_path, (FOLDER / "marks-form.jinja").read_text(), control)
    engine = llama(path, context=CONTEXT)
    async with running(engine):
        for bias, least, most in (("<call>", 2, MAX_CALLS), ("</calls>", 1, 1)):
            sampling = Sampling(temperature=0, logit_bias=((259 + control.index(bias), 100.0),))
            options: dict[str, Any] = {"tool_choice": "required", "max_output_tokens": 2000}
            got = await answer(engine, asking("Go.", tools=(WEATHER,), sampling=sampling, **options))
            assert least <= len(got.calls) <= most
            assert _told(got.ids, control).count("<call>") == len(got.calls)
            assert _told(got.ids, control).endswith("<end></calls>")
            assert got.end.reason == "stop"


async def test_a_small_models_further_calls_take_up_what_was_asked(tmp_path: Path) -> None:
    """Paris and Tokyo are asked for: each is called for once, and nothing made up behind them."""
    cities = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Tokyo", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    tool = FunctionTool(name="get_weather", description="The weather in a city", parameters=cities)
    seen = set()
    for seed in range(6):
        engine = llama(
            write_tiny_model(tmp_path / f"{seed}.gguf", context=CONTEXT, seed=seed), context=CONTEXT
        )
        async with running(engine):
            got = await _calls(engine, "The weather in the city of Paris and in Tokyo?", tool)
        called = [json.loads(text)["city"] for _, text in got.calls]
        assert len(set(called)) == len(called)
        assert "Rome" not in called[1:]
        assert got.end.reason == "stop"
        seen.add(len(called))
    assert max(seen) > 1


# --- reasoning -------------------------------------------------------------------------------------------------------


async def test_an_effort_reaches_the_template(tmp_path: Path) -> None:
    """Qwen3's switch and gpt-oss's level; a template that reads neither is rendered as ever."""
    leveled = "{{ reasoning_effort if reasoning_effort is defined else 'unset' }}|" + TEMPLATE
    ends: dict[str, list[str]] = {}
    for name, template in (
        ("qwen3", (FOLDER / "qwen3.jinja").read_text()),
        ("level", leveled),
        ("none", TEMPLATE),
    ):
        path = write_tiny_model(tmp_path / f"{name}.gguf", template=template, context=CONTEXT)
        engine = llama(path, context=CONTEXT)
        async with running(engine):
            for effort in (None, "none", "minimal", "low", "high", "max"):
                prepared = await engine.prepare(asking("Hi", reasoning_effort=effort))
                ends.setdefault(name, []).append(_told(prepared.payload.ids, ()))
    closed = [text.endswith("<think>\n\n</think>\n\n") for text in ends["qwen3"]]
    assert closed == [False, True, True, False, False, False]
    assert [text.partition("|")[0] for text in ends["level"]] == [
        "unset",
        "low",
        "low",
        "low",
        "high",
        "high",
    ]
    assert len(set(ends["none"])) == 1


def _thinking() -> str:
    """Qwen3's template, opening the reasoning as Qwen's later ones do."""
    template = (FOLDER / "qwen3.jinja").read_text().rstrip()
    end = "    {%- endif %}\n{%- endif %}"
    assert template.endswith(end)
    return template.removesuffix(end) + "    {%- else %}{{- '<think>\\n' }}{%- endif %}\n{%- endif %}"


@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_a_call_ends_the_reasoning_first(tmp_path: Path, choice: Any) -> None:
    """Whether it must be made or the model begins it in mid-thought; the ids of the mark are the call's."""
    control = (*CONTROL["qwen3"], "<tool_call>")
    engine = llama(_model(tmp_path, _thinking(), control), context=CONTEXT)
    async with running(engine):
        sampling = Sampling(temperature=0, logit_bias=((259 + len(control) - 1, 100.0),))
        options: dict[str, Any] = {"tool_choice": choice, "max_output_tokens": 300}
        prepared = await engine.prepare(asking("Go.", tools=(NOW,), sampling=sampling, **options))
        assert _told(prepared.payload.ids, control).endswith("<think>\n")
        got = await answer(engine, prepared)
        assert _told(got.ids, control).startswith('\n</think>\n\n<tool_call>\n{"name": "now"')
        assert not got.text
        assert [text for _, text in got.calls] == ["{}"]


async def test_a_thinking_model_gives_reasoning_items_and_none_without_effort(tmp_path: Path) -> None:
    """Over HTTP, with the SDK: items, events, counts, the sealed copy sent back; effort none turns all of it off."""
    path = _model(tmp_path, _thinking(), CONTROL["qwen3"])
    given = settings(
        tmp_path / "home", ModelSettings(engine="llama", target=str(path)), llama=LlamaSettings(context=1024)
    )
    async with served(given) as server, server.sdk() as sdk:
        asked: dict[str, Any] = {
            "model": MODEL,
            "input": "Hi",
            "max_output_tokens": 30,
            "temperature": 0,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
        events = [event async for event in await sdk.responses.create(**asked, stream=True)]
        response = events[-1].response
        deltas = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
        (item,) = response.output
        assert item.type == "reasoning"
        assert "".join(deltas) == item.summary[0].text
        assert item.encrypted_content
        assert response.usage.output_tokens_details.reasoning_tokens == response.usage.output_tokens == 30
        again = [item.model_dump(exclude_none=True), {"role": "user", "content": "And?"}]
        assert (await sdk.responses.create(**{**asked, "input": again})).status == "incomplete"
        silent = await sdk.responses.create(**asked, reasoning={"effort": "none"})
        assert [item.type for item in silent.output] == ["message"]
        assert silent.usage.output_tokens_details.reasoning_tokens == 0
        assert silent.output_text
