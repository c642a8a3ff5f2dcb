"""The form of the messages that servers take: by their profile, and learned from what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.contract.engines import WEATHER, answer, asking, says
from tests.contract.upstream_reports import PARIS, chunk, engine_at
from tests.standin.recorded import frames, recorded

from kodo.server.engines.upstream.chat_request import chat_request
from kodo.server.engines.upstream.profile import profile_named
from kodo.server.engines.upstream.refusal import read_refusal
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import ContextItem, Prompt
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

IMAGE = InputImage(image_url="data:image/png;base64,iVBORw0KGgo=")
YES = frames(chunk({"content": "Yes."}, "stop"))


def sent(profile: str, *items: ContextItem, instructions: str | None = "Be brief.") -> list[dict[str, Any]]:
    """The messages of a prompt."""
    prompt = Prompt(items=items, instructions=instructions)
    messages: list[dict[str, Any]] = chat_request("m", prompt, profile_named(profile), "here").body[
        "messages"
    ]
    return messages


def said(text: str) -> ContextItem:
    """Words of the assistant."""
    return ContextItem(item=Message(role="assistant", content=(OutputText(text=text),)))


def loop() -> tuple[ContextItem, ...]:
    """A turn of a tool loop, thinking included, and what the user says behind it."""
    return (
        says("Weather?"),
        ContextItem(item=Reasoning(summary=(SummaryText(text="Hm."),))),
        ContextItem(item=FunctionCall(call_id="a", name="get_weather", arguments=PARIS)),
        ContextItem(item=FunctionCallOutput(call_id="a", output="sunny")),
        says("And tomorrow?"),
    )


def test_what_the_user_says_in_several_messages_is_one_turn() -> None:
    """Agents begin with several; templates that want the roles to take turns refuse that. Images stay where they are."""
    picture = ContextItem(item=Message(role="user", content=(InputText(text="Look:"), IMAGE)))
    messages = sent(
        "vllm",
        says("One."),
        says("Two."),
        said("Yes?"),
        picture,
        says("Be kind.", "developer"),
        says("Three."),
    )
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[1]["content"] == "One.\n\nTwo."
    assert [part.get("text", part["type"]) for part in messages[3]["content"]] == ["Look:", "image_url", "Be kind.", "Three."]  # fmt: skip
    kept = sent("openai", says("One."), says("Two."))
    assert [message["role"] for message in kept] == ["system", "user", "user"]


@pytest.mark.parametrize("profile", ["generic", "openai", "deepseek", "mistral"])
def test_a_message_in_which_nothing_was_said_is_not_sent(profile: str) -> None:
    """Moonshot and others refuse an empty message of the assistant; thoughts or calls make it one that is not."""
    messages = sent(profile, says("Hello"), said(""), says("Are you there?"))
    assert all(message["content"] for message in messages)
    assert "assistant" not in [message["role"] for message in messages]
    call = ContextItem(item=FunctionCall(call_id="a", name="get_weather", arguments=PARIS))
    (made,) = [one for one in sent(profile, says("Hello"), said(""), call) if one["role"] == "assistant"]
    assert made["content"] is None  # an empty text beside the calls is refused, too


def test_only_the_first_of_several_calls_has_the_placeholder_for_a_signature() -> None:
    """Gemini signs the first one only; a placeholder on the others costs it answers."""
    calls = (FunctionCall(call_id=f"c{number}", name="get_weather", arguments=PARIS) for number in range(3))
    (message,) = sent("gemini", *(ContextItem(item=call) for call in calls), instructions=None)
    assert ["extra_content" in call for call in message["tool_calls"]] == [True, False, False]


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"message": "'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property 'reasoning_content' is unsupported)]"}},
        {"message": "messages.2.assistant.reasoning_content: property 'messages.2.assistant.reasoning_content' is unsupported", "code": "wrong_api_format"},
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 2, "assistant", "reasoning_content"], "msg": "Extra inputs are not permitted"}]},
        {"error": {"message": "Unknown parameter: 'messages[2].reasoning_content'.", "code": "unknown_parameter", "param": "messages[2].reasoning_content"}},
    ],
)  # fmt: skip
async def test_thoughts_that_a_server_refuses_are_sent_otherwise(refusal: dict[str, Any]) -> None:
    """First under the other name, then not at all; what was learned holds for the next request."""
    first = json.dumps(refusal).encode()
    second = first.replace(b"reasoning_content", b"reasoning")
    async with recorded(YES, refusals=[(400, first), (422, second)]) as server:
        engine = engine_at(server.url)
        for _ in range(2):
            got = await answer(engine, Prompt(items=loop(), tools=(WEATHER,)))
            assert got.text == "Yes."
        await engine.stop()
    fields = [sorted(name for name in body["messages"][1] if "reasoning" in name) for body in server.bodies]
    assert fields == [["reasoning_content"], ["reasoning"], [], []]


async def test_the_demand_for_thoughts_is_no_refusal_of_them() -> None:
    """DeepSeek's words for a field that is missing are handed on."""
    words = "The reasoning_content in the thinking mode must be passed back to the API."
    async with recorded(json.dumps({"error": {"message": words}}).encode(), status=400) as server:
        engine = engine_at(server.url)
        with pytest.raises(InvalidRequest, match="must be passed back"):
            await answer(engine, Prompt(items=loop()))
        await engine.stop()
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "words", "roles"),
    [
        (400, "Unexpected role 'user' after role 'tool'", ["system", "user", "assistant", "tool", "assistant", "user"]),
        (500, "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...", ["system", "user", "assistant", "tool", "assistant", "user"]),
        (400, "System role not supported", ["user", "assistant", "tool", "user"]),
    ],
)  # fmt: skip
async def test_an_order_that_a_template_refuses_is_sent_otherwise(
    status: int, words: str, roles: list[str]
) -> None:
    """The words of templates: an answer of the assistant in between, or the system's words in front of the user's."""
    refusal = json.dumps({"error": {"message": words, "code": status}}).encode()
    async with recorded(YES, refusals=[(status, refusal)]) as server:
        engine = engine_at(server.url)
        got = await answer(engine, Prompt(items=loop(), instructions="Be brief.", tools=(WEATHER,)))
        await engine.stop()
    assert got.text == "Yes."
    assert [message["role"] for message in server.bodies[1]["messages"]] == roles
    assert "Be brief." in str(server.bodies[1]["messages"])


async def test_a_refusal_that_nothing_can_be_done_about_is_handed_on() -> None:
    """The same words again, and words of an order that is not there: one request each, and the reason."""
    refusal = json.dumps({"error": {"message": "Unexpected role 'user' after role 'tool'"}}).encode()
    async with recorded(refusal, status=400) as server:
        engine = engine_at(server.url)
        with pytest.raises(InvalidRequest, match="after role 'tool'"):
            await answer(engine, asking("Hi"))
        with pytest.raises(InvalidRequest, match="after role 'tool'"):
            await answer(engine, Prompt(items=loop()))
        await engine.stop()
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("status", "body", "name"),
    [
        (400, {"error": {"message": "property 'prompt_cache_key' is unsupported"}}, "prompt_cache_key"),
        (422, {"message": "body.verbosity: property 'body.verbosity' is unsupported", "code": "wrong_api_format"}, "verbosity"),
        (400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}}, "stream_options"),
        (400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'}}], "seed"),
        (400, {"error": {"message": "Extra inputs are not permitted, field: 'prompt_cache_key'"}}, "prompt_cache_key"),
        (400, {"detail": "Unsupported parameter(s): `prompt_cache_key`"}, "prompt_cache_key"),
        (400, {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'verbosity'), 'msg': 'Extra inputs are not permitted'}]"}, "verbosity"),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "parallel_tool_calls"], "msg": "Extra inputs are not permitted"}]}, "parallel_tool_calls"),
        (400, {"object": "error", "message": "reasoning_effort is not enabled for this model"}, "reasoning_effort"),
        (400, {"error": {"message": "This model is not supported."}}, None),
        (500, {"error": {"message": "property 'seed' is unsupported"}}, None),
    ],
)  # fmt: skip
def test_the_field_that_is_refused_is_found(status: int, body: Any, name: str | None) -> None:
    """In the words that servers have for it."""
    assert read_refusal(status, json.dumps(body).encode()).refused_field == name


async def test_an_effort_that_a_model_of_mistral_has_not_is_left_out() -> None:
    """Its models take one or refuse it; another server's refusal is the client's to know."""
    refusal = (400, b'{"object": "error", "message": "reasoning_effort is not enabled for this model"}')
    prompt = Prompt(items=(says("Hi"),), reasoning_effort="low")
    for profile, requests in (("mistral", ["high", None]), ("generic", ["low"])):
        async with recorded(YES, refusals=[refusal]) as server:
            engine = engine_at(server.url, profile=profile)
            if profile == "generic":
                with pytest.raises(InvalidRequest, match="reasoning_effort"):
                    await answer(engine, prompt)
            else:
                assert (await answer(engine, prompt)).text == "Yes."
            await engine.stop()
        assert [body.get("reasoning_effort") for body in server.bodies] == requests
