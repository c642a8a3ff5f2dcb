"""The default model searches when it is asked to, in files and on the web, and cites what answers; in its own few words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from tests.serving import MODEL, Served, served, settings
from tests.unit.server.http.test_vector_stores import KYOTO as KYOTO_FILE
from tests.unit.server.http.test_vector_stores import TEA as TEA_FILE
from tests.unit.server.http.test_vector_stores import filled
from tests.web import KYOTO, TEA, FakePage, served_web, tool_settings

from kodo.home import kodo_home
from kodo.server.config import DEFAULT_MODEL, ModelSettings

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("real model")]
PORT = FakePage(
    "port",
    "Settings of the server",
    "<article><p>The server listens on port 8000 unless another one is given.</p></article>",
    "The server listens on port 8000 unless another one is given.",
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """kodo with the default model and a small web."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / DEFAULT_MODEL).symlink_to(kodo_home() / "models" / DEFAULT_MODEL)
    async with served_web(TEA, KYOTO, PORT) as (_, port):
        model = ModelSettings(engine="llama", target=DEFAULT_MODEL)
        async with served(settings(tmp_path, model, tools=tool_settings(port))) as server:
            yield server


async def ask(server: Served, question: str, tool: dict[str, Any]) -> Response:
    """The answer, greedily; its strict type is checked."""
    tools: Any = [tool]
    made = await server.sdk(timeout=240).responses.create(
        model=MODEL, input=question, tools=tools, temperature=0, max_output_tokens=160
    )
    return Response.model_validate_json(made.to_json(), strict=True)


def cited(response: Response) -> list[str]:
    """The names, or the ends of the URLs, that the answer cites."""
    (part,) = response.output[-1].content  # type: ignore[union-attr]  # a message
    notes: list[Any] = part.annotations  # type: ignore[union-attr]
    return [note.filename if note.type == "file_citation" else note.url.rpartition("/")[2] for note in notes]


async def test_it_cites_the_file_that_says_it(server: Served) -> None:
    """Asked to search, with the sentence that answers. (The guides' examples are questions in the other language.)"""
    store = await filled(server.sdk(), tea_md=TEA_FILE, kyoto_txt=KYOTO_FILE)
    tool = {"type": "file_search", "vector_store_ids": [store]}
    found = await ask(server, "ファイルを検索して。金閣寺の拝観料はいくらですか。", tool)
    assert [item.type for item in found.output] == ["file_search_call", "message"], found.output_text
    assert (cited(found), "五百円" in found.output_text) == (["kyoto.txt"], True), found.output_text


async def test_it_cites_the_page_that_says_it(server: Served) -> None:
    """The words that are cited are the answer's."""
    question = "Search the web for the port that the server listens on."
    found = await ask(server, question, {"type": "web_search"})
    calls = {item.type for item in found.output[:-1]}
    assert calls == {"web_search_call"} and found.output[-1].type == "message", found.output
    assert (cited(found), "8000" in found.output_text) == (["port"], True), found.output_text
    (part,) = found.output[-1].content  # type: ignore[union-attr]
    (note,) = part.annotations  # type: ignore[union-attr]
    assert (note.start_index, note.end_index) == (0, len(part.text))  # type: ignore[union-attr]


async def test_what_has_nothing_to_do_with_it_is_not_searched_for(server: Served) -> None:
    """A greeting is answered without a call."""
    found = await ask(server, "Hello!", {"type": "web_search"})
    assert [item.type for item in found.output] == ["message"]
