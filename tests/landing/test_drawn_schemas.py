"""Drawn schemas and drawn budgets on the tiny model: valid, ended and within the budget, or refused with the number."""

from __future__ import annotations

import json
import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.contract.engines import answer, asking, llama, running
from tests.landing.drawn_schemas import draw_object, draw_schema
from tests.tiny_model import write_tiny_model

from kodo.server.engines.llama.engine import LlamaEngine
from kodo.server.engines.llama.tools.structured import matches_schema
from kodo.server.lifecycle.ports import Sampling
from kodo.server.wire.tools import FunctionChoice, FunctionTool, JsonSchemaFormat

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

CASES = int(os.environ.get("KODO_LANDING_CASES", "100"))
BATCH = 50


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tiny(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaEngine]:
    """The tiny model, whose words are random: it never ends a string by itself for long."""
    engine = llama(
        write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", context=8192), context=4096
    )
    async with running(engine):
        yield engine


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
async def test_what_is_generated_is_valid_and_ended_within_its_budget(first: int, tiny: LlamaEngine) -> None:
    """An answer is cut only where the shortest valid one does not fit, and then the number is told."""
    for seed in range(first, min(first + BATCH, CASES)):
        draw = random.Random(seed)
        budget = draw.randint(16, 512)
        as_call = draw.random() < 0.4
        schema = draw_object(draw) if as_call else draw_schema(draw)
        asked = {"sampling": Sampling(temperature=1.0, seed=seed), "max_output_tokens": budget}
        if as_call:
            tool = FunctionTool(name="f", parameters=schema)
            prompt = asking("Go.", tools=(tool,), tool_choice=FunctionChoice(name="f"), **asked)
        else:
            prompt = asking("Go.", format=JsonSchemaFormat(name="x", schema_=schema), **asked)
        prepared = await tiny.prepare(prompt)
        got = await answer(tiny, prepared)
        where = f"seed {seed}, {budget} tokens: {json.dumps(schema)[:500]}"
        assert got.end.usage.output <= budget, where
        least = prepared.min_output_tokens
        if got.end.reason == "length":
            assert least is not None, where
            assert least > budget, where
            continue
        text = got.calls[0][1] if as_call else got.text
        assert got.end.reason == "stop", where
        assert matches_schema(text, schema), f"{where} gave {text}"
