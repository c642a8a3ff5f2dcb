"""The engines that the contract suite runs over, and small ways to ask them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_model import write_tiny_model

from kodo.home import kodo_home
from kodo.server.config import DEFAULT_MODEL
from kodo.server.engines.llama.engine import LlamaEngine, LlamaOptions
from kodo.server.engines.scripted import MakeCall, Script, ScriptedEngine, ScriptTurn, Text
from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.engines.weights.registry import Registry
from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    ContextItem,
    Engine,
    EngineEvent,
    Finished,
    Prepared,
    Progress,
    Prompt,
    ReasoningDelta,
    Sampling,
    TextDelta,
)
from kodo.server.wire.items import InputText, Item, Message
from kodo.server.wire.tools import FunctionTool

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = FunctionTool(
    name="get_weather",
    description="The current weather in a city",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["c", "f"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
)
MAIL = FunctionTool(
    name="send_mail",
    description="Send an e-mail",
    parameters={
        "type": "object",
        "properties": {"to": {"type": "string", "maxLength": 12}},
        "required": ["to"],
    },
)
JAPANESE = "日本語の文章と絵文字😀🎉をそのまま繰り返してください"

SCRIPT = Script(
    turns=(
        ScriptTurn(
            match="weather", steps=(MakeCall(name="get_weather", arguments={"city": "Paris", "unit": "c"}),)
        ),
        ScriptTurn(match="person", steps=(Text(text='{"name": "Ada", "age": 36}'),)),
        ScriptTurn(match="", steps=(Text(text=JAPANESE * 8),)),
    )
)


def model_path() -> Path:
    """The installed default model."""
    return Registry(kodo_home()).resolve(DEFAULT_MODEL)


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """The engine, started and stopped."""
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def llama(path: Path, **options: Any) -> LlamaEngine:
    """A llama engine with a small window."""
    return LlamaEngine(path, LlamaOptions(name="test", **{"context": 1024, "parallel": 2, **options}))


def make(kind: str, folder: Path) -> Engine:
    """One of the engines of the suite, not started."""
    if kind == "scripted":
        return ScriptedEngine(SCRIPT)
    if kind == "tiny":
        return llama(write_tiny_model(folder / "tiny.gguf"))
    return llama(model_path())


def upstream(url: str, model: str, **options: Any) -> UpstreamEngine:
    """The upstream engine in front of one server."""
    return UpstreamEngine([TargetOptions(name="one", base_url=url, model=model, **options)])


ENGINES = ["scripted", "tiny", pytest.param("model", marks=pytest.mark.model)]


def says(text: str, role: Any = "user") -> ContextItem:
    """A message as an item of the prompt."""
    return ContextItem(item=Message(role=role, content=(InputText(text=text),)))


def asking(text: str, *before: ContextItem, **options: Any) -> Prompt:
    """A prompt that ends with a user's text; greedy, up to 40 tokens."""
    given = {"sampling": Sampling(temperature=0), "max_output_tokens": 40, **options}
    return Prompt(items=(*before, says(text)), **given)


def own(item: Item, answer: Answered) -> ContextItem:
    """The model's answer as an item of the next prompt, with its ids."""
    return ContextItem(item=item, tokens=answer.ids)


@dataclass
class Answered:
    """The events of an answer."""

    events: list[EngineEvent] = field(default_factory=list)

    @property
    def said(self) -> list[EngineEvent]:
        """What the lifecycle would keep: all but progress and the end."""
        return [event for event in self.events if not isinstance(event, Progress | Finished)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def calls(self) -> list[tuple[CallStart, str]]:
        """Each call and its arguments."""
        found: list[tuple[CallStart, str]] = []
        for event in self.events:
            if isinstance(event, CallStart):
                found.append((event, ""))
            elif isinstance(event, CallDelta):
                found[-1] = (found[-1][0], found[-1][1] + event.text)
        return found

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(token for event in self.said for token in event.tokens)

    @property
    def end(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last


async def answer(
    engine: Engine,
    prompt: Prompt | Prepared,
    *,
    events_so_far: Sequence[EngineEvent] = (),
    limit: int | None = None,
) -> Answered:
    """The whole answer to a prompt."""
    prepared = prompt if isinstance(prompt, Prepared) else await engine.prepare(prompt)
    return Answered(
        [event async for event in engine.generate(prepared, events_so_far=events_so_far, limit=limit)]
    )
