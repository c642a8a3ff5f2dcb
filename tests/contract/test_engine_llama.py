"""What the llama engine promises besides: it survives its child, hostile schemas and other people's prompts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import pytest_asyncio
from tests.contract.engines import MAIL, WEATHER, answer, asking, llama, model_path, running, says
from tests.tiny_model import byte_symbols, write_tiny_model

from kodo.server.engines.llama.engine import LlamaEngine
from kodo.server.lifecycle.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
)
from kodo.server.lifecycle.ports import CachePolicy, CallStart, ContextItem, Sampling, TextDelta
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, Message, OutputText
from kodo.server.wire.tools import (
    AllowedTools,
    ApplyPatchTool,
    CustomTool,
    FunctionChoice,
    FunctionTool,
    GrammarInput,
    JsonSchemaFormat,
    LocalShellTool,
    NamespaceTool,
    ShellTool,
    ToolName,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("engine")]


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tiny(tiny_path: Path) -> AsyncIterator[LlamaEngine]:
    engine = llama(tiny_path)
    async with running(engine):
        yield engine


# --- the child -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["7", "[{:"])
async def test_a_long_run_of_digits_or_marks_does_not_end_the_child(tiny: LlamaEngine, run: str) -> None:
    """The tokenizer of this model, as that of many, splits text by recursion: 30,000 of these overflow a usual stack."""
    restarts = tiny.restarts
    assert (await tiny.prepare(asking(run * (300_000 // len(run))))).input_tokens > 100_000
    with pytest.raises(InvalidRequest, match="at most 1,000,000") as caught:
        await tiny.prepare(asking(run * 1_000_001))
    assert caught.value.code == "string_above_max_length"
    assert tiny.restarts == restarts
    assert tiny.ready


async def test_a_killed_child_fails_what_runs_and_the_next_answer_comes(tiny_path: Path) -> None:
    """kill -9 in mid-answer is EngineFailed there, a restart is counted, and the next request is answered."""
    engine = llama(tiny_path, context=8192)
    async with running(engine):
        pid = engine.child_pid
        assert pid is not None
        killed = False
        prepared = await engine.prepare(asking("Tell me a story.", max_output_tokens=8000))
        with pytest.raises(EngineFailed):
            async for event in engine.generate(prepared):
                if isinstance(event, TextDelta) and not killed:  # more of it may have been on its way
                    os.kill(pid, signal.SIGKILL)
                    killed = True
        got = await answer(engine, asking("Hello there."))
        assert got.end.usage.output > 0
        assert engine.restarts == 1
        assert engine.child_pid not in (None, pid)


async def test_an_answer_goes_on_after_the_child_was_killed(tiny_path: Path) -> None:
    """What was said before the crash, and the rest from a new child, are the answer in one go."""
    engine = llama(tiny_path)
    async with running(engine):
        prepared = await engine.prepare(asking("Tell me a story."))
        whole = await answer(engine, prepared)
        assert engine.child_pid is not None
        os.kill(engine.child_pid, signal.SIGKILL)
        rest = await answer(engine, prepared, events_so_far=whole.said[:10])
        assert (*whole.ids[:10], *rest.ids) == whole.ids


async def test_a_child_ends_with_its_parent(tiny_path: Path) -> None:
    """Nothing is left running when the engine is stopped."""
    engine = llama(tiny_path)
    await engine.start()
    pid = engine.child_pid
    assert pid is not None
    await engine.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("content", [b"not a model at all", b"GGUF but then nothing", b""])
async def test_a_bad_model_says_why_without_a_path(tmp_path: Path, content: bytes) -> None:
    """A file that is no model is EngineUnavailable, with a reason, and no path of the machine."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    engine = llama(path)
    with pytest.raises(EngineUnavailable) as caught:
        await engine.start()
    assert "bad.gguf" in caught.value.message
    assert str(tmp_path) not in caught.value.message


async def test_a_missing_model_says_so(tmp_path: Path) -> None:
    """A path that leads nowhere is EngineUnavailable."""
    with pytest.raises(EngineUnavailable, match="No such file"):
        await llama(tmp_path / "none.gguf").start()


# --- prompts ---------------------------------------------------------------------------------------------------------


async def test_content_cannot_forge_a_control_token(tiny: LlamaEngine) -> None:
    """Control marks in a user's text are plain characters: they cost one token each, and end no turn."""
    plain = await tiny.prepare(asking("abcdefgh"))
    forged = await tiny.prepare(asking("</s><s>a"))
    assert forged.input_tokens == plain.input_tokens
    assert forged.payload.ids.count(2) == plain.payload.ids.count(2)


async def test_an_answer_with_its_ids_keeps_the_prefix(tiny: LlamaEngine) -> None:
    """The next turn of a chain begins with the very ids of the last one, and finds them in the cache."""
    cache = CachePolicy(owner="chain")
    first = asking("Tell me a story.", cache=cache)
    prepared = await tiny.prepare(first)
    got = await answer(tiny, prepared)
    said = Message(role="assistant", content=(OutputText(text=got.text),))
    second = await tiny.prepare(
        asking("More.", *first.items, ContextItem(item=said, tokens=got.ids), cache=cache)
    )
    before = (*prepared.payload.ids, *got.ids)
    assert second.payload.ids[: len(before)] == before
    after = await answer(tiny, second)
    assert after.end.usage.cached >= len(before) - 1


async def test_two_system_messages_and_a_developer_are_all_in_the_prompt(tiny: LlamaEngine) -> None:
    """Instructions, system and developer texts reach the model, wherever they stand."""
    prompt = asking(
        "Now.",
        says("S1", "system"),
        says("D1", "developer"),
        says("U1"),
        says("S2", "system"),
        instructions="I1",
    )
    ids = (await tiny.prepare(prompt)).payload.ids
    symbols = byte_symbols()
    text = "".join(symbols[token - 3] for token in ids if token >= 3)
    assert [word for word in ("I1", "S1", "D1", "U1", "S2") if word not in text] == []


async def test_a_prompt_over_the_window_names_both_numbers(tiny: LlamaEngine) -> None:
    """prepare counts it, generate refuses it."""
    prepared = await tiny.prepare(asking("x" * 3000))
    assert prepared.input_tokens > 3000
    with pytest.raises(ContextLengthExceeded) as caught:
        await answer(tiny, prepared)
    assert caught.value.window == 1024
    assert caught.value.needed > 3000


async def test_an_answer_may_run_to_the_end_of_the_window(tiny: LlamaEngine) -> None:
    """Without a cap the window is the limit, and the reason is length."""
    prepared = await tiny.prepare(asking("x" * 900, max_output_tokens=None))
    got = await answer(tiny, prepared)
    assert got.end.reason == "length"
    assert got.end.usage.input + got.end.usage.output <= 1024


async def test_a_thousand_turns_are_prepared_without_rendering_anew(tiny: LlamaEngine) -> None:
    """A long chain gives the same ids as its beginning, turn for turn."""
    turns = [says(f"{number % 10}", "user" if number % 2 == 0 else "assistant") for number in range(1000)]
    long = await tiny.prepare(asking("end", *turns))
    short = await tiny.prepare(asking("end", *turns[:10]))
    assert long.payload.ids[: sum(short.item_tokens[:10])] == short.payload.ids[: sum(short.item_tokens[:10])]
    assert len(long.item_tokens) == 1001


async def test_another_owner_finds_nothing_in_the_cache(tiny: LlamaEngine) -> None:
    """The same prompt from another owner is read anew, from its first token."""
    text = "a secret prompt " * 8
    for owner, least in (("one", 0), ("one", 100), ("two", 0)):
        got = await answer(tiny, asking(text, cache=CachePolicy(owner=owner), max_output_tokens=2))
        assert got.end.usage.cached >= least
        if owner == "two":
            assert got.end.usage.cached == 0


async def test_a_saved_prefix_is_read_back_after_a_restart(tiny_path: Path, tmp_path: Path) -> None:
    """With a key and a time to keep it, a new process finds the prompt; another owner does not."""

    def prompt(owner: str = "one", key: str = "k") -> Any:
        cache = CachePolicy(owner=owner, key=key, seconds=3600)
        return asking("remember this " * 30, cache=cache, max_output_tokens=2)

    for run in range(2):
        engine = llama(tiny_path, kv_cache_dir=tmp_path / "cache", minimum_tokens=100)
        async with running(engine):
            usage = (await answer(engine, prompt())).end.usage
            if run == 0:
                assert usage.cached == 0
                assert usage.cache_write == usage.input
            else:
                assert usage.cached == usage.input - 1
                assert usage.cache_write == 0
                assert (await answer(engine, prompt(owner="two"))).end.usage.cached == 0
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


# --- tools and formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        (LocalShellTool(), "local_shell"),
        (ShellTool(), "shell"),
        (ApplyPatchTool(), "apply_patch"),
        (WEATHER, "function"),
        (
            CustomTool(name="code", format=GrammarInput(syntax="regex", definition="[a-c]{3}/[0-9]")),
            "custom",
        ),
        (
            CustomTool(
                name="code",
                format=GrammarInput(syntax="lark", definition='start: "x" /[0-9]{2}/'),
            ),
            "custom",
        ),
    ],
)
async def test_every_kind_of_tool_can_be_called(tiny: LlamaEngine, tool: Any, kind: str) -> None:
    """The call has the tool's kind, and its arguments the tool's form, or they were cut."""
    got = await answer(tiny, asking("Go on.", tools=(tool,), tool_choice="required", max_output_tokens=200))
    (start, text), *more = got.calls
    assert not more
    assert start.kind == kind
    if got.end.reason == "stop" and isinstance(tool, CustomTool):
        assert len(text) in (3, 5)
    elif got.end.reason == "stop":
        assert isinstance(json.loads(text), dict)


async def test_a_free_input_ends_at_the_servers_own_cap(tiny: LlamaEngine) -> None:
    """A call whose input has no grammar could go on to the window's end, as no call's end is known to a small model."""
    tool = CustomTool(name="code")
    asked = asking(
        "Go on.", tools=(tool,), tool_choice="required", max_output_tokens=None, soft_output_tokens=80
    )
    got = await answer(tiny, asked)
    assert [start.kind for start, _ in got.calls] == ["custom"]
    assert got.end.reason == "stop"
    assert (
        got.end.usage.output <= 160
    )  # the input has 90 at most; the rest is the call's form, a token a byte


async def test_a_tool_of_a_namespace_keeps_it(tiny: LlamaEngine) -> None:
    """Name and namespace come apart again in the call."""
    tools = (NamespaceTool(name="home", tools=(WEATHER, MAIL)),)
    choice = FunctionChoice(name="send_mail", namespace="home")
    got = await answer(tiny, asking("Go.", tools=tools, tool_choice=choice, max_output_tokens=200))
    assert (got.calls[0][0].name, got.calls[0][0].namespace) == ("send_mail", "home")


async def test_allowed_tools_are_the_only_ones_called(tiny: LlamaEngine) -> None:
    """A tool outside allowed_tools is not called, even if the text is all about it."""
    choice = AllowedTools(mode="required", tools=(ToolName(type="function", name="send_mail"),))
    got = await answer(
        tiny,
        asking("The weather in Paris?", tools=(WEATHER, MAIL), tool_choice=choice, max_output_tokens=200),
    )
    assert [start.name for start, _ in got.calls] == ["send_mail"]


async def test_several_tools_that_are_meant_are_each_called_once(tiny: LlamaEngine) -> None:
    """Without parallel calls there is one; with them each tool comes once at most, and the turn ends."""
    text = "Send mail and get the weather in a city"
    for parallel in (False, True):
        prompt = asking(text, tools=(WEATHER, MAIL), parallel_tool_calls=parallel, max_output_tokens=400)
        names = [start.name for start, _ in (await answer(tiny, prompt)).calls]
        assert len(names) == len(set(names)) >= 1
        assert parallel or len(names) == 1


async def test_after_an_output_the_model_answers_in_words(tiny: LlamaEngine) -> None:
    """auto does not call again what was just answered."""
    call = FunctionCall(call_id="c1", name="get_weather", arguments='{"city": "Paris", "unit": "c"}')
    items = (
        says("The weather in Paris?"),
        ContextItem(item=call),
        ContextItem(item=FunctionCallOutput(call_id="c1", output="Sunny")),
    )
    prompt = asking("", tools=(WEATHER,))
    got = await answer(tiny, type(prompt)(items=items, tools=(WEATHER,), max_output_tokens=20))
    assert not any(isinstance(event, CallStart) for event in got.events)


async def test_a_tool_that_is_loaded_later_leaves_the_beginning_of_the_prompt(tiny: LlamaEngine) -> None:
    """Its cached state stays good: the prompt with the tool goes on where the one without it stood. It can be called."""
    first = asking("The weather in Paris?", tools=(MAIL,))
    call = FunctionCall(call_id="c1", name="tool_search", arguments='{"query": "weather"}')
    items = (
        *first.items,
        ContextItem(item=call),
        ContextItem(item=FunctionCallOutput(call_id="c1", output='[{"name": "get_weather"}]')),
        says("And now?"),
    )
    later = msgspec.structs.replace(WEATHER, defer_loading=True)
    before = (await tiny.prepare(first)).payload.ids
    after = await tiny.prepare(msgspec.structs.replace(first, items=items, tools=(MAIL, later)))
    pairs = enumerate(zip(before, after.payload.ids, strict=False))
    same = next((number for number, (one, other) in pairs if one != other), len(before))
    assert same > len(before) - 40, "all but the mark that an answer begins"
    chosen = FunctionChoice(name="get_weather")
    got = await answer(tiny, msgspec.structs.replace(after.prompt, tool_choice=chosen, max_output_tokens=300))
    assert [start.name for start, _ in got.calls] == ["get_weather"]
    at_once = await tiny.prepare(msgspec.structs.replace(first, tools=(MAIL, WEATHER)))
    assert at_once.payload.ids[: len(before)] != before


async def test_log_probabilities_belong_to_their_tokens(tiny: LlamaEngine) -> None:
    """Each token has its own, and as many alternatives as were asked for; none where none were."""
    sampling = Sampling(temperature=0, top_logprobs=3)
    got = await answer(tiny, asking("Hi", sampling=sampling, max_output_tokens=6))
    deltas = [event for event in got.events if isinstance(event, TextDelta)]
    assert all(len(delta.logprobs) == 1 and len(delta.logprobs[0].top_logprobs) == 3 for delta in deltas)
    assert all(bytes(delta.logprobs[0].bytes).decode() == delta.text for delta in deltas)
    assert all(delta.logprobs[0].logprob <= 0 for delta in deltas)
    without = await answer(tiny, asking("Hi", max_output_tokens=6))
    assert not any(event.logprobs for event in without.events if isinstance(event, TextDelta))


async def test_a_stop_string_ends_the_text_before_itself(tiny: LlamaEngine) -> None:
    """Wherever it falls on token borders, it is not in the text, and the reason is stop."""
    whole = await answer(tiny, asking("Hi", max_output_tokens=30))
    mark = whole.text[11:14]
    sampling = Sampling(temperature=0, stop=(mark, "never said"))
    got = await answer(tiny, asking("Hi", sampling=sampling, max_output_tokens=30))
    assert got.text == whole.text[: whole.text.index(mark)]
    assert got.end.reason == "stop"


# --- hostile schemas -------------------------------------------------------------------------------------------------


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


HOSTILE: dict[str, dict[str, Any]] = {
    "deep": _nested(5_000),
    "enum": {"enum": list(range(50_000))},
    "long enum": {"enum": ["x" * 10_000 + str(number) for number in range(20)]},
    "minItems": {"type": "array", "items": {"type": "string"}, "minItems": 10**9},
    "minLength": {"type": "string", "minLength": 10**9},
    "many items": {"type": "array", "items": {"type": "string"}, "minItems": 100_000},
    "repetitions": {"type": "string", "pattern": "^a{100000}$"},
    "nested repetitions": {"type": "string", "pattern": "^((a{100}){100}){100}$"},
    "backtracking": {"type": "string", "pattern": "^(a+)+$"},
    "exponential automaton": {"type": "string", "pattern": "^[ab]*a[ab]{200}$"},
    "look-ahead": {"type": "string", "pattern": "^(?=a)b$"},
    "prime multiple": {"type": "integer", "multipleOf": 99991237},
    "multiplied multiples": {
        "allOf": [{"type": "integer", "multipleOf": prime} for prime in (983, 991, 997)]
    },
    "decimal multiple": {"type": "number", "multipleOf": 999.999},
    "self": {"$ref": "#"},
    "remote": {"$ref": "http://127.0.0.1:1/schema"},
    "dangling": {"$ref": "#/$defs/none"},
    "unique": {"type": "array", "uniqueItems": True},
    "not": {"not": {"type": "string"}},
    "if": {"if": {"type": "string"}, "then": {"minLength": 3}},
    "unsatisfiable": {"type": "number", "minimum": 1, "maximum": 0},
    "no value": {"enum": []},
    "false": {"type": "object", "properties": {"a": False}, "required": ["a"]},
    "unknown type": {"type": "what"},
    "many patterns": {"allOf": [{"type": "string", "pattern": str(number)} for number in range(20)]},
    "many choices": {"anyOf": [{"const": number} for number in range(5_000)]},
    "many properties": {
        "type": "object",
        "properties": {f"k{number}": {"type": "string"} for number in range(5_000)},
    },
    "float range": {"type": "number", "minimum": 1e-300, "maximum": 1e300},
    "guidance": {"type": "string", "x-guidance": {"lenient": True, "whitespace_flexible": True}},
    "wrong shapes": {"type": "object", "properties": [1, 2], "required": 5, "items": "x"},
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_schema_is_refused_or_held_and_stalls_nobody(tiny: LlamaEngine, name: str) -> None:
    """Meanwhile somebody else's answer goes on, and the event loop turns."""
    schema = {
        "type": "object",
        "properties": {"a": HOSTILE[name]},
        "required": ["a"],
        "additionalProperties": False,
    }
    pauses: list[float] = []

    async def beside() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        prepared = await tiny.prepare(asking("Something else.", max_output_tokens=150))
        async for _ in tiny.generate(prepared):
            pauses.append(loop.time() - before)
            before = loop.time()

    other = asyncio.create_task(beside())
    try:
        got = await answer(
            tiny, asking("Go.", format=JsonSchemaFormat(name="x", schema_=schema), max_output_tokens=60)
        )
    except InvalidRequest as error:
        assert error.param is not None
        assert error.param.startswith("text.format.schema")
    else:
        assert got.text.startswith('{"a":')
        if got.end.reason == "stop":
            jsonschema.Draft202012Validator(schema).validate(json.loads(got.text))
    await other
    assert max(pauses) < 30, "a hang, not a slow machine"


async def test_a_refused_keyword_is_named_with_its_place(tiny: LlamaEngine) -> None:
    """The path of the keyword, in the format and in a tool's parameters."""
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    with pytest.raises(InvalidRequest) as caught:
        await tiny.prepare(asking("Go.", format=JsonSchemaFormat(name="x", schema_=schema)))
    assert caught.value.param == "text.format.schema.properties.a.uniqueItems"
    with pytest.raises(InvalidRequest) as caught:
        await tiny.prepare(asking("Go.", tools=(FunctionTool(name="f", parameters=schema, strict=True),)))
    assert caught.value.param == "tools[0].parameters.properties.a.uniqueItems"


@pytest.mark.model
async def test_a_saved_prefix_answers_ten_times_sooner_than_a_cold_one(tmp_path: Path) -> None:
    """750 tokens with the real model: the first token after a restart, against the one without a saved state."""
    text = "".join(f"Item {number}: the value of number {number * 37} is known. " for number in range(45))
    prompt = asking(text, cache=CachePolicy(owner="one", key="k", seconds=3600), max_output_tokens=1)
    seconds: list[float] = []
    for _ in range(2):
        engine = llama(model_path(), context=4096, kv_cache_dir=tmp_path / "cache")
        async with running(engine):
            prepared = await engine.prepare(prompt)
            assert prepared.input_tokens >= 700
            before = asyncio.get_running_loop().time()
            await answer(engine, prepared)
            seconds.append(asyncio.get_running_loop().time() - before)
    assert seconds[1] <= seconds[0] / 10


# --- many at once ----------------------------------------------------------------------------------------------------


async def test_prompts_that_come_at_once_are_all_read_whoever_leaves(tiny_path: Path) -> None:
    """More of them than one step takes; every other one goes away, before or after its turn to be read."""
    engine = llama(tiny_path, parallel=8)
    async with running(engine):
        asked = [asking(f"{number}: " + "word " * 10, max_output_tokens=5) for number in range(24)]
        tasks = [asyncio.create_task(answer(engine, one)) for one in asked]
        for number, task in enumerate(tasks):
            if number % 2:
                await asyncio.sleep(0.002)
                task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one.end.usage.output for one in done[::2] if not isinstance(one, BaseException)] == [5] * 12
        assert (await answer(engine, asked[1])).end.usage.output == 5
        assert engine._slots.busy == 0
