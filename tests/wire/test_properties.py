"""Invariants of every turn, over drawn schemas, tools and answers: valid or refused, it ends, usage adds up.

The scripted engine says anything a script can; the tiny model is held to drawn schemas by the real engine; the default
model takes the same road a few times.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from tests.serving import MODEL, Served, script, served
from tests.serving import settings as serving
from tests.tiny_model import write_tiny_model
from tests.wire.spec import check_stream, read_sse

from kodo.home import kodo_home
from kodo.server.config import LlamaSettings, ModelSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")


def examples(number: int) -> settings:
    """So many, always the same ones. A busy machine makes them slow, not wrong; a failure is shown as it was drawn."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )


# --- what is drawn ---------------------------------------------------------------------------------------------------

_LEAVES = st.one_of(
    st.sampled_from(["null", "boolean", "integer", "number", "string"]).map(lambda kind: {"type": kind}),
    st.fixed_dictionaries(
        {"type": st.just("integer")},
        optional={
            "minimum": st.integers(-9, 0),
            "maximum": st.integers(0, 9),
            "multipleOf": st.integers(1, 3),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(3, 9),
            "pattern": st.sampled_from(["^[a-z]+$", "^[0-9]{2}$", "(["]),
            "format": st.sampled_from(["date", "ipv4", "banana"]),
        },
    ),
    from_schema({"type": "array", "items": {"type": ["null", "boolean", "integer"]}, "minItems": 1}).map(
        lambda values: {"enum": values[:4]}
    ),
    st.sampled_from(
        [{}, {"not": {}}, {"$ref": "#/nowhere"}, {"uniqueItems": True}, {"type": "banana"}, {"const": "x"}]
    ),
)
"""Schemas without parts: those that can be enforced, and a few that cannot."""
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,16}", fullmatch=True)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(NAMES, inner, max_size=4)
    objects = named.flatmap(
        lambda properties: st.lists(st.sampled_from(sorted(properties) or ["x"]), unique=True).map(
            lambda required: {
                "type": "object",
                "properties": properties,
                "required": [name for name in required if name in properties],
                "additionalProperties": False,
            }
        )
    )
    arrays = st.builds(
        lambda items, low: {"type": "array", "items": items, "minItems": low, "maxItems": low + 1},
        inner,
        st.integers(0, 2),
    )
    return objects | arrays | st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner)


SCHEMAS = st.recursive(_LEAVES, _nested, max_leaves=6)
OBJECTS = st.dictionaries(NAMES, SCHEMAS, max_size=3).map(
    lambda properties: {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
)
TOOLS = st.lists(
    st.builds(
        lambda name, schema: {"type": "function", "name": name, "parameters": schema, "strict": True},
        NAMES,
        OBJECTS,
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool["name"],
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
STEPS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
        st.builds(lambda text: {"type": "reasoning", "text": text}, TEXTS),
        st.builds(
            lambda name, text, kind: {"type": "call", "name": name, "arguments": text, "kind": kind},
            NAMES,
            TEXTS,
            st.sampled_from(["function", "custom"]),
        ),
        st.builds(lambda reason: {"type": "finish", "reason": reason}, st.sampled_from(["stop", "length"])),
        st.just({"type": "fail"}),
    ),
    max_size=6,
)

# --- what holds ------------------------------------------------------------------------------------------------------


async def _turn(server: Served, **body: Any) -> dict[str, Any] | None:
    """The final response of a streamed turn after all checks; None: refused, and properly."""
    async with server.http() as http:
        answer = await http.post("/v1/responses", json={"model": MODEL, "stream": True, **body})
    if answer.status_code == 400:
        error = answer.json()["error"]
        assert error["code"]
        assert error["param"].startswith(("tools", "text", "tool_choice", "input"))
        assert error["message"]
        return None
    assert answer.status_code == 200, answer.text
    events = read_sse(answer.content)
    check_stream(events)
    final: dict[str, Any] = events[-1]["response"]
    usage = final["usage"]
    if usage is not None:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["input_tokens_details"]["cached_tokens"] <= usage["input_tokens"]
        assert usage["output_tokens_details"]["reasoning_tokens"] <= usage["output_tokens"]
        if "max_output_tokens" in body:
            assert usage["output_tokens"] <= body["max_output_tokens"]
    return final


def _holds(final: dict[str, Any], schemas: dict[str, dict[str, Any]], text: dict[str, Any] | None) -> None:
    """Whole calls fit their functions' schemas and whole texts their format's; what is not whole says so."""
    assert final["status"] in ("completed", "incomplete"), final["error"]
    whole = final["status"] == "completed"
    for number, item in enumerate(final["output"]):
        last = number == len(final["output"]) - 1
        assert item["status"] == ("completed" if whole or not last else "incomplete")
        if item["status"] != "completed":
            continue
        if item["type"] == "function_call":
            jsonschema.validate(json.loads(item["arguments"]), schemas[item["name"]])
        elif text is not None:
            jsonschema.validate(json.loads(item["content"][0]["text"]), text)


def _format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": "drawn", "schema": schema}}


@examples(20)
@given(steps=STEPS, tools=TOOLS, cap=st.none() | st.integers(1, 12), single=st.booleans())
async def test_whatever_the_model_says_the_turn_is_valid_and_ends(
    steps: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    cap: int | None,
    single: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Words, thoughts, calls with any arguments, cuts and failures, in any order."""
    folder = tmp_path_factory.mktemp("drawn")
    model = script(folder, {"match": "", "steps": steps})
    body = {"input": "go", "tools": tools, "parallel_tool_calls": not single, "store": False}
    async with served(serving(folder / "home", model)) as server:
        final = await _turn(server, **body, **({} if cap is None else {"max_output_tokens": cap}))
    if final is not None and single:
        assert sum(item["type"].endswith("_call") for item in final["output"]) <= 1


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tiny(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The real engine with a model of random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    model = ModelSettings(target=str(write_tiny_model(folder / "tiny.gguf", context=8192)))
    options = LlamaSettings(parallel=1, threads=1)
    async with served(serving(folder / "home", model, llama=options)) as server:
        yield server


@examples(20)
@given(schema=SCHEMAS)
async def test_a_drawn_schema_is_held_or_refused(schema: dict[str, Any], tiny: Served) -> None:
    """Never free text: the answer fits, or it is cut and says so, or the request is a 400."""
    final = await _turn(tiny, input="go", text=_format(schema), max_output_tokens=80, store=False)
    if final is not None:
        _holds(final, {}, schema)


@examples(20)
@given(tools=TOOLS, named=st.booleans(), parallel=st.booleans())
async def test_calls_of_drawn_functions_fit_or_are_refused(
    tools: list[dict[str, Any]], named: bool, parallel: bool, tiny: Served
) -> None:
    """Required or named, one or several: the arguments always fit."""
    choice = {"type": "function", "name": tools[0]["name"]} if named else "required"
    final = await _turn(
        tiny,
        input="go",
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_output_tokens=120,
        store=False,
    )
    if final is not None:
        _holds(final, {tool["name"]: tool["parameters"] for tool in tools}, None)
        assert (
            any(item["type"] == "function_call" for item in final["output"])
            or final["status"] == "incomplete"
        )
        if named:
            assert all(item["name"] == tools[0]["name"] for item in final["output"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def default(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The default model."""
    home = tmp_path_factory.mktemp("default")
    (home / "models").symlink_to(kodo_home() / "models")
    async with served(serving(home, ModelSettings(), llama=LlamaSettings(parallel=1))) as server:
        yield server


@pytest.mark.model
@pytest.mark.xdist_group("real model")
@examples(3)
@given(schema=OBJECTS, tools=TOOLS)
async def test_the_default_model_is_held_to_drawn_schemas_too(
    schema: dict[str, Any], tools: list[dict[str, Any]], default: Served
) -> None:
    """The same road with weights that mean something."""
    body = {"input": "Fill this in.", "max_output_tokens": 60, "store": False}
    final = await _turn(default, text=_format(schema), **body)
    if final is not None:
        _holds(final, {}, schema)
    final = await _turn(default, tools=tools, tool_choice="required", **body)
    if final is not None:
        _holds(final, {tool["name"]: tool["parameters"] for tool in tools}, None)
