"""An engine that goes on without its grammar, and reports no error: the answer is valid and ended all the same."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from tests.contract.engines import answer, asking, llama, running
from tests.tiny_model import write_tiny_model

from kodo.server.engines.llama.decoding.answer import Answer
from kodo.server.engines.llama.engine import LlamaEngine
from kodo.server.lifecycle.ports import Sampling
from kodo.server.wire.tools import FunctionChoice, FunctionTool, JsonSchemaFormat

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("engine")]
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "minLength": 8}, "dark": {"type": "boolean"}},
    "required": ["title", "dark"],
    "additionalProperties": False,
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tiny(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaEngine]:
    engine = llama(write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))
    async with running(engine):
        yield engine


def _lose(monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
    """The engine gets no grammar with the first so many constrained texts."""
    body, left = Answer._body, times

    async def without(self: Answer, settings: dict[str, object], grammar: str | None) -> dict[str, Any]:
        nonlocal left
        if grammar is not None and left:
            left -= 1
            grammar = None
        return await body(self, settings, grammar)

    monkeypatch.setattr(Answer, "_body", without)


@pytest.mark.parametrize("kind", ["format", "call"])
@pytest.mark.parametrize("times", [1, 2, 1000])
async def test_the_answer_is_valid(
    kind: str,
    times: int,
    tiny: LlamaEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lost at the beginning, it is begun anew; lost each time, the shortest valid answer is written. The log says so."""
    sampling = Sampling(temperature=1.0, seed=3)
    if kind == "call":
        tool = FunctionTool(name="f", parameters=SCHEMA)
        asked: dict[str, Any] = {"tools": (tool,), "tool_choice": FunctionChoice(name="f")}
    else:
        asked = {"format": JsonSchemaFormat(name="x", schema_=SCHEMA)}
    prepared = await tiny.prepare(asking("Go.", sampling=sampling, max_output_tokens=200, **asked))
    _lose(monkeypatch, times=times)
    with caplog.at_level(logging.WARNING):
        got = await answer(tiny, prepared)
    text = got.calls[0][1] if kind == "call" else got.text
    jsonschema.validate(json.loads(text), SCHEMA)
    assert got.end.reason == "stop"
    assert got.end.usage.output <= 200
    assert any("lost the grammar" in record.getMessage() for record in caplog.records)
