"""Models that think, on the templates they are shipped with: the switch, the level, and the budget where there is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contract.engines import answer, asking, llama, running, says
from tests.paths import DATA
from tests.tiny_model import byte_symbols, write_tiny_model

from kodo.server.engines.llama.prompting.reasoning import reasoning_budget, uses_channels
from kodo.server.lifecycle.ports import ContextItem, Prompt, ReasoningDelta, Sampling
from kodo.server.wire.items import Message, OutputText, Reasoning, SummaryText

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("engine")]

FOLDER = DATA / "templates"
CONTEXT = 4096
CONTROL = {
    "qwen3.5": ("<think>", "</think>", "<|im_start|>", "<|im_end|>"),
    "deepseek-v3.1": ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "deepseek-r1-distill": ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "gpt-oss": ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>"),
}
ENDS = {
    "qwen3.5": {None: "<think>\n", "none": "<think>\n\n</think>\n\n", "high": "<think>\n"},
    "deepseek-v3.1": {None: "<think>", "none": "<think></think>", "high": "<think>"},
    "deepseek-r1-distill": {None: "<think>\n", "none": "</think>", "high": "<think>\n"},
    "gpt-oss": {None: "<|start|>assistant", "none": "<|start|>assistant", "high": "<|start|>assistant"},
}
"""How a prompt ends, by effort; without one the engine asks templates to think."""


def _model(folder: Path, name: str) -> Path:
    template = (FOLDER / f"{name}.jinja").read_text()
    return write_tiny_model(folder / "tiny.gguf", template=template, context=CONTEXT, control=CONTROL[name])


def _text(ids: Any, name: str) -> str:
    """The text of ids, control tokens included."""
    assert len(byte_symbols()) == 256
    marks = {1: b"<s>", 2: b"</s>", **{259 + at: mark.encode() for at, mark in enumerate(CONTROL[name])}}
    return b"".join(marks[one] if one in marks else bytes([one - 3]) for one in ids).decode()


@pytest.mark.parametrize("name", list(CONTROL))
async def test_the_published_template_is_switched_by_the_effort(name: str, tmp_path: Path) -> None:
    """The prompt ends as the template says for each effort, and the model's card says that it reasons."""
    engine = llama(_model(tmp_path, name), context=CONTEXT)
    async with running(engine):
        assert (await engine.card()).reasoning
        for effort, end in ENDS[name].items():
            prepared = await engine.prepare(asking("Hi", reasoning_effort=effort))
            assert _text(prepared.payload.ids, name).endswith(end), effort
            opened = end.rstrip().endswith("<think>")
            assert prepared.payload.starts_in_reasoning is opened
            assert prepared.payload.channels is (name == "gpt-oss")


@pytest.mark.parametrize("name", ["qwen3.5", "deepseek-v3.1", "deepseek-r1-distill"])
@pytest.mark.parametrize("budget", [0, 12])
async def test_a_budget_ends_the_reasoning_and_the_answer_follows(
    name: str, budget: int, tmp_path: Path
) -> None:
    """After the budget's tokens kodo writes the end mark, the model answers, and every id and count agrees."""
    engine = llama(_model(tmp_path, name), context=CONTEXT)
    async with running(engine):
        sampling = Sampling(temperature=0, reasoning_tokens=budget)
        prompt = asking("Hi", reasoning_effort="high", sampling=sampling, max_output_tokens=60)
        prepared = await engine.prepare(prompt)
        got = await answer(engine, prepared)
    thought = [event for event in got.events if isinstance(event, ReasoningDelta)]
    written = _text(got.ids, name)
    before, mark, after = written.partition("\n</think>\n\n")
    assert mark
    assert after == got.text != ""
    assert "".join(event.text for event in thought) == before.strip("\n")
    assert got.end.usage.reasoning == sum(len(event.tokens) for event in thought)
    assert budget <= got.end.usage.reasoning <= budget + 4
    assert got.end.usage.output == len(got.ids) == 60
    assert got.end.reason == "length"


async def test_without_a_budget_the_reasoning_goes_on(tmp_path: Path) -> None:
    """The same prompt without a budget is reasoning to its end: the budget made the difference."""
    engine = llama(_model(tmp_path, "qwen3.5"), context=CONTEXT)
    async with running(engine):
        prompt = asking("Hi", sampling=Sampling(temperature=0), max_output_tokens=60)
        got = await answer(engine, prompt)
    assert not got.text
    assert got.end.usage.reasoning == 60


async def test_the_servers_own_cap_bounds_the_reasoning_too(tmp_path: Path) -> None:
    """Where it always holds, as for a small model, the reasoning has four times as much, and the answer follows."""
    engine = llama(_model(tmp_path, "qwen3.5"), context=CONTEXT)
    async with running(engine):
        prompt = asking("Hi", sampling=Sampling(temperature=0), max_output_tokens=None, soft_output_tokens=10)
        got = await answer(engine, prompt, limit=60)
    assert 40 <= got.end.usage.reasoning <= 44
    assert got.text


async def test_an_earlier_answer_of_a_channel_model_is_shown_as_its_template_does(tmp_path: Path) -> None:
    """The reasoning is dropped and the text stands in the final channel, also where the engine has the turn's ids."""
    engine = llama(_model(tmp_path, "gpt-oss"), context=CONTEXT)
    said = Message(role="assistant", content=(OutputText(text="Yes."),))
    thought = Reasoning(id="rs_1", summary=(SummaryText(text="Hm."),))
    items = (
        says("Is it?"),
        ContextItem(item=thought, tokens=(259, 100, 260, 101)),
        ContextItem(item=said, tokens=(102, 103)),
        says("Sure?"),
    )
    async with running(engine):
        prepared = await engine.prepare(Prompt(items=items))
        messages = [
            {"role": "user", "content": "Is it?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Sure?"},
        ]
        rendered = await engine._client.render({"messages": messages})
    assert _text(prepared.payload.ids, "gpt-oss") == rendered
    assert "<|channel|>final<|message|>Yes.<|end|>" in rendered


async def test_an_effort_has_a_budget_only_where_the_template_has_no_level() -> None:
    """gpt-oss reads a level and is left to it; the others have a switch at most, and an effort is a number of tokens."""
    templates = {name: (FOLDER / f"{name}.jinja").read_text() for name in CONTROL}
    budgets = {name: reasoning_budget(text, "low") for name, text in templates.items()}
    assert budgets == {"qwen3.5": 1024, "deepseek-v3.1": 1024, "deepseek-r1-distill": 1024, "gpt-oss": None}
    assert [reasoning_budget(templates["qwen3.5"], effort) for effort in (None, "none", "max")] == [
        None,
        0,
        None,
    ]
    assert {name for name, text in templates.items() if uses_channels(text)} == {"gpt-oss"}
