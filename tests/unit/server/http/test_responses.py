"""What the wire tests do not show of /v1/responses: images and files, clients that leave, fair caps."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import MODEL, script, served, settings

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}


def _user(*parts: dict[str, Any]) -> Any:
    return [{"role": "user", "content": list(parts)}]


async def test_an_image_becomes_a_note_that_it_cannot_be_seen(tmp_path: Path) -> None:
    """A text-only model is told; the stored item keeps the image."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        response = await sdk.responses.create(model=MODEL, input=_user(IMAGE))
        assert "cannot see images" in response.output_text
        (item,) = (await sdk.responses.input_items.list(response.id)).data
    assert item.content[0].type == "input_image"  # type: ignore[union-attr]  # a message


async def test_an_image_is_refused_where_the_settings_say_so(tmp_path: Path) -> None:
    """400, and the path of the part."""
    async with served(settings(tmp_path, images="refuse")) as server:
        with pytest.raises(openai.BadRequestError) as caught:
            await server.sdk().responses.create(
                model=MODEL, input=_user({"type": "input_text", "text": "see?"}, IMAGE)
            )
    assert (caught.value.param, caught.value.code) == ("input[0].content[1]", "unsupported_content")


async def test_a_refused_part_is_counted_from_the_requests_own_input(tmp_path: Path) -> None:
    """Not from the beginning of the history; what that holds is named by the field that brought it."""
    async with served(settings(tmp_path, images="refuse")) as server:
        sdk = server.sdk()
        first = await sdk.responses.create(model=MODEL, input="hi")
        talk = await sdk.conversations.create(items=_user(IMAGE))
        own = [*_user({"type": "input_text", "text": "see?"}), *_user(IMAGE)]
        calls: Any = (
            ({"input": own, "previous_response_id": first.id}, "input[1].content[0]"),
            ({"input": "x", "conversation": talk.id}, "conversation"),
        )
        for options, param in calls:
            for call in (sdk.responses.create, sdk.responses.input_tokens.count):
                with pytest.raises(openai.BadRequestError) as caught:
                    await call(model=MODEL, **options)
                assert (caught.value.param, caught.value.code) == (param, "unsupported_content")


async def test_a_file_of_text_is_read(tmp_path: Path) -> None:
    """Inline files of UTF-8 text are shown to the model, with their names."""
    data = base64.b64encode("print('こんにちは')".encode()).decode()
    part = {"type": "input_file", "filename": "a.py", "file_data": f"data:text/x-python;base64,{data}"}
    async with served(settings(tmp_path)) as server:
        response = await server.sdk().responses.create(model=MODEL, input=_user(part))
    assert response.output_text == "File a.py:\nprint('こんにちは')"


async def test_what_a_client_left_is_counted_and_kept(tmp_path: Path) -> None:
    """A stream that is left ends as cancelled, with the tokens that were used."""
    turn = {"steps": [{"type": "text", "text": "a few words"}, {"type": "delay", "seconds": 60}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        sdk = server.sdk()
        stream = await sdk.responses.create(model=MODEL, input="go", stream=True)
        response_id = ""
        async for event in stream:
            if event.type == "response.created":
                response_id = event.response.id
            elif event.type == "response.output_text.delta" and event.delta.endswith("rds"):
                break
        await stream.close()
        while (kept := await sdk.responses.retrieve(response_id)).status == "in_progress":
            await asyncio.sleep(0.01)
        assert server.state.models[MODEL].admission.running == 0
    assert kept.status == "cancelled"
    assert kept.usage is not None
    assert kept.usage.output_tokens == 3
    assert kept.output_text == "a few words"


async def test_an_uncapped_answer_with_company_ends_at_the_default_cap(tmp_path: Path) -> None:
    """Beside one that runs it goes on to its end; where somebody waits, and without a cap of the client's, it ends behind a word."""
    turns = [{"steps": [{"type": "text", "text": "word " * 400}]} for _ in range(8)]
    model = script(tmp_path, *turns, pace=0.0005).model_copy(update={"default_output_tokens": 256})
    async with served(settings(tmp_path / "home", model)) as server:
        sdk = server.sdk()
        server.state.models[MODEL].admission.parallel = 2
        two = await asyncio.gather(*(sdk.responses.create(model=MODEL, input="go") for _ in range(2)))
        assert [(one.status, one.usage and one.usage.output_tokens) for one in two] == [
            ("completed", 500)
        ] * 2
        five = await asyncio.gather(*(sdk.responses.create(model=MODEL, input="go") for _ in range(5)))
        capped = await sdk.responses.create(model=MODEL, input="go", max_output_tokens=400)
    assert [one.status for one in five] == ["completed"] * 5
    assert all(256 <= one.usage.output_tokens <= 288 for one in five if one.usage)
    assert all(one.output_text.endswith(("word…", "word …")) for one in five)
    assert capped.usage is not None
    assert capped.usage.output_tokens == 400


async def test_reasoning_does_not_count_for_the_servers_own_cap(tmp_path: Path) -> None:
    """A model that thinks for longer than the cap still answers; and what it is asked to write in a format is not cut."""
    thought = {"type": "reasoning", "text": "I think. " * 60}
    turns = [
        {"steps": [thought, {"type": "text", "text": "word " * 200}]},
        {"steps": [thought, {"type": "text", "text": '{"n": 1}'}]},
    ]
    capped = {"default_output_tokens": 40, "default_cap": "always"}
    model = script(tmp_path, *turns).model_copy(update=capped)
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    async with served(settings(tmp_path / "home", model)) as server:
        sdk = server.sdk()
        free = await sdk.responses.create(model=MODEL, input="go")
        form: Any = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}}
        formed = await sdk.responses.create(model=MODEL, input="go", text=form)
    assert free.usage is not None
    thoughts = free.usage.output_tokens_details.reasoning_tokens
    assert thoughts > 100
    assert 40 <= free.usage.output_tokens - thoughts <= 45
    assert free.output_text.startswith("word word")
    assert (formed.status, formed.output_text) == ("completed", '{"n": 1}')


async def test_a_prewarm_reads_the_prompt_and_says_nothing(tmp_path: Path) -> None:
    """prompt_cache_options.prewarm: a completed response without output, whose input was counted."""
    async with served(settings(tmp_path)) as server:
        warmed = await server.sdk().responses.create(
            model=MODEL, input="a long prompt", prompt_cache_key="k", prompt_cache_options={"prewarm": True}
        )
    assert (warmed.status, warmed.output) == ("completed", [])
    assert warmed.usage is not None
    assert warmed.usage.input_tokens > 0
    assert warmed.usage.output_tokens == 0


@pytest.mark.parametrize(
    "more", [{}, {"type": "message"}, {"id": "msg_1", "type": "message", "status": "completed"}]
)
async def test_an_assistant_turn_without_words_is_accepted(tmp_path: Path, more: dict[str, str]) -> None:
    """Clients send ``content: null`` beside tool calls; the same for a user's message stays an error that names it."""
    turn = {"role": "assistant", "content": None, **more}
    async with served(settings(tmp_path)) as server, server.http() as http:
        body = {
            "model": MODEL,
            "input": [{"role": "user", "content": "a"}, turn, {"role": "user", "content": "b"}],
        }
        answer = await http.post("/v1/responses", json=body)
        assert answer.status_code == 200, answer.text
        body["input"] = [{"role": "user", "content": None}]
        refused = await http.post("/v1/responses", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[0].content")
