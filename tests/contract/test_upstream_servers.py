"""The upstream engine in front of a stand-in for each kind of server: one contract, whatever the server's form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.contract.engines import Answered, answer, says
from tests.standin.app import KEY, MODEL, StandIn, serve
from tests.standin.servers import SERVERS, WINDOW

from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.profile import profiles
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.lifecycle.errors import ContextLengthExceeded, EngineUnavailable, InvalidRequest
from kodo.server.lifecycle.ports import ContextItem, Prompt, ProviderFields, ProviderState, Sampling
from kodo.server.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputText,
    Message,
    OutputText,
    Reasoning,
    SummaryText,
)
from kodo.server.wire.tools import FunctionChoice, FunctionTool, JsonObjectFormat

TOOLS = (
    FunctionTool(
        name="get_weather",
        description="The weather in a city",
        parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
    FunctionTool(name="get_time"),
)
SEEN = {"vllm", "sglang", "llamacpp", "ollama", "lmstudio"}
"""Servers that say themselves what they are; the others are known by the names of their hosts."""
THINKING = set(SERVERS) - {"openai", "azure", "gemini"}
"""Servers that hand out the model's reasoning."""


@pytest_asyncio.fixture(params=sorted(SERVERS))
async def standin(request: pytest.FixtureRequest) -> AsyncIterator[StandIn]:
    """One of the servers."""
    async with serve(SERVERS[request.param]) as found:
        yield found


def engine_for(standin: StandIn, **options: Any) -> UpstreamEngine:
    """The engine in front of it, which finds out what it is where the server says so."""
    name = standin.behaviour.name
    given = {"profile": "auto" if name in SEEN else name, "api_key": KEY, **options}
    return UpstreamEngine([TargetOptions(name="one", base_url=standin.url, model=MODEL, **given)])


@pytest_asyncio.fixture
async def engine(standin: StandIn) -> AsyncIterator[UpstreamEngine]:
    """The engine, started."""
    made = engine_for(standin)
    await made.start()
    yield made
    await made.stop()


def as_items(got: Answered) -> list[ContextItem]:
    """An answer as the items of the next prompt, with what the server wants back."""
    items: list[ContextItem] = []
    texts: list[str] = []

    def close(provider: ProviderState | None = None) -> None:
        if not texts:
            return
        last = items.pop()
        item: Any = last.item
        text = "".join(texts)
        if isinstance(item, Message):
            item = Message(role="assistant", content=(OutputText(text=text),))
        elif isinstance(item, Reasoning):
            item = Reasoning(summary=(SummaryText(text=text),))
        else:
            item = FunctionCall(call_id=item.call_id, name=item.name, arguments=text)
        items.append(ContextItem(item=item, provider=provider or last.provider))
        texts.clear()

    kind = None
    for event in got.events:
        tag = type(event).__name__
        if isinstance(event, ProviderFields):
            items[-1] = ContextItem(item=items[-1].item, provider=event.state)
            continue
        if tag in ("Finished", "Routed", "Progress"):
            continue
        if tag != kind and tag != "CallDelta":
            close()
            fresh: Any = {
                "ReasoningDelta": Reasoning(),
                "TextDelta": Message(role="assistant", content=()),
            }.get(tag)
            if fresh is None:
                fresh = FunctionCall(call_id=event.call_id, name=event.name, arguments="")
            items.append(ContextItem(item=fresh))
        kind = tag if tag != "CallStart" else None
        texts.append(getattr(event, "text", ""))
    close()
    return items


def outputs(got: Answered) -> list[ContextItem]:
    """An output for each call."""
    return [
        ContextItem(item=FunctionCallOutput(call_id=start.call_id, output=f"{start.name}: fine"))
        for start, _ in got.calls
    ]


async def test_a_server_is_known_for_what_it_is(standin: StandIn, engine: UpstreamEngine) -> None:
    """`auto` finds the profile of each server that says what it is, with its window, and eyes where it says so."""
    card = await engine.card()
    target = engine._pool.targets[0]
    assert target.profile.name == standin.behaviour.name
    if standin.behaviour.name in SEEN:
        assert card.context_window == WINDOW
    assert card.images is standin.behaviour.images


async def test_a_tool_loop_of_three_turns(standin: StandIn, engine: UpstreamEngine) -> None:
    """Two calls at the same time, then one without arguments, then the answer; reasoning apart and sent back."""
    history = [says("You are terse.", "developer"), says("What is the weather in Paris and Tokyo?")]
    prompt = Prompt(instructions="Use tools.", items=tuple(history), tools=TOOLS)
    first = await answer(engine, prompt)
    assert [(start.name, text) for start, text in first.calls] == [
        ("get_weather", '{"city": "Paris"}'),
        ("get_weather", '{"city": "Tokyo"}' if standin.behaviour.name != "mistral" else '{"city":"Tokyo"}'),
    ]
    assert len({start.call_id for start, _ in first.calls}) == 2
    assert first.reasoning == ("I need both cities." if standin.behaviour.name in THINKING else "")
    history += as_items(first) + outputs(first)
    second = await answer(engine, Prompt(instructions="Use tools.", items=tuple(history), tools=TOOLS))
    assert [(start.name, text) for start, text in second.calls] == [("get_time", "{}")]
    ids = {start.call_id for got in (first, second) for start, _ in got.calls}
    assert len(ids) == 3  # also where the server counts its calls from 0 in each answer
    history += as_items(second) + outputs(second)
    third = await answer(engine, Prompt(instructions="Use tools.", items=tuple(history), tools=TOOLS))
    assert third.text == "It is sunny in Paris and Tokyo, at noon."
    assert (third.end.reason, third.calls) == ("stop", [])
    roles = [message["role"] for message in standin.bodies[-1]["messages"]]
    assert roles[-5:] == ["assistant", "tool", "tool", "assistant", "tool"]


async def test_usage_is_the_servers_own(standin: StandIn, engine: UpstreamEngine) -> None:
    """Cached and reasoning tokens are found under the server's names for them."""
    usage = (await answer(engine, Prompt(items=(says("Hello"),)))).end.usage
    assert (usage.input, usage.output, usage.cached) == (30, 12, standin.behaviour.cached)


async def test_nothing_is_sent_that_was_not_asked_for(standin: StandIn, engine: UpstreamEngine) -> None:
    """A plain question is the model, the messages and the stream's options; a limit adds one field."""
    await answer(engine, Prompt(items=(says("Hello"),)))
    assert set(standin.bodies[-1]) - {"stream_options"} == {"model", "messages", "stream"}
    await answer(engine, Prompt(items=(says("Hello"),), tools=TOOLS, max_output_tokens=50))
    newer = ("openai", "azure", "groq", "cerebras")
    limit = "max_completion_tokens" if standin.behaviour.name in newer else "max_tokens"
    extra = {"parallel_tool_calls"} if standin.behaviour.name == "llamacpp" else set()
    assert (
        set(standin.bodies[-1]) - {"stream_options"}
        == {"model", "messages", "stream", "tools", limit} | extra
    )


async def test_whatever_a_client_sets_the_server_takes_or_is_not_sent(
    standin: StandIn, engine: UpstreamEngine
) -> None:
    """Sampling, effort, verbosity, cache keys: what a server would refuse is left out."""
    sampling = Sampling(temperature=0.2, top_p=0.9, presence_penalty=0.1, seed=7, logit_bias=((5, 1.0),))
    prompt = Prompt(
        items=(says("Hello"),),
        tools=TOOLS,
        parallel_tool_calls=False,
        sampling=sampling,
        reasoning_effort="low",
        verbosity="low",
        max_output_tokens=64,
    )
    assert (await answer(engine, prompt)).text == "You said: Hello"
    assert standin.bodies[-1]["temperature"] == 0.2


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
async def test_every_effort_reaches_the_server_in_its_words(
    standin: StandIn, engine: UpstreamEngine, effort: str
) -> None:
    """A server that knows other efforts gets the nearest one, at the first attempt but where that is up to the model."""
    before = len(standin.bodies)
    prompt = Prompt(items=(says("Hello"),), reasoning_effort=effort)
    assert (await answer(engine, prompt)).text == "You said: Hello"
    learned = standin.behaviour.name == "groq" and effort == "none"
    assert len(standin.bodies) == before + (2 if learned else 1)
    assert any(name in str(standin.bodies[-1]) for name in ("effort", "thinking", "reasoning"))


async def test_json_of_any_form_can_be_asked_for(standin: StandIn, engine: UpstreamEngine) -> None:
    """Also of a server that takes it as a schema only."""
    prompt = Prompt(items=(says("Hello"),), format=JsonObjectFormat())
    assert (await answer(engine, prompt)).text == "You said: Hello"
    sent = standin.bodies[-1]["response_format"]
    assert sent["type"] == ("json_schema" if standin.behaviour.name == "lmstudio" else "json_object")


async def test_one_tool_can_be_asked_for(standin: StandIn, engine: UpstreamEngine) -> None:
    """By its name; LM Studio takes no name, and is offered that tool alone."""
    prompt = Prompt(items=(says("Hello"),), tools=TOOLS, tool_choice=FunctionChoice(name="get_time"))
    assert (await answer(engine, prompt)).end.reason == "stop"
    sent = standin.bodies[-1]
    offered = [tool["function"]["name"] for tool in sent["tools"]]
    if standin.behaviour.name == "lmstudio":
        assert (sent["tool_choice"], offered) == ("required", ["get_time"])
    else:
        assert (sent["tool_choice"]["function"]["name"], len(offered)) == ("get_time", 2)


async def test_the_user_may_speak_behind_the_output_of_a_tool(
    standin: StandIn, engine: UpstreamEngine
) -> None:
    """Mistral wants words of the assistant between the two."""
    first = await answer(
        engine, Prompt(items=(says("What is the weather in Paris and Tokyo?"),), tools=TOOLS)
    )
    items = (says("What is the weather?"), *as_items(first), *outputs(first), says("Stop, and say hello."))
    got = await answer(engine, Prompt(items=items, tools=TOOLS))
    assert got.end.reason == "stop"
    roles = [message["role"] for message in standin.bodies[-1]["messages"]]
    assert roles[-2:] == (["assistant", "user"] if standin.behaviour.name == "mistral" else ["tool", "user"])


async def test_a_prompt_that_does_not_fit_is_told_with_both_numbers(
    standin: StandIn, engine: UpstreamEngine
) -> None:
    """Each server's words for it become `context_length_exceeded`."""
    with pytest.raises(InvalidRequest) as caught:
        await answer(engine, Prompt(items=(says("overflow"),)))
    assert caught.value.code == "context_length_exceeded"
    if standin.behaviour.name not in ("ollama", "groq"):  # they give no numbers
        assert isinstance(caught.value, ContextLengthExceeded)
        assert (caught.value.window, caught.value.needed) == (WINDOW, 5000)


async def test_a_refusal_says_why_without_keys_and_addresses(
    standin: StandIn, engine: UpstreamEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is the server's own, for the client and the log; a wrong key is the operator's affair."""
    with pytest.raises(InvalidRequest, match="may not use temperature 9") as caught:
        await answer(engine, Prompt(items=(says("tell a secret"),)))
    assert "may not use temperature 9" in caplog.text
    for words in (caught.value.message, caplog.text):
        assert KEY not in words
        assert "10.1.2.3" not in words
    stranger = engine_for(standin, api_key="sk-wrong-key-000000")
    with pytest.raises(EngineUnavailable, match="does not accept the key") as refused:
        await answer(stranger, Prompt(items=(says("Hello"),)))
    assert KEY not in refused.value.message
    await stranger.stop()


async def test_an_image_goes_through(standin: StandIn, engine: UpstreamEngine) -> None:
    """A data URL reaches the model; a server without eyes says so, and the client is told."""
    url = "data:image/png;base64," + "iVBORw0KGgo=" * 4
    parts = (InputText(text="What is it?"), InputImage(image_url=url, detail="low"))
    prompt = Prompt(items=(ContextItem(item=Message(role="user", content=parts)),))
    if standin.behaviour.images:
        assert (await answer(engine, prompt)).text == f"I see an image of {len(url)} characters."
        return
    with pytest.raises(InvalidRequest, match="image_url"):
        await answer(engine, prompt)


async def test_a_tool_that_was_not_offered_is_told_to_the_model(
    standin: StandIn, engine: UpstreamEngine
) -> None:
    """The model sees an error with the tools there are, and its next answer is handed out."""
    got = await answer(engine, Prompt(items=(says("Please invent something"),), tools=TOOLS))
    assert got.calls == []
    assert got.text.startswith("I have no such tool.")
    assert "get_time, get_weather" in got.text
    assert got.end.usage.input == 60  # both rounds are counted


async def test_a_later_system_message_is_a_part_of_the_users_turn(
    standin: StandIn, engine: UpstreamEngine
) -> None:
    """Servers whose templates refuse a second system message get one, and no words are lost."""
    items = (says("Hello"), says("Be kind.", "developer"), says("And now?"))
    got = await answer(engine, Prompt(instructions="Be brief.", items=items))
    sent = str(standin.bodies[-1]["messages"])
    assert all(words in sent for words in ("Be brief.", "Be kind.", "Hello", "And now?"))
    assert got.text.endswith("And now?")


async def test_tokens_are_counted_by_the_servers_tokenizer(standin: StandIn, engine: UpstreamEngine) -> None:
    """Where the server has `/tokenize`, its count stands; else four characters are a token."""
    text = "one two three four five six seven eight " * 8
    prepared = await engine.prepare(Prompt(items=(says(text),)))
    if standin.behaviour.tokenize:
        assert 64 <= prepared.input_tokens <= 75
    else:
        assert prepared.input_tokens > 75


def test_every_profile_has_a_stand_in() -> None:
    """A profile that no server of the suite stands for would be a guess."""
    assert set(profiles()) - {"generic"} == set(SERVERS)
