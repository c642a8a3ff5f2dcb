"""Which pages a model may open: those that the user named, or that a tool's result showed.

A page can tell the model to open a URL that carries what the model knows. Such a URL was made up by the model, so it
stands nowhere in what the model was given; those that do stand there were chosen before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.tools.web_search.addresses import PageRefused, PageUrl, check_url
from kodo.server.wire.items import FunctionCallOutput, InputText, Item, Message, OutputText

ANY_PORT: Final = range(1, 65536)
_URL: Final = re.compile(r"https?://[^\s<>\"'`{}|\\^\[\]（）「」『』、。]{1,2048}", re.IGNORECASE)
_RESULT: Final = re.compile(r'<(?:result|page) mark="\[(w[0-9.]+)\]"[^>\n]*? url="([^"\n]+)"')
_MARK: Final = re.compile(r"\[?(w[0-9.]*[0-9])\]?")


class KnownUrls:
    """The URLs in a history."""

    def __init__(self, items: Sequence[ContextItem]) -> None:
        self._texts = list(_texts(items))

    def find(self, named: str) -> str:
        """The URL that a call names: the mark of a result, or a URL that stands in the history.

        Raises:
            PageRefused: it is neither.
        """
        mark = _MARK.fullmatch(named.strip())
        if mark is not None:
            for text in reversed(self._texts):
                for found in _RESULT.finditer(text):
                    if found[1] == mark[1]:
                        return found[2]
            raise PageRefused("No result has this mark.")
        page = check_url(named.strip(), ANY_PORT)
        if not any(self._has(text, page) for text in self._texts):
            raise PageRefused(
                "Only pages that the user named, or that a result shows, can be opened. Search for it first."
            )
        return page.text

    def _has(self, text: str, page: PageUrl) -> bool:
        if page.target == "/" and re.search(
            rf"(?<![\w.-]){re.escape(page.host)}(?![\w.-]*\w)", text, re.IGNORECASE
        ):
            return True
        return any(_same(url, page) for url in _urls(text))


def _urls(text: str) -> Iterator[PageUrl]:
    for found in _URL.findall(text):
        for url in dict.fromkeys((found, found.rstrip(".,;:!?)*_~"))):
            try:
                yield check_url(url, ANY_PORT)
            except PageRefused:
                continue


def _same(one: PageUrl, other: PageUrl) -> bool:
    place = (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
    return place and one.target.rstrip("/") == other.target.rstrip("/")


def _texts(items: Iterable[ContextItem]) -> Iterator[str]:
    """What was given to the model: the user's messages, the outputs of tools, the citations of answers."""
    for context in items:
        yield from _given(context.item)
        for item in context.shown or ():
            yield from _given(item)


def _given(item: Item) -> Iterator[str]:
    if isinstance(item, FunctionCallOutput):
        parts = (item.output,) if isinstance(item.output, str) else item.output
        yield from (part if isinstance(part, str) else getattr(part, "text", "") for part in parts)
    elif isinstance(item, Message):
        for part in item.content:
            if isinstance(part, InputText) and item.role != "assistant":
                yield part.text
            elif isinstance(part, OutputText):
                yield from (str(note["url"]) for note in part.annotations if "url" in note)
