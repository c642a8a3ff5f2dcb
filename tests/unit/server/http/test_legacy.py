"""/v1/completions and /v1/embeddings through the SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Completion, CreateEmbeddingResponse
from tests.serving import MODEL, script, served, settings


async def test_a_prompt_is_answered_whole_and_streamed(tmp_path: Path) -> None:
    """The text of the stream is the text of the answer; both have the SDK's strict type."""
    async with served(settings(tmp_path)) as server:
        async with server.http() as http:
            body = {"model": MODEL, "prompt": "hello there", "echo": True}
            raw = (await http.post("/v1/completions", json=body)).json()
        Completion.model_validate_json(json.dumps(raw), strict=True)
        stream = await server.sdk().completions.create(
            model=MODEL, prompt="hello there", echo=True, stream=True, stream_options={"include_usage": True}
        )
        pieces = [piece async for piece in stream]
    said = "".join(choice.text for piece in pieces for choice in piece.choices)
    assert raw["choices"][0]["text"] == said == "hello therehello there"
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.model_dump(exclude_none=True) == raw["usage"]


async def test_prompts_and_answers_are_numbered_and_counted(tmp_path: Path) -> None:
    """Two prompts with two answers each: four choices in order; each prompt is counted once."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        many = await sdk.completions.create(model=MODEL, prompt=["one", "three"], n=2)
        single = [await sdk.completions.create(model=MODEL, prompt=prompt) for prompt in ("one", "three")]
    assert [choice.text for choice in many.choices] == ["one", "one", "three", "three"]
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert many.usage is not None
    assert many.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in single if one.usage)
    assert many.usage.completion_tokens == 2 * sum(one.usage.completion_tokens for one in single if one.usage)


async def test_every_part_of_the_usage_is_of_all_prompts(tmp_path: Path) -> None:
    """The tokens of the reasoning too, though the first prompt has none."""
    turns = (
        {"match": "hard", "steps": [{"type": "reasoning", "text": "think it over"}, {"type": "text", "text": "b"}]},
        {"match": ".", "steps": [{"type": "text", "text": "a"}]},
    )  # fmt: skip
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        sdk = server.sdk()
        many = await sdk.completions.create(model=MODEL, prompt=["easy", "hard"])
        alone = await sdk.completions.create(model=MODEL, prompt="hard")
    assert many.usage is not None and many.usage.completion_tokens_details is not None
    assert alone.usage is not None and alone.usage.completion_tokens_details is not None
    reasoning = many.usage.completion_tokens_details.reasoning_tokens
    assert reasoning == alone.usage.completion_tokens_details.reasoning_tokens != 0


async def test_a_suffix_is_shown_to_the_model(tmp_path: Path) -> None:
    """The model is asked for what belongs between prompt and suffix."""
    turn = {"match": "BEGINNING:\ndef f[(]:\n\nEND:\n  return x", "steps": [{"type": "text", "text": "x):"}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        answer = await server.sdk().completions.create(model=MODEL, prompt="def f(:", suffix="  return x")
    assert answer.choices[0].text == "x):"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "prompt", "missing_required_parameter"),
        ({"prompt": [1, 2]}, "prompt", "unsupported_value"),
        ({"prompt": "x", "best_of": 3}, "best_of", "unsupported_value"),
        ({"prompt": "x", "logprobs": 9}, "logprobs", "integer_above_max_value"),
        ({"prompt": "x", "nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"prompt": "x", "temperature": 9}, "temperature", "decimal_above_max_value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_errors_name_the_field(body: dict[str, Any], param: str, code: str, tmp_path: Path) -> None:
    """400, and what is wrong."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/completions", json={"model": MODEL, **body})
    assert (answer.status_code, answer.json()["error"]["param"], answer.json()["error"]["code"]) == (
        400,
        param,
        code,
    )


async def test_embeddings_are_the_same_as_numbers_and_as_base64(tmp_path: Path) -> None:
    """The SDK asks for base64 by default; equal texts have equal vectors, in order."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        coded = await sdk.embeddings.create(model=MODEL, input=["abc", "xyz", "abc"])
        async with server.http() as http:
            body = {"model": MODEL, "input": ["abc", "xyz", "abc"], "encoding_format": "float"}
            raw = (await http.post("/v1/embeddings", json=body)).json()
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.embeddings.create(model=MODEL, input="abc", dimensions=7)
    CreateEmbeddingResponse.model_validate_json(json.dumps(raw), strict=True)
    assert caught.value.param == "dimensions"
    for one, other in zip(coded.data, raw["data"], strict=True):
        assert one.embedding == pytest.approx(other["embedding"], abs=1e-6)
    assert raw["data"][0]["embedding"] == raw["data"][2]["embedding"] != raw["data"][1]["embedding"]
    assert coded.usage.prompt_tokens == raw["usage"]["prompt_tokens"] > 0
