"""Servers without a parser for their model: its thoughts and calls come as text, in the model's own form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.contract.engines import Answered, answer, asking
from tests.contract.upstream_reports import USAGE, call, chunk, engine_at
from tests.contract.written_forms import CALLS, FENCE, M3, PARIS
from tests.standin.recorded import frames, recorded

from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.lifecycle.ports import CallStart, ReasoningDelta, TextDelta
from kodo.server.wire.tools import CustomTool, FunctionTool, JsonObjectFormat

TOOLS = (
    FunctionTool(
        name="get_weather",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "details": {
                    "type": "object",
                    "properties": {
                        "list": {"type": "array", "items": {"type": "string"}},
                        "none": {"type": "array"},
                    },
                },
                "unit": {"enum": ["c", "f"]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
        },
    ),
    FunctionTool(name="get_time"),
    CustomTool(name="patch"),
)


async def hears(
    text: str | Sequence[str | dict[str, Any]],
    *,
    reason: str = "stop",
    size: int | None = 3,
    model: str = "m",
    **options: Any,
) -> Answered:
    """What the engine makes of a text, streamed in deltas of ``size`` characters, or (None) as one object."""
    async with speaking(text, reason=reason, size=size, model=model) as engine:
        return await answer(engine, asking("Go.", **{"tools": TOOLS, **options}))


@asynccontextmanager
async def speaking(
    *texts: str | Sequence[str | dict[str, Any]], reason: str = "stop", size: int | None = 3, model: str = "m"
) -> AsyncIterator[UpstreamEngine]:
    """An engine in front of a server that answers with these texts, one after the other."""
    bodies, form = [], "text/event-stream"
    for text in texts:
        if size is None:
            message = {"role": "assistant", "content": text}
            bodies.append(json.dumps({"choices": [{"message": message, "finish_reason": reason}], "usage": USAGE}).encode())  # fmt: skip
            form = "application/json"
        else:
            deltas = [{"content": one} for one in _pieces(text, size)] if isinstance(text, str) else text
            deltas = [{"content": one} if isinstance(one, str) else one for one in deltas]
            bodies.append(frames(*(chunk(delta) for delta in deltas), chunk({}, reason)))
    async with recorded(*bodies, content_type=form) as server:
        engine = engine_at(server.url, model=model)
        try:
            yield engine
        finally:
            await engine.stop()


def _pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def calls(got: Answered) -> list[tuple[str, str]]:
    """Names and arguments."""
    return [(start.name, text) for start, text in got.calls]


BARE = ("{", "[get", "[{", "functools")
"""How the texts begin that must be the whole answer."""


@pytest.mark.parametrize("size", [None, 1, 7, 1000])
@pytest.mark.parametrize("form", CALLS)
async def test_a_call_written_as_text_is_a_call(form: str, size: int | None) -> None:
    """In each model's form, whole or streamed; no part of it is said as text."""
    text, expected = CALLS[form]
    got = await hears(text, size=size)
    assert (calls(got), got.text, got.end.reason) == (expected, "", "stop")


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("form", [form for form, (text, _) in CALLS.items() if not text.startswith(BARE)])
async def test_words_and_thoughts_in_front_of_a_call_stay(form: str, size: int | None) -> None:
    """The white space between the words and the call goes with the call."""
    text, expected = CALLS[form]
    got = await hears(f"<think>\nHm.\n</think>\n\nI look it up.\n\n{text}\n", size=size)
    assert (got.reasoning, got.text, calls(got)) == ("Hm.", "I look it up.", expected)


HERMES = CALLS["Hermes and Qwen3"][0]
TEXTS = {
    "in a fence of code": f"Models write:\n\n{FENCE}\n{HERMES}\n{FENCE}",
    "in an open fence of code": f"Models write:\n\n{FENCE}\n{HERMES}",
    "with words behind it": f"Models write:\n\n{HERMES}\n\nThis calls the tool.",
    "in a sentence": f"Models write {HERMES}",
    "in backticks": 'Mistral writes `[TOOL_CALLS]get_weather{"city": "Paris"}`',
    "behind a backtick": 'Mistral writes `[TOOL_CALLS]get_weather{"city": "Paris"}',
    "behind a quote": 'Mistral begins with "[TOOL_CALLS]get_weather{"city": "Paris"}',
    "another tool": HERMES.replace("get_weather", "get_news"),
    "an offered tool and another": HERMES + "\n" + HERMES.replace("get_weather", "get_news"),
    "no object": '<tool_call>\n{"name": "get_weather", "arguments": [1]}\n</tool_call>',
    "other fields": '<tool_call>\n{"name": "get_weather", "arguments": {}, "result": 1}\n</tool_call>',
    "broken JSON": '<tool_call>\n{"name": "get_weather", "arguments": {"city": }}\n</tool_call>',
    "not closed": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Par',
    "a mark alone": "<tool_call>",
    "half a mark": "The end is <tool_",
    "words behind a mark": "<tool_call> is a mark, and [TOOL_CALLS] is one,\n<function=x> too.\n",
    "an object with a name": '{"name": "get_weather"}',
    "an object of another form": '{"name": "Ada", "age": 36}',
    "an object with words behind it": '{"name": "get_weather", "parameters": {}} is a call',
    "markup": "a < b, c[0] < [1]\n<table><tr>\n<tool_callback/>",
    "Python with a word behind it": "[get_weather(city='Paris')] is how it is called",
    "Python with a word before it": "Call [get_weather(city='Paris')]",
    "Python, no keyword": "[get_weather('Paris')]",
    "Python, a mapping": "[get_weather(**{'city': 'Paris'})]",
    "Python, a keyword twice": "[get_weather(city='Paris', city='Rome')]",
    "Python, a variable": "[get_weather(city=name)]",
    "Python, a call in a call": "[get_weather(city=get_time())]",
    "Python, an operation": "[get_weather(city='a' + 'b')]",
    "Python, an index": "[get_weather(city='ab'[0])]",
    "Python, a formatted string": "[get_weather(city=f'{1}')]",
    "Python, bytes": "[get_weather(city=b'Paris')]",
    "Python, a set": "[get_weather(city={'Paris'})]",
    "Python, a key that is no string": "[get_weather(details={1: 2})]",
    "Python, a mapping in a mapping": "[get_weather(details={**{}})]",
    "Python, a number without end": "[get_weather(days=1e999)]",
    "Python, a number too long to read": f"[get_weather(days={'9' * 5000})]",
    "Python, an imaginary number": "[get_weather(days=2j)]",
    "Python, an ellipsis": "[get_weather(city=...)]",
    "Python, half a character": r"[get_weather(city='\ud800')]",
    "Python, a method": "[get_weather.get_time()]",
    "Python, a call of what a call gives": "[get_weather()()]",
    "Python, a comment": "[get_weather(city='Paris'  # the capital\n)]",
    "Python, a comprehension": "[get_weather(city='Paris') for _ in [1]]",
    "Python, brackets that do not match": "[get_weather(city=['Paris')]]",
    "Python, not closed": "[get_weather(city='Paris'",
    "Python, a string not closed": "[get_weather(city='Paris)]",
    "Python, a string of two lines": "[get_weather(city='Pa\nris')]",
    "Python, another tool": "[get_news(city='Paris')]",
    "Python, an offered tool and another": "[get_weather(city='Paris'), get_news()]",
    "Python, no list": "get_weather(city='Paris')",
    "Python, an empty list": "[]",
    "Python, a list of something else": "[get_weather, get_time]",
    "Python, deeply nested": "[get_weather(details=" + "[" * 5000 + "]" * 5000 + ")]",
    "Python, many signs": "[get_weather(days=" + "-" * 5000 + "1)]",
    "Olmo's mark in a sentence": "Olmo writes <function_calls>\nget_time()\n</function_calls>",
    "Olmo's mark around something else": "<function_calls>\nx = get_time()\n</function_calls>",
    "MiniMax-M3, a tag twice": f'{M3}<tool_call>{M3}<invoke name="get_weather">{M3}<city>a{M3}</city>{M3}<city>b{M3}</city>{M3}</invoke>{M3}</tool_call>',
    "MiniMax-M3, another tool": f'{M3}<tool_call>{M3}<invoke name="get_news">{M3}</invoke>{M3}</tool_call>',
    "MiniMax-M3, a tag that another one ends": f'{M3}<tool_call>{M3}<invoke name="get_weather">{M3}<city>a{M3}</town>{M3}</invoke>{M3}</tool_call>',
    "MiniMax-M3, deeply nested": f'{M3}<tool_call>{M3}<invoke name="get_weather">' + f"{M3}<details>" * 3000,
    "an empty list of objects": "<TOOLCALL>[]</TOOLCALL>",
    "a list of something else": '[{"name": "Ada"}, {"name": "Alan"}]',
    "Gemma, another tool": '<|tool_call>call:get_news{city:<|"|>Paris<|"|>}<tool_call|>',
    "Gemma, a string not closed": '<|tool_call>call:get_weather{city:<|"|>Paris}<tool_call|>',
    "Gemma, no object": "<|tool_call>call:get_weather{1, 2}<tool_call|>",
    "Kimi-K3, another tool": CALLS["Kimi-K3"][0].replace("get_time", "get_news"),
    "Kimi-K3, an argument twice as deep": CALLS["Kimi-K3"][0].replace("<|close|>call", "<|close|>toll"),
    "Kimi-K3, in a fence of code": f"K3 writes:\n\n{FENCE}\n{CALLS['Kimi-K3'][0]}\n{FENCE}",
    "Apertus, two names in one": '<|tools_prefix|>[{"get_weather": {}, "get_time": {}}]<|tools_suffix|>',
    "Apertus, no object": '<|tools_prefix|>[{"get_weather": "Paris"}]<|tools_suffix|>',
    "InternLM, another action": "<|action_start|><|interpreter|>\nprint(1)<|action_end|>",
    "LongCat's mark in a sentence": f"LongCat writes {CALLS['LongCat-Flash'][0]}",
    "LongCat, words behind it": f"{CALLS['LongCat-Flash-Thinking and Lite'][0]}\n\nSo it calls.",
    "Step-3, no function": CALLS["Step-3"][0].replace(">function<", ">plugin<"),
    "Hy3, an example": f"{FENCE}\n{CALLS['Hy3'][0]}\n{FENCE}",
    "MiniCPM5, HTML": '<function name="get_weather">\n<p>Paris</p>\n</function>',
    "Solar, not closed": "<|tool_call:start|>get_weather\n<|tool_arg:start|>city<|tool_arg:value|>Par",
    "Inkling, a message": "<|message_model|> begins a message.",
    "deeply nested": '<tool_call>{"name": "get_weather", "arguments": {"a": ' + "[" * 5000,
}


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("case", TEXTS)
async def test_a_text_that_only_looks_like_a_call_is_text(case: str, size: int | None) -> None:
    """An example, a quotation, another tool, anything that is not whole: every character is said."""
    got = await hears(TEXTS[case], size=size)
    assert (got.text, got.calls, got.end.reason) == (TEXTS[case], [], "stop")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (HERMES, {"tools": ()}),
        (HERMES, {"tool_choice": "none"}),
        (CALLS["Llama 3 without its mark"][0], {"format": JsonObjectFormat()}),
        (CALLS["xLAM"][0], {"format": JsonObjectFormat()}),
    ],
    ids=["no tools", "tools not allowed", "JSON was asked for", "JSON was asked for, a list"],
)
async def test_no_call_is_looked_for_where_none_was_asked_for(text: str, options: dict[str, Any]) -> None:
    """The text is the answer."""
    assert (await hears(text, **options)).text == text


async def test_a_call_that_a_limit_cut_is_text() -> None:
    """Nobody should make half a call, nor one that the model might have taken further."""
    got = await hears(HERMES, reason="length")
    assert (got.text, got.calls, got.end.reason) == (HERMES, [], "length")


async def test_a_server_with_a_parser_is_believed() -> None:
    """Where calls come as calls, a text in front of them or behind them is text."""
    real = call("get_time", "{}", index=0, id="a")
    for deltas in ([HERMES, real], [real, HERMES]):
        got = await hears(deltas, reason="tool_calls")
        assert (got.text, calls(got)) == (HERMES, [("get_time", "{}")])


async def test_what_is_no_call_is_not_held_back() -> None:
    """A delta comes out with the next one at the latest, and a block soon after it is none."""
    told = "<tool_call> is how Hermes begins. " + "And so on, for a long time. " * 40
    deltas = ["A list: ", "[", "1, 2]", " and ", "<b>", "bold</b>", " text.\n", "\n", *_pieces(told, 40)]
    got = await hears(deltas)
    said = [event.text for event in got.events if isinstance(event, TextDelta)]
    assert "".join(said) == "".join(deltas)
    assert len(said) >= len(deltas) - 6
    assert said[0] == "A list:"


async def test_a_long_call_costs_linear_time() -> None:
    """A file of 200 kB as an argument, in small deltas, is looked at a few times, not at each delta."""
    code = "x = {'a': [1, 2]}  # </parameter>\n" * 6000
    text = (
        f"<tool_call>\n<function=patch>\n<parameter=input>\n{code}\n</parameter>\n</function>\n</tool_call>"
    )
    async with asyncio.timeout(20):
        got = await hears(text, size=16)
    assert calls(got) == [("patch", code)]


# --- thoughts without an opening mark --------------------------------------------------------------------------------

R1 = "Hm, the user\nwants a word.\n</think>\n\nYes."
THOUGHT = "Hm, the user\nwants a word."


@pytest.mark.parametrize("size", [None, 1, 7, 1000])
@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-R1", "Qwen3-4B-Thinking-2507", "qwq:32b"])
@pytest.mark.parametrize(
    "text", [R1, R1.replace("\n\nYes", "Yes"), R1.replace("</think>", "[/THINK]")], ids=["R1", "V3.1", "Magistral"]
)  # fmt: skip
async def test_thoughts_that_the_prompt_opened(text: str, model: str, size: int | None) -> None:
    """A model whose name says that it thinks: what stands before the closing mark is its thoughts."""
    got = await hears(text, model=model, size=size)
    assert (got.reasoning, got.text) == (THOUGHT, "Yes.")


async def test_any_model_is_understood_where_nobody_reads_along() -> None:
    """The whole answer is there before anything is said, so the mark decides."""
    got = await hears(R1, whole=True)
    assert (got.reasoning, got.text) == (THOUGHT, "Yes.")


async def test_an_answer_is_read_like_the_last_one() -> None:
    """A model of any name: the first streamed answer shows the mark, later ones are split, until one has no thoughts."""
    first = ["Hm, the user\nwants a word.", "\n", "</think>", "\n\nYes."]
    async with speaking(first, first, "Yes.", "Yes, yes.") as engine:
        got = [await answer(engine, asking("Go.")) for _ in range(4)]
    assert [one.text for one in got] == [R1, "Yes.", "Yes.", "Yes, yes."]
    assert [one.reasoning for one in got] == ["", THOUGHT, "", ""]
    assert [sum(isinstance(event, TextDelta) for event in one.events) for one in got[2:]] == [1, 3]


@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize(
    "text",
    [
        "The closing mark is </think>, as in `</think>`.",
        f"Write:\n{FENCE}\nHm.\n</think>\nYes.\n{FENCE}",
        "It is written '</think>'",
        "Thoughts end with </think>\nand a line break.",
        "Both: <think>a</think>b",
        "No mark at all.",
    ],
)
async def test_a_text_about_the_mark_is_text(text: str, size: int | None) -> None:
    """In a sentence, in quotes, in a fence of code, or with its opening mark."""
    got = await hears(text, model="R1", size=size, whole=True)
    assert (got.text, got.reasoning) == (text, "")


async def test_a_server_that_sends_thoughts_apart_is_not_waited_for() -> None:
    """Its text is handed on as it comes."""
    deltas = [{"reasoning_content": "Hm."}, "Yes, ", "this is ", "it."]
    got = await hears(deltas, model="deepseek-r1", tools=())
    assert (got.reasoning, got.text) == ("Hm.", "Yes, this is it.")
    assert sum(isinstance(event, TextDelta) for event in got.events) == 3


async def test_a_thought_that_a_limit_cut_is_a_thought() -> None:
    """The mark would have come later."""
    got = await hears("Hm, the user", model="deepseek-r1", reason="length")
    assert (got.reasoning, got.text, got.end.reason) == ("Hm, the user", "", "length")


@pytest.mark.parametrize("size", [None, 1, 7])
async def test_thoughts_then_a_call(size: int | None) -> None:
    """Qwen3's thinking model behind a server with no parser at all."""
    got = await hears(f"Hm.\n</think>\n\n{HERMES}", model="Qwen3-4B-Thinking-2507", size=size)
    kinds = [type(event) for event in got.events if isinstance(event, ReasoningDelta | CallStart | TextDelta)]
    assert (got.reasoning, calls(got)) == ("Hm.", [("get_weather", PARIS)])
    assert kinds == [ReasoningDelta, CallStart]
