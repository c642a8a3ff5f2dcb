"""``web_search_options`` of Chat Completions, and the search in a batch's line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from tests.serving import MODEL, served, settings
from tests.unit.server.http.test_web_search import SEARCH, kodo

MESSAGES: Any = [{"role": "user", "content": "How long is green tea steeped?"}]
TURNS = (("<result", "Tea. Two minutes[w1]."), (".", SEARCH))


async def test_an_answer_rests_on_the_web(tmp_path: Path) -> None:
    """Plain and streamed: the text has no mark, the message its citations, the words that they belong to are right."""
    options: Any = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"country": "JP", "city": "Kyoto"}},
    }
    async with kodo(tmp_path, *TURNS) as (server, web, port):
        create = server.sdk().chat.completions.create
        made = await create(model=MODEL, messages=MESSAGES, web_search_options=options)
        ChatCompletion.model_validate_json(made.to_json(), strict=True)
        chunks = [
            chunk
            async for chunk in await create(
                model=MODEL, messages=MESSAGES, web_search_options=options, stream=True
            )
        ]
    message = made.choices[0].message
    assert message.content == "Tea. Two minutes."
    (note,) = message.annotations or []
    assert note.url_citation.url == f"http://127.0.0.1:{port}/pages/tea"
    place = slice(note.url_citation.start_index, note.url_citation.end_index)
    assert message.content[place] == "Tea. Two minutes"
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == message.content
    streamed = [one for delta in deltas for one in getattr(delta, "annotations", None) or ()]
    assert streamed == [note.to_dict()]
    assert len(web.searches) == 2 and made.choices[0].finish_reason == "stop"


async def test_a_client_that_chooses_is_not_overruled(tmp_path: Path) -> None:
    """With ``tool_choice`` none the model is offered no search."""
    async with kodo(tmp_path, (".", "by heart")) as (server, web, _):
        await server.sdk().chat.completions.create(
            model=MODEL, messages=MESSAGES, web_search_options={}, tool_choice="none"
        )
    assert web.searches == []


async def test_wrong_options_are_named_as_the_client_knows_them(tmp_path: Path) -> None:
    """The field's path is chat's."""
    location: Any = {"type": "approximate", "approximate": {"country": "Japan"}}
    async with kodo(tmp_path, *TURNS) as (server, _, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await server.sdk().chat.completions.create(
                model=MODEL, messages=MESSAGES, web_search_options={"user_location": location}
            )
    assert caught.value.param == "web_search_options.user_location.approximate.country"


async def test_off_it_is_refused_with_the_setting(tmp_path: Path) -> None:
    """By name."""
    async with served(settings(tmp_path)) as server:
        with pytest.raises(openai.BadRequestError, match=r"tools\.web_search") as caught:
            await server.sdk().chat.completions.create(model=MODEL, messages=MESSAGES, web_search_options={})
    assert caught.value.param == "web_search_options"
