"""Pages: their text in every encoding and format, kept for a while, searched; and which URLs a model may open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.web import search_settings, served_app

from kodo.server.config import FileSearchSettings
from kodo.server.http.vector_stores.reading import read_text
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.tools.web_search.addresses import PageRefused, PageUrl
from kodo.server.tools.web_search.fetching import PageFetcher
from kodo.server.tools.web_search.known_urls import KnownUrls
from kodo.server.tools.web_search.pages import OpenedPage, PageReader, find_matches
from kodo.server.wire.hosted_items import WebSearchCall
from kodo.server.wire.items import FunctionCallOutput, InputText, Message, OutputText

ARTICLE = "<html><head><title>お茶 &amp; 水</title>{meta}</head><body><nav>menu</nav><article><h1>お茶</h1><p>緑茶は七十度で二分です。{more}</p></article></body></html>"


def anything(page: PageUrl) -> None:
    """No filter."""


@asynccontextmanager
async def opener(
    answers: dict[str, Response], now: Callable[[], float] = lambda: 0.0, **options: Any
) -> AsyncIterator[tuple[Callable[[str], Any], list[str]]]:
    """What opens ``/name``, and the names that were asked of the server."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.path_params["name"])
        return answers[request.path_params["name"]]

    async def read(path: Path, name: str) -> str:
        return await read_text(path, name, FileSearchSettings())

    async with served_app(Starlette(routes=[Route("/{name}", answer)])) as port:
        settings = search_settings(port, **options)
        pages = PageReader(settings, PageFetcher(settings), read, now)
        yield lambda name: pages.open(f"http://127.0.0.1:{port}/{name}", anything), asked
        await pages.close()


@pytest.mark.parametrize(
    ("encoding", "header", "meta"),
    [
        ("utf-8", "text/html; charset=utf-8", ""),
        ("utf-8", "text/html", ""),
        ("euc_jp", 'text/html; charset="EUC-JP"', ""),
        ("cp932", "text/html", '<meta http-equiv="content-type" content="text/html; charset=Shift_JIS">'),
        ("iso2022_jp", "text/html", "<meta charset=iso-2022-jp>"),
        ("utf-8", "text/html; charset=punycode", ""),
    ],
)
async def test_a_page_is_read_in_its_encoding(encoding: str, header: str, meta: str) -> None:
    """By the header, else by the page itself; one that is no encoding of pages is not used."""
    body = ARTICLE.format(meta=meta, more="水は軟水がよく、急須は温めておきます。" * 20).encode(encoding)
    async with opener({"a": Response(body, headers={"content-type": header})}) as (open_page, _):
        page: OpenedPage = await open_page("a")
    assert "緑茶は七十度で二分です。" in page.text
    assert page.title == "お茶 & 水"
    assert "menu" not in page.text


async def test_other_formats_are_read_and_unknown_ones_refused() -> None:
    """Text and JSON as they are; images, archives and empty pages not."""
    answers = {
        "text": Response("tea is steeped", media_type="text/plain"),
        "json": Response('{"tea": 70}', media_type="application/ld+json"),
        "image": Response(b"\x89PNG", media_type="image/png"),
        "empty": Response("<html><body></body></html>", media_type="text/html"),
        "broken": Response(b"%PDF-1.7 nothing", media_type="text/html"),
    }
    async with opener(answers) as (open_page, _):
        assert (await open_page("text")).text == "tea is steeped"
        assert (await open_page("json")).text == '{"tea": 70}'
        for name in ("image", "empty", "broken"):
            with pytest.raises(PageRefused):
                await open_page(name)


async def test_a_page_is_kept_for_its_time() -> None:
    """Then it is asked again; its text is cut to the limit."""
    clock = [0.0]
    answers = {"a": Response("x" * 5000, media_type="text/plain")}
    async with opener(answers, lambda: clock[0], cache_seconds=10, page_chars=1000) as (open_page, asked):
        assert len((await open_page("a")).text) == 1000
        await open_page("a")
        clock[0] = 11.0
        await open_page("a")
    assert asked == ["a", "a"]


async def test_a_kept_page_is_shown_to_the_filters_again() -> None:
    """One request's filters do not open a page for another one's."""
    answers = {"a": Response("tea", media_type="text/plain")}
    async with served_app(Starlette(routes=[Route("/{name}", lambda _: answers["a"])])) as port:
        settings = search_settings(port)

        async def read(path: Path, name: str) -> str:
            raise AssertionError

        def check(page: PageUrl) -> None:
            raise PageRefused("filtered")

        pages = PageReader(settings, PageFetcher(settings), read)
        await pages.open(f"http://127.0.0.1:{port}/a", anything)
        with pytest.raises(PageRefused, match="filtered"):
            await pages.open(f"http://127.0.0.1:{port}/a", check)
        await pages.close()


def test_matches_are_shown_with_what_is_around_them() -> None:
    """Case and white space do not matter; near ones are one; where there is none, the part with the most words."""
    text = "a" * 1000 + " Green\n Tea here " + "b" * 1000 + " and green tea there. " + "c" * 1000
    first, second = find_matches(text, "green tea")
    assert "Green\n Tea here" in first and "green tea there" in second
    assert len(first) < 900
    assert len(find_matches("green tea. green tea.", "green tea")) == 1
    assert find_matches("Oolong steeps for three minutes.", "how many minutes for oolong") == [
        "Oolong steeps for three minutes."
    ]
    assert find_matches("Oolong.", "coffee") == [] == find_matches("x", " ")
    assert len(find_matches("tea " + ("x" * 1000 + " tea ") * 100, "tea")) == 8
    assert find_matches("本堂の拝観は午前九時から", "拝観") == ["本堂の拝観は午前九時から"]


def history(*texts: str) -> list[ContextItem]:
    """A conversation: the user's text, then outputs that the model was shown."""
    question = Message(role="user", content=(InputText(text=texts[0]),))
    outputs = [
        ContextItem(
            item=WebSearchCall(id=f"ws_{number}"),
            shown=(FunctionCallOutput(call_id="c", output=text),),
        )
        for number, text in enumerate(texts[1:])
    ]
    return [ContextItem(item=question), *outputs]


RESULT = (
    '<result mark="[w1]" title="A" url="https://a.example/x?y=1">\nSee https://b.example/link.\n</result>'
)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("https://user.example/page", "https://user.example/page"),
        ("https://user.example/page/", "https://user.example/page/"),
        ("https://bare.example", "https://bare.example/"),
        ("[w1]", "https://a.example/x?y=1"),
        ("w1", "https://a.example/x?y=1"),
        ("https://b.example/link", "https://b.example/link"),
        ("https://b.example/", "https://b.example/"),
        ("HTTPS://A.example/x?y=1#part", "https://a.example/x?y=1"),
    ],
)
def test_urls_that_were_shown_may_be_opened(named: str, found: str) -> None:
    """The user's, a result's, a link's; a bare host by its first page; a mark."""
    items = history("Read (https://user.example/page), or bare.example!", RESULT)
    assert KnownUrls(items).find(named) == found


@pytest.mark.parametrize(
    "named",
    [
        "https://user.example/page?q=secret", "https://user.example/pag", "https://a.example/x",
        "https://evil.bare.example/", "https://bare.example/x", "https://bare.example.evil.example/", "[w9]", "",
        "http://user.example/page", "https://said.example/", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_urls_that_were_made_up_may_not(named: str) -> None:
    """Another query, a part of one, another scheme; what the model itself wrote before does not count."""
    said = Message(role="assistant", content=(OutputText(text="Look at https://said.example/ now"),))
    items = [*history("Read (https://user.example/page), or bare.example!", RESULT), ContextItem(item=said)]
    with pytest.raises(PageRefused):
        KnownUrls(items).find(named)


def test_a_citation_of_an_answer_may_be_opened_again() -> None:
    """A client that keeps its own history sends no outputs, but annotations."""
    note = {
        "type": "url_citation",
        "url": "https://cited.example/x",
        "title": "",
        "start_index": 0,
        "end_index": 1,
    }
    said = Message(role="assistant", content=(OutputText(text="x", annotations=(note,)),))
    items: Sequence[ContextItem] = [ContextItem(item=said)]
    assert KnownUrls(items).find("https://cited.example/x")
