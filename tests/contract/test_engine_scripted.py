"""What a request's sampling means to an engine that draws nothing."""

from __future__ import annotations

import pytest
from tests.contract.engines import answer, asking

from kodo.server.engines.scripted import Script, ScriptedEngine, ScriptTurn, Step, Text, Think
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Sampling, TextDelta

STEPS: tuple[Step, ...] = (Think(text="A stop. "), Text(text="One, two, st"), Text(text="op, three."))


def engine() -> ScriptedEngine:
    """One that thinks and counts, in two pieces of text."""
    return ScriptedEngine(Script(turns=(ScriptTurn(steps=STEPS, match="."),)))


@pytest.mark.parametrize(
    ("stop", "text", "ended"),
    [
        (("two",), "One, ", "two"),
        (("stop", "op"), "One, two, ", "stop"),
        (("three", "two"), "One, ", "two"),
        (("never",), "One, two, stop, three.", None),
        (("one", "three.!"), "One, two, stop, three.", None),
        (("One",), "", "One"),
    ],
)
async def test_a_stop_string_ends_the_text_before_itself(
    stop: tuple[str, ...], text: str, ended: str | None
) -> None:
    """On any borders of tokens and steps, in the text and not in the thoughts; what only looked like one is text."""
    got = await answer(engine(), asking("Go.", sampling=Sampling(stop=stop)))
    assert (got.text, got.end.reason, got.end.stop_sequence) == (text, "stop", ended)
    assert got.reasoning == "A stop. "


async def test_a_limit_in_front_of_a_stop_string_is_the_reason() -> None:
    """The answer did not come as far as that."""
    got = await answer(engine(), asking("Go.", sampling=Sampling(stop=("stop",))), limit=4)
    assert got.end.reason == "length"


async def test_a_continued_answer_ends_at_the_same_place() -> None:
    """Its first half is not said again."""
    prompt = asking("Go.", sampling=Sampling(stop=("stop",)))
    whole = (await answer(engine(), prompt)).events
    prepared = await engine().prepare(prompt)
    for cut in range(1, len(whole)):
        rest = [event async for event in engine().generate(prepared, events_so_far=whole[:cut])]
        assert [*whole[:cut], *rest[1:]] == whole


@pytest.mark.parametrize("top", [None, 0, 3])
async def test_every_token_is_certain(top: int | None) -> None:
    """Where log probabilities are asked for, each is 0, and there are no alternatives."""
    got = await answer(engine(), asking("Go.", sampling=Sampling(top_logprobs=top)))
    said = [event for event in got.events if isinstance(event, TextDelta)]
    for delta in said:
        probable = [(one.token, one.logprob, len(one.top_logprobs)) for one in delta.logprobs]
        assert probable == ([] if top is None else [(delta.text, 0.0, min(top, 1))])


async def test_a_bias_is_refused() -> None:
    """By its name: nothing is drawn that it could change."""
    with pytest.raises(InvalidRequest) as caught:
        await engine().prepare(asking("Go.", sampling=Sampling(logit_bias=((1, 5.0),))))
    assert (caught.value.param, caught.value.code) == ("logit_bias", "unsupported_parameter")
