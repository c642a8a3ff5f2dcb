"""What every engine promises: one suite over the scripted one, llama.cpp with a tiny model, and with the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import jsonschema
import pytest
import pytest_asyncio
from tests.contract.chat_server import chat_server
from tests.contract.engines import (
    ENGINES,
    JAPANESE,
    MAIL,
    PERSON,
    WEATHER,
    answer,
    asking,
    make,
    running,
    says,
    upstream,
)

from kodo.server.lifecycle.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kodo.server.lifecycle.ports import CallDelta, Engine, Finished, Progress, Prompt, Sampling, TextDelta
from kodo.server.wire.tools import FunctionChoice, JsonObjectFormat, JsonSchemaFormat

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("engine")]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[*ENGINES, "upstream"])
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    if request.param == "upstream":
        async with chat_server() as url, running(upstream(url, "some-model")) as one:
            yield one
        return
    folder: Path = tmp_path_factory.mktemp("engine")
    async with running(make(request.param, folder)) as one:
        yield one


async def continues(engine: Engine) -> bool:
    """Whether this engine goes on from a partial answer; one that does not must say so when it is asked to."""
    return (await engine.card()).continues


async def test_a_turn_ends_with_exactly_one_finished(engine: Engine) -> None:
    """Whatever is asked, the last event is the only Finished."""
    got = await answer(engine, asking("Hello there."))
    assert [isinstance(event, Finished) for event in got.events].count(True) == 1
    assert isinstance(got.events[-1], Finished)
    assert got.end.reason in ("stop", "length")


async def test_usage_is_that_of_the_prompt_and_of_the_answer(engine: Engine) -> None:
    """Input is what prepare counted; output is every id, and at most the end token besides."""
    prepared = await engine.prepare(asking("Hello there."))
    got = await answer(engine, prepared)
    assert got.end.usage.input > 0
    assert 0 <= got.end.usage.cached <= got.end.usage.input
    if await continues(
        engine
    ):  # an engine that knows ids; another one's count before the answer is an estimate
        assert got.end.usage.input == prepared.input_tokens
        assert 0 <= got.end.usage.output - len(got.ids) <= 3
    assert got.end.usage.output <= 40


async def test_each_item_is_counted(engine: Engine) -> None:
    """item_tokens has one number for each item, and all of them fit into the input."""
    prepared = await engine.prepare(asking("And this?", says("First."), says("Second.", "assistant")))
    assert len(prepared.item_tokens) == 3
    assert all(count > 0 for count in prepared.item_tokens)
    assert sum(prepared.item_tokens) <= prepared.input_tokens


async def test_instructions_cost_tokens(engine: Engine) -> None:
    """Longer instructions make a longer prompt."""
    short = await engine.prepare(asking("Hi", instructions="Be kind."))
    long = await engine.prepare(asking("Hi", instructions="Be kind. " * 10))
    assert long.input_tokens > short.input_tokens


@pytest.mark.parametrize("cap", [1, 7])
async def test_a_limit_cuts_the_answer_and_says_so(engine: Engine, cap: int) -> None:
    """The limit holds, the reason is length, and usage counts what was written."""
    got = await answer(engine, asking(JAPANESE), limit=cap)
    assert got.end.reason == "length"
    assert got.end.usage.output == cap


async def test_max_output_tokens_holds_beside_a_wider_limit(engine: Engine) -> None:
    """The smaller of the two caps counts."""
    got = await answer(engine, asking(JAPANESE, max_output_tokens=3), limit=30)
    assert got.end.usage.output == 3


async def test_no_delta_carries_half_a_character(engine: Engine) -> None:
    """Japanese and emoji come out whole in every delta, even one token at a time."""
    got = await answer(engine, asking(JAPANESE))
    for event in got.events:
        if isinstance(event, TextDelta):
            event.text.encode("utf-8")  # a lone surrogate would raise


@pytest.mark.parametrize("cut", [1, 4, 9])
async def test_a_cut_answer_goes_on_token_for_token(engine: Engine, cut: int) -> None:
    """What was said, and the rest, are the same ids and words as in one go, and usage counts the whole once."""
    prepared = await engine.prepare(asking(JAPANESE))
    whole = await answer(engine, prepared)
    said = whole.said[:cut]
    if not await continues(engine):
        with pytest.raises(EngineFailed):
            await answer(engine, prepared, events_so_far=said)
        return
    rest = await answer(engine, prepared, events_so_far=said)
    assert [t for event in said for t in event.tokens] + list(rest.ids) == list(whole.ids)
    assert "".join(getattr(event, "text", "") for event in said) + rest.text == whole.text
    assert rest.end.usage.output == whole.end.usage.output
    assert rest.end.reason == whole.end.reason


async def test_an_answer_that_was_whole_already_only_ends(engine: Engine) -> None:
    """Continuing behind the cap says nothing more."""
    if not await continues(engine):
        return  # it refuses, as shown above
    prepared = await engine.prepare(asking(JAPANESE, max_output_tokens=8))
    whole = await answer(engine, prepared)
    again = await answer(engine, prepared, events_so_far=whole.said)
    assert again.text == ""
    assert again.end.reason == "length"


async def test_closing_in_the_middle_leaves_the_engine_free(engine: Engine) -> None:
    """More answers than the engine has slots are broken off, and the next one still comes."""
    card = await engine.card()
    prepared = await engine.prepare(asking(JAPANESE, max_output_tokens=500))
    for _ in range(min(card.parallel, 4) * 2):
        async with aclosing(engine.generate(prepared)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
    async with asyncio.timeout(60):
        assert (await answer(engine, asking("Hi"))).end.usage.output > 0


async def test_closing_before_anything_was_said_is_fine(engine: Engine) -> None:
    """A client that leaves during the prefill leaves nothing behind."""
    prepared = await engine.prepare(asking("word " * 100))
    async with aclosing(engine.generate(prepared)) as events:
        async for event in events:
            assert isinstance(event, Progress | TextDelta)
            break
    assert (await answer(engine, asking("Hi"))).end.usage.output > 0


async def test_answers_side_by_side_do_not_mix(engine: Engine) -> None:
    """Greedy answers at once begin as those that come one after the other.

    Not more than begin: a batch of another size rounds differently, and a near tie between two tokens falls the other
    way after some dozens of them.
    """
    prompts = [asking(text) for text in ("One.", "Two, please.", "Three: the third.", "Four")]
    alone = [(await answer(engine, prompt, limit=6)).text for prompt in prompts]
    together = await asyncio.gather(*(answer(engine, prompt, limit=6) for prompt in prompts))
    assert [one.text for one in together] == alone


async def test_a_schema_is_held(engine: Engine) -> None:
    """Text of a json_schema format is JSON that fits the schema."""
    prompt = asking(
        "A person, please.", format=JsonSchemaFormat(name="person", schema_=PERSON), max_output_tokens=200
    )
    got = await answer(engine, prompt)
    assert got.end.reason == "stop"
    jsonschema.validate(json.loads(got.text), PERSON)


async def test_json_object_begins_an_object(engine: Engine) -> None:
    """Text of a json_object format is an object, or the beginning of one if it was cut."""
    got = await answer(engine, asking("A person, please.", format=JsonObjectFormat()))
    assert got.text.startswith("{")
    if got.end.reason == "stop":
        assert isinstance(json.loads(got.text), dict)


async def test_a_cut_schema_answer_says_length(engine: Engine) -> None:
    """A cap inside JSON is reported as such, not as a failure."""
    prompt = asking("A person, please.", format=JsonSchemaFormat(name="person", schema_=PERSON))
    got = await answer(engine, prompt, limit=4)
    assert got.end.reason == "length"
    assert got.text


@pytest.mark.parametrize("choice", ["required", FunctionChoice(name="get_weather"), "auto"])
async def test_a_call_fits_its_schema(engine: Engine, choice: object) -> None:
    """Required, named or chosen: arguments fit the function's schema, and the turn ends."""
    prompt = asking("The weather in Paris?", tools=(WEATHER, MAIL), tool_choice=choice, max_output_tokens=300)
    got = await answer(engine, prompt)
    assert got.end.reason == "stop"
    (start, arguments), *_ = got.calls
    assert start.name == "get_weather"
    assert start.kind == "function"
    assert start.call_id
    assert WEATHER.parameters is not None
    jsonschema.validate(json.loads(arguments), WEATHER.parameters)


async def test_no_tool_is_called_where_none_may_be(engine: Engine) -> None:
    """tool_choice none answers in words."""
    got = await answer(engine, asking("Hello there.", tools=(WEATHER, MAIL), tool_choice="none"))
    assert not got.calls
    assert got.text


async def test_a_cut_call_says_length(engine: Engine) -> None:
    """Arguments that a cap cuts are incomplete, and the turn says so."""
    prompt = asking("The weather in Paris?", tools=(WEATHER,), tool_choice="required", max_output_tokens=300)
    whole = await answer(engine, prompt)
    if await continues(engine):
        room = 1 + sum(len(event.tokens) for event in whole.said if not isinstance(event, CallDelta))
    else:
        room = 2
    cut = await answer(engine, prompt, limit=room)
    assert cut.end.reason == "length"
    assert cut.end.usage.output <= room


async def test_an_interrupted_call_is_taken_up_where_it_was(engine: Engine) -> None:
    """What was said of a call, and the rest, are the call in one go; it does not start twice."""
    if not await continues(engine):
        return  # it refuses, as shown above
    prompt = asking("The weather in Paris?", tools=(WEATHER,), tool_choice="required", max_output_tokens=300)
    prepared = await engine.prepare(prompt)
    whole = await answer(engine, prepared)
    said = whole.said[:3]
    rest = await answer(engine, prepared, events_so_far=said)
    assert not rest.calls if not rest.said else all(isinstance(event, CallDelta) for event in rest.said)
    text = "".join(event.text for event in [*said, *rest.said] if isinstance(event, CallDelta))
    assert text == whole.calls[0][1]


async def test_an_interrupted_schema_answer_is_taken_up_where_it_was(engine: Engine) -> None:
    """JSON goes on from what was said of it, byte for byte."""
    if not await continues(engine):
        return  # it refuses, as shown above
    prompt = asking(
        "A person, please.", format=JsonSchemaFormat(name="person", schema_=PERSON), max_output_tokens=200
    )
    prepared = await engine.prepare(prompt)
    whole = await answer(engine, prepared)
    said = whole.said[:2]
    rest = await answer(engine, prepared, events_so_far=said)
    assert "".join(event.text for event in said) + rest.text == whole.text
    assert rest.end.usage.output == whole.end.usage.output


async def test_a_seed_repeats(engine: Engine) -> None:
    """The same seed gives the same answer at any temperature."""
    prompt = asking("Tell me something.", sampling=Sampling(temperature=1.0, seed=7), max_output_tokens=12)
    assert (await answer(engine, prompt)).text == (await answer(engine, prompt)).text


async def test_stopping_twice_is_fine(tmp_path: Path) -> None:
    """stop() may be called again."""
    for kind in ("scripted", "tiny"):
        one = make(kind, tmp_path)
        await one.start()
        await one.stop()
        await one.stop()
        assert kind == "scripted" or not one.ready


async def test_embeddings_are_vectors_or_refused(engine: Engine) -> None:
    """Each text has one vector of the same width, or the engine says that it has none."""
    try:
        vectors, read = await engine.embed(["one", "two and more"])
    except InvalidRequest as error:
        assert "embedding" in error.message
    except EngineUnavailable as error:
        assert "does not know" in error.message  # the test's server has no such route
    else:
        assert len({len(vector) for vector in vectors}) == 1
        assert len(vectors) == 2
        assert read > 0


async def test_the_card_is_true_to_the_engine(engine: Engine) -> None:
    """Limits are positive, and no path of the machine is in it."""
    card = await engine.card()
    assert card.context_window > 0
    assert card.parallel > 0
    assert "/" not in card.source


async def test_an_empty_prompt_is_answered(engine: Engine) -> None:
    """A prompt of instructions alone is a prompt."""
    got = await answer(engine, Prompt(instructions="Say hello.", max_output_tokens=5))
    assert got.end.usage.input > 0
