"""llama.cpp's own server, the real one, behind the upstream engine: what is known of it by documents holds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.contract.engines import answer, asking, says
from tests.serving import MODEL, served, settings
from tests.tiny_model import write_tiny_model

from kodo.home import kodo_home
from kodo.server.config import ModelSettings
from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.lifecycle.errors import ContextLengthExceeded, EngineUnavailable
from kodo.server.wire.tools import JsonSchemaFormat

WINDOW = 1024
KEY = "the-key-of-llama"
SERVER = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = 0
params.api_keys = [sys.argv[2]]
params.n_parallel = 1
params.n_ctx = int(sys.argv[3])
params.cpuparams.n_threads = 1
params.warmup = False
params.verbosity = 0
params.use_jinja = True
params.ctx_shift = False
server = xllamacpp.Server(params)
os.write(int(sys.argv[4]), (server.listening_address + "\\n").encode())
sys.stdin.read()
os._exit(0)
"""
SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["age"],
    "additionalProperties": False,
}


@contextlib.contextmanager
def serving(model: Path, window: int) -> Iterator[str]:
    """The server with a model, in a process of its own; its base URL."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(model), KEY, str(window), str(write)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[write],
    )
    os.close(write)
    with os.fdopen(read) as said:
        address = said.readline().strip()
    assert address, "llama.cpp's server did not start"
    try:
        yield (address if "://" in address else f"http://{address}") + "/v1"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server with a tiny random model."""
    folder: Path = tmp_path_factory.mktemp("llamacpp")
    with serving(write_tiny_model(folder / "tiny.gguf"), WINDOW) as url:
        yield url


@pytest_asyncio.fixture
async def engine(llama_server: str) -> AsyncIterator[UpstreamEngine]:
    """The engine in front of it, which asks it what it is."""
    made = UpstreamEngine([TargetOptions(name="one", base_url=llama_server, model="tiny", api_key=KEY)])
    await made.start()
    yield made
    await made.stop()


async def test_it_is_known_for_what_it_is(engine: UpstreamEngine) -> None:
    """`auto` finds the profile, the window and that it has no eyes."""
    card = await engine.card()
    assert engine._first.profile.name == "llamacpp"
    assert (card.context_window, card.images) == (WINDOW, False)


async def test_an_answer_and_its_count(engine: UpstreamEngine) -> None:
    """The count before the answer is that of the usage, to the token; a repeated prompt is read from its cache."""
    prompt = asking("Say something.", says("You are kind.", "developer"), instructions="Be brief.")
    prepared = await engine.prepare(prompt)
    first = await answer(engine, prepared)
    assert first.end.reason in ("stop", "length")
    assert first.end.usage.input == prepared.input_tokens
    assert 0 < first.end.usage.output <= 40
    again = await answer(engine, prepared)
    assert again.end.usage.cached > 0
    assert again.text == first.text


@pytest.mark.parametrize(
    "fields", [{}, {"format": JsonSchemaFormat(name="p", schema_=SCHEMA)}], ids=["text", "schema"]
)
async def test_an_answer_in_one_piece_is_the_streamed_one(
    engine: UpstreamEngine, fields: dict[str, Any]
) -> None:
    """The real server takes the request without a stream, and says in one text what it says token by token."""
    streamed = await answer(engine, asking("Say something.", **fields))
    prompt = asking("Say something.", whole=True, **fields)
    whole = await answer(engine, prompt)
    assert engine._first._form.is_whole(prompt)  # it was not refused and asked for as a stream
    assert whole.text == streamed.text
    assert (whole.end.reason, whole.end.usage.output) == (streamed.end.reason, streamed.end.usage.output)


async def test_a_schema_is_held(engine: UpstreamEngine) -> None:
    """`response_format` is the server's to enforce, and it does."""
    got = await answer(engine, asking("A person.", format=JsonSchemaFormat(name="p", schema_=SCHEMA)))
    assert 0 <= json.loads(got.text)["age"] <= 9


async def test_a_prompt_that_does_not_fit(engine: UpstreamEngine) -> None:
    """Its error has both numbers."""
    with pytest.raises(ContextLengthExceeded) as caught:
        await answer(engine, asking("word " * 600))
    assert caught.value.window == WINDOW
    assert caught.value.needed > 2 * WINDOW


async def test_a_wrong_key(llama_server: str) -> None:
    """The operator's fault, not the caller's."""
    stranger = UpstreamEngine(
        [TargetOptions(name="one", base_url=llama_server, model="tiny", api_key="wrong", profile="llamacpp")]
    )
    with pytest.raises(EngineUnavailable, match="does not accept the key"):
        await answer(stranger, asking("Hi"))
    await stranger.stop()


async def test_through_the_whole_server(llama_server: str, tmp_path: Path) -> None:
    """A chained, streamed answer over the SDK; what does not fit is refused before it is sent."""
    model = ModelSettings(engine="upstream", base_url=llama_server, target="tiny", api_key=KEY)  # type: ignore[arg-type]  # pydantic wraps it
    async with served(settings(tmp_path, model)) as server:
        sdk = server.sdk()
        first = await sdk.responses.create(model=MODEL, input="Say something.", max_output_tokens=16)
        stream = await sdk.responses.create(
            model=MODEL, input="And more.", previous_response_id=first.id, max_output_tokens=16, stream=True
        )
        events = [event async for event in stream]
        assert events[-1].type in ("response.completed", "response.incomplete")
        counted = await sdk.responses.input_tokens.count(model=MODEL, input="Say something.")
        assert first.usage is not None
        assert counted.input_tokens == first.usage.input_tokens


HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "%s"}}\n</tool_call>'
PYTHON = '[get_weather(city="%s")]'
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(scope="module")
def llama_server_with_words() -> Iterator[str]:
    """The server with the default model: its chat template knows no tools, and the server reads no calls."""
    [weights] = (kodo_home() / "models" / "smollm2-135m-instruct").glob("*.gguf")
    with serving(weights, 2048) as url:
        yield url


def conversation(form: str) -> list[Any]:
    """Questions and calls in a form, and one more question: what the model has seen, it goes on with."""
    turns: list[Any] = []
    for city in ("Rome", "London", "Paris"):
        turns.append({"role": "user", "content": f"What is the weather in {city}?"})
        turns.append({"role": "assistant", "content": form % city})
    return turns[:-1]


@pytest.mark.model
@pytest.mark.xdist_group("real model")
@pytest.mark.parametrize("form", [HERMES, PYTHON], ids=["Hermes", "Python"])
async def test_calls_that_the_model_writes_as_text(
    form: str, llama_server_with_words: str, tmp_path: Path
) -> None:
    """The real server streams them token by token as text; the client gets a call, streamed or whole, and nothing of the
    text. Without tools the same text is the answer."""
    model = ModelSettings(engine="upstream", base_url=llama_server_with_words, target="smollm2", api_key=KEY)  # type: ignore[arg-type]  # pydantic wraps it
    asked: Any = {"model": MODEL, "input": conversation(form), "temperature": 0, "max_output_tokens": 80}
    async with served(settings(tmp_path, model)) as server:
        sdk = server.sdk()
        text = (await sdk.responses.create(**asked)).output_text
        assert text == form % "Paris", "the model no longer goes on with what it has seen"
        whole = await sdk.responses.create(**asked, tools=[WEATHER])
        stream = await sdk.responses.create(**asked, tools=[WEATHER], stream=True)
        events = [event async for event in stream]
        streamed = events[-1].response
        kinds = {event.type for event in events}
        for answer_ in (whole, streamed):
            [item] = answer_.output
            assert (item.type, item.name, json.loads(item.arguments)) == (
                "function_call", "get_weather", {"city": "Paris"},
            )  # fmt: skip  # one row
        assert "response.output_text.delta" not in kinds
        assert "response.function_call_arguments.done" in kinds
        given = {"type": "function_call_output", "call_id": item.call_id, "output": "Sunny, 20 degrees."}
        after = await sdk.responses.create(
            model=MODEL,
            input=[given],
            previous_response_id=streamed.id,
            tools=[WEATHER],
            max_output_tokens=24,
        )
        assert after.status in ("completed", "incomplete"), (
            "the call goes back to the server that wrote it as text"
        )
