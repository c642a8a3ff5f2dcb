"""Tools and structured output with the default model, the installed command and the unmodified SDK."""

from __future__ import annotations

import json
from typing import Any, Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field
from tests.e2e.conftest import Server

from kodo.server.http.containers.runtime import refusal

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("real model")]
MODEL = "codex-mini-latest"

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
        },
        "required": ["city", "unit", "days"],
        "additionalProperties": False,
    },
}
MAIL: dict[str, Any] = {
    "type": "function",
    "name": "send_mail",
    "description": "Send an e-mail to somebody.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"to": {"type": "string", "pattern": "^[a-z]{1,8}@[a-z]{1,8}\\.com$"}},
        "required": ["to"],
        "additionalProperties": False,
    },
}
TOOLS = [WEATHER, MAIL]
PARAMETERS = {tool["name"]: tool["parameters"] for tool in TOOLS}
GREEDY = {"model": MODEL, "temperature": 0, "store": False}


def _calls(response: Any) -> list[Any]:
    """The function calls of an answer, each of whose arguments fits its schema."""
    calls = [item for item in response.output if item.type == "function_call"]
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), PARAMETERS[call.name])
        assert call.status == "completed"
    return calls


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"get_weather", "send_mail"}),
        ({"type": "function", "name": "send_mail"}, {"send_mail"}),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "get_weather"}],
            },
            {"get_weather"},
        ),
    ],
)
def test_a_call_that_must_be_made_is_made_and_fits(choice: Any, names: set[str], real: Server) -> None:
    """Required, named, one of those allowed: of the right function, with arguments that fit."""
    response = real.sdk().responses.create(
        **GREEDY, input="Hello there.", tools=TOOLS, tool_choice=choice, parallel_tool_calls=False
    )
    calls = _calls(response)
    assert [call.name in names for call in calls] == [True]
    assert response.status == "completed"


@pytest.mark.parametrize(
    ("choice", "asked", "name"),
    [
        ("auto", "What is the weather in the city of Paris?", "get_weather"),
        ("auto", "Please send an e-mail to my boss.", "send_mail"),
        ("auto", "Say hello in French.", None),
        ("none", "What is the weather in the city of Paris?", None),
    ],
)
def test_auto_chooses_and_none_never_calls(choice: Any, asked: str, name: str | None, real: Server) -> None:
    """The model answers or calls, and the turn ends."""
    response = real.sdk().responses.create(
        **GREEDY,
        input=asked,
        tools=TOOLS,
        tool_choice=choice,
        parallel_tool_calls=False,
        max_output_tokens=80,
    )
    calls = _calls(response)
    assert [call.name for call in calls] == ([] if name is None else [name])
    assert bool(response.output_text) is (name is None)


def test_a_streamed_call_goes_round(real: Server) -> None:
    """The deltas join to the arguments; the output is taken by id, and the model then answers in words."""
    sdk = real.sdk()
    events = list(
        sdk.responses.create(
            model=MODEL,
            temperature=0,
            input="What is the weather in Paris?",
            tools=[WEATHER],
            tool_choice="required",
            stream=True,
        )
    )
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    first = events[-1].response
    (call,) = _calls(first)
    assert len(deltas) > 1
    assert "".join(deltas) == done.arguments == call.arguments
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 degrees."}
    second = sdk.responses.create(
        model=MODEL,
        temperature=0,
        previous_response_id=first.id,
        input=[output],
        tools=[WEATHER],
        max_output_tokens=40,
    )
    assert second.output_text
    assert second.usage.input_tokens > first.usage.input_tokens
    with pytest.raises(openai.BadRequestError) as unknown:
        sdk.responses.create(**GREEDY, input=[{**output, "call_id": "call_nobody"}])
    assert unknown.value.param == "input"


class Colour(BaseModel):
    """A colour."""

    name: Literal["red", "green", "blue"]
    share: float = Field(ge=0, le=1)


class Palette(BaseModel):
    """Some colours."""

    title: str = Field(max_length=30)
    colours: list[Colour] = Field(min_length=1, max_length=3)
    dark: bool


def test_the_sdks_parse_gives_models_plain_and_streamed(real: Server) -> None:
    """Nested pydantic models with bounds come back as values."""
    sdk = real.sdk()
    parsed = sdk.responses.parse(**GREEDY, input="Describe a palette.", text_format=Palette)
    assert isinstance(parsed.output_parsed, Palette)
    with sdk.responses.stream(**GREEDY, input="Describe a palette.", text_format=Palette) as stream:
        final = stream.get_final_response()
    assert final.output_parsed == parsed.output_parsed


def test_json_object_is_an_object(real: Server) -> None:
    """Whatever it holds; where it is cut, the answer says so."""
    response = real.sdk().responses.create(
        **GREEDY,
        input="A person as JSON.",
        text={"format": {"type": "json_object"}},
        max_output_tokens=200,
    )
    assert response.output_text.startswith("{")
    if response.status == "completed":
        assert isinstance(json.loads(response.output_text), dict)
    else:
        assert response.incomplete_details.reason == "max_output_tokens"


def test_a_cut_answer_is_incomplete(real: Server) -> None:
    """Half a JSON text and half a call are marked as such."""
    sdk = real.sdk()
    many = {
        "type": "array",
        "items": {"type": "string", "minLength": 20, "maxLength": 30},
        "minItems": 9,
        "maxItems": 9,
    }
    text = {"format": {"type": "json_schema", "name": "many", "schema": many}}
    cut = sdk.responses.create(**GREEDY, input="Nine sentences.", text=text, max_output_tokens=20)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert cut.output[0].status == "incomplete"
    tool = {
        **WEATHER,
        "parameters": {"type": "object", "properties": {"all": many}, "required": ["all"]},
    }
    call = sdk.responses.create(
        **GREEDY, input="Call it.", tools=[tool], tool_choice="required", max_output_tokens=40
    )
    assert (call.status, call.output[-1].type, call.output[-1].status) == (
        "incomplete",
        "function_call",
        "incomplete",
    )


@pytest.mark.parametrize("keyword", ["not", "uniqueItems", "if", "dependentRequired", "propertyNames"])
def test_a_schema_that_cannot_be_enforced_names_the_keyword(keyword: str, real: Server) -> None:
    """As a format and as a function's parameters: 400, never free text."""
    value: dict[str, Any] = {
        "not": {"const": 1},
        "uniqueItems": True,
        "if": {"const": 1},
        "dependentRequired": {"a": ["b"]},
        "propertyNames": {"maxLength": 3},
    }
    schema = {"type": "object", "properties": {"a": {keyword: value[keyword]}}}
    sdk = real.sdk()
    with pytest.raises(openai.BadRequestError) as refused:
        text = {"format": {"type": "json_schema", "name": "s", "schema": schema}}
        sdk.responses.create(**GREEDY, input="x", text=text)
    assert refused.value.param.startswith("text.format.schema.properties.a")
    assert keyword in refused.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(**GREEDY, input="x", tools=[{**WEATHER, "parameters": schema}])
    assert refused.value.param.startswith("tools[0].parameters.properties.a")
    assert keyword in refused.value.message


BUILT_IN: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "local_shell"}, "local_shell_call", "action"),
    ({"type": "shell"}, "shell_call", "action"),
    ({"type": "apply_patch"}, "apply_patch_call", "operation"),
]


@pytest.mark.parametrize(("tool", "kind", "holds"), BUILT_IN)
def test_shells_and_patches_are_called(tool: dict[str, Any], kind: str, holds: str, real: Server) -> None:
    """Client tools of the built-in types give their own items, whose action is an object of the contract's form."""
    response = real.sdk().responses.create(
        **GREEDY, input="Go on.", tools=[tool], tool_choice="required", max_output_tokens=200
    )
    (item,) = response.output
    assert item.type == kind
    if response.status == "completed":
        action = getattr(item, holds).to_dict()
        expected = {"action": ("command", "commands"), "operation": ("path",)}[holds]
        assert any(name in action for name in expected)


def test_a_custom_tool_writes_what_its_grammar_allows(real: Server) -> None:
    """A regular expression and a Lark grammar are held; a grammar that does not compile is a 400."""
    sdk = real.sdk()
    grammars = {
        "regex": (r"[0-9]{4}-[0-9]{2}", r"^\d{4}-\d{2}$"),
        "lark": ('start: "add" | "remove"', "^(add|remove)$"),
    }
    for syntax, (definition, pattern) in grammars.items():
        tool = {
            "type": "custom",
            "name": "write",
            "format": {"type": "grammar", "syntax": syntax, "definition": definition},
        }
        response = sdk.responses.create(**GREEDY, input="Go.", tools=[tool], tool_choice="required")
        (call,) = response.output
        assert (call.type, call.name) == ("custom_tool_call", "write")
        jsonschema.validate(call.input, {"type": "string", "pattern": pattern})
    with pytest.raises(openai.BadRequestError) as refused:
        broken = {**tool, "format": {"type": "grammar", "syntax": "lark", "definition": "start: ("}}
        sdk.responses.create(**GREEDY, input="Go.", tools=[broken])
    assert refused.value.param == "tools[0].format.definition"


def test_a_function_of_a_namespace_keeps_it_and_goes_back(real: Server) -> None:
    """The call carries its namespace, and is taken back with it."""
    sdk = real.sdk()
    space = {"type": "namespace", "name": "mcp__office", "description": "The office.", "tools": [MAIL]}
    response = sdk.responses.create(**GREEDY, input="Go.", tools=[space], tool_choice="required")
    (call,) = _calls(response)
    assert (call.name, call.namespace) == ("send_mail", "mcp__office")
    history = [
        {"role": "user", "content": "Go."},
        call.to_dict(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "Sent."},
    ]
    after = sdk.responses.create(**GREEDY, input=history, tools=[space], max_output_tokens=20)
    assert after.output_text


def test_chat_completions_call_the_same_way(real: Server) -> None:
    """Required, streamed, answered, and with a schema for the answer."""
    sdk = real.sdk()
    tools = [{"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}]
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked: dict[str, Any] = {"model": MODEL, "temperature": 0, "tools": tools}
    whole = sdk.chat.completions.create(**asked, messages=messages, tool_choice="required").choices[0]
    (call,) = whole.message.tool_calls
    jsonschema.validate(json.loads(call.function.arguments), WEATHER["parameters"])
    assert whole.finish_reason == "tool_calls"
    chunks = sdk.chat.completions.create(**asked, messages=messages, tool_choice="required", stream=True)
    pieces = [chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices]
    assert "".join(piece[0].function.arguments or "" for piece in pieces if piece) == call.function.arguments
    messages += [whole.message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}]
    assert sdk.chat.completions.create(**asked, messages=messages, max_tokens=20).choices[0].message.content
    parsed = sdk.chat.completions.parse(
        model=MODEL, temperature=0, messages=messages[:1], response_format=Colour
    )
    assert isinstance(parsed.choices[0].message.parsed, Colour)


def test_the_default_model_runs_code_by_the_choice_rules(real: Server) -> None:
    """Words of the message mean the tool: the model writes code under its schema, the code runs, and the model answers."""
    sdk = real.sdk()
    tool: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
    asked: Any = {**GREEDY, "tools": [tool], "max_tool_calls": 1, "max_output_tokens": 200}
    if refusal(None):
        with pytest.raises(openai.BadRequestError, match="runs no code"):
            sdk.responses.create(**asked, input="hello")
        return
    made = sdk.responses.create(
        **asked,
        input="Run Python code to calculate 12 * 7 and print it.",
        include=["code_interpreter_call.outputs"],
    )
    (call,) = [item for item in made.output if item.type == "code_interpreter_call"]
    assert call.status == "completed" and call.code
    assert made.output[-1].type == "message" and made.output_text
    plain = sdk.responses.create(**asked, input="Who was Murasaki Shikibu?")
    assert [item.type for item in plain.output] == ["message"]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("What is the weather in Paris, in celsius, over 3 days?", ("Paris", "celsius", 3)),
        ("札幌の 5 日間の天気を摂氏で教えてください。", ("札幌", "celsius", 5)),
    ],
)
def test_arguments_are_taken_from_the_question(text: str, arguments: tuple[Any, ...], real: Server) -> None:
    """Word for word, also where the model alone would write another city."""
    response = real.sdk().responses.create(
        **GREEDY, input=text, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
    )
    (call,) = _calls(response)
    assert tuple(json.loads(call.arguments)[key] for key in ("city", "unit", "days")) == arguments


def test_arguments_that_would_not_fit_the_cap_are_written_freely(real: Server) -> None:
    """A long path of the question is no reason to cut a call that can be whole."""
    path = "/".join(["a-long-folder-name"] * 20)
    tool = {
        "type": "function",
        "name": "read",
        "strict": False,
        "description": "Read a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    }
    response = real.sdk().responses.create(
        **GREEDY, input=f"Read the file /{path}", tools=[tool], tool_choice="required", max_output_tokens=40
    )
    assert response.status == "completed"
