"""The texts of web pages: fetched behind the guard, read in the limited child that reads the files of vector stores."""

from __future__ import annotations

import asyncio
import html
import re
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kodo.server.config import WebSearchSettings
from kodo.server.lifecycle.retrieval.ports import TextReader, Unreadable
from kodo.server.lifecycle.retrieval.splitting import windows
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.tools.web_search.addresses import PageRefused, PageUrl
from kodo.server.tools.web_search.fetching import FetchedPage, Hop, PageFetcher

MAX_CACHED: Final = 32
MAX_READERS: Final = 2
"""Pages in memory; children that read pages at the same time."""
_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{0,2000})", re.IGNORECASE)
_META_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([a-zA-Z0-9_-]{1,40})", re.IGNORECASE
)
_CHARSETS: Final = frozenset(
    [
        "utf-8",
        "utf8",
        "utf-16",
        "us-ascii",
        "ascii",
        "latin-1",
        "shift_jis",
        "shift-jis",
        "sjis",
        "x-sjis",
        "cp932",
    ]
    + [
        "windows-31j",
        "euc-jp",
        "iso-2022-jp",
        "gbk",
        "gb2312",
        "gb18030",
        "big5",
        "euc-kr",
        "koi8-r",
        "koi8-u",
    ]
    + [f"iso-8859-{number}" for number in range(1, 17)]
    + [f"windows-{number}" for number in range(1250, 1259)]
)
"""Encodings that pages are read in; another one is taken for UTF-8."""
_SAME: Final = {
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
}
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_ENDINGS: Final = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    f"{_OFFICE}wordprocessingml.document": ".docx",
    f"{_OFFICE}presentationml.presentation": ".pptx",
    f"{_OFFICE}spreadsheetml.sheet": ".xlsx",
}
_PLAIN: Final = re.compile(r"text/.+|application/(?:.+\+)?(?:json|xml|javascript|yaml|toml)")
_AROUND: Final = 400
MAX_MATCHES: Final = 8
"""Characters on either side of a match, and matches that are shown."""


@dataclass(frozen=True)
class OpenedPage:
    """A page. ``hops``: the URLs that were asked; the last one is its own."""

    hops: tuple[PageUrl, ...]
    title: str
    text: str

    @property
    def url(self) -> str:
        """Where it is."""
        return self.hops[-1].text


class PageReader:
    """Opens pages, and keeps the last ones for a while. ``now``: seconds of a clock that is never set back."""

    def __init__(
        self,
        settings: WebSearchSettings,
        fetcher: PageFetcher,
        reader: TextReader,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._reader = reader
        self._now = now
        self._free = asyncio.Semaphore(MAX_READERS)
        self._kept: OrderedDict[str, tuple[float, OpenedPage]] = OrderedDict()

    async def open(self, url: str, check: Hop) -> OpenedPage:
        """A page. ``check`` is shown every URL on the way, also where the page comes from memory.

        Raises:
            PageRefused: it cannot be opened; the message says why.
        """
        kept = self._kept.get(url)
        if kept is not None and self._now() - kept[0] < self._settings.cache_seconds:
            for hop in kept[1].hops:
                check(hop)
            return kept[1]
        page = await self._read(await self._fetcher.fetch(url, check))
        self._kept[url] = self._now(), page
        self._kept.move_to_end(url)
        while len(self._kept) > MAX_CACHED:
            self._kept.popitem(last=False)
        return page

    async def close(self) -> None:
        """Close connections."""
        await self._fetcher.close()

    async def _read(self, fetched: FetchedPage) -> OpenedPage:
        kind, body = fetched.media_type, fetched.body
        title = ""
        if body.startswith(b"%PDF-"):
            kind = "application/pdf"
        ending = _ENDINGS.get(kind)
        if ending == ".html":
            source = _decoded(body, fetched.charset)
            found = _TITLE.search(source, 0, 200_000)
            title = " ".join(html.unescape(found[1]).split())[:300] if found else ""
            body = source.encode()
        if ending is not None:
            text = await self._extracted(body, f"page{ending}")
        elif _PLAIN.fullmatch(kind):
            text = _decoded(body, fetched.charset)
        else:
            raise PageRefused("Pages of this type cannot be read.")
        if not text.strip():
            raise PageRefused("The page has no text.")
        return OpenedPage(fetched.hops, title or fetched.hops[-1].host, text[: self._settings.page_chars])

    async def _extracted(self, body: bytes, name: str) -> str:
        async with self._free:
            with tempfile.TemporaryDirectory(prefix="kodo-page-") as folder:
                path = Path(folder) / name
                await asyncio.to_thread(path.write_bytes, body)
                try:
                    return await self._reader(path, name)
                except Unreadable as error:
                    raise PageRefused(error.error.message) from None


def _decoded(body: bytes, charset: str | None) -> str:
    found = _META_CHARSET.search(body, 0, 4096)
    for name in (charset, found[1].decode("ascii").lower() if found else None):
        if name in _CHARSETS:
            return body.decode(_SAME.get(name, name), "replace")
    return body.decode("utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")


def find_matches(text: str, pattern: str) -> list[str]:
    """The places of a page where a text stands, with what is around them; else the parts that have most of its words."""
    words = [re.escape(word) for word in pattern.split()]
    if not words:
        return []
    spans: list[tuple[int, int]] = []
    for match in re.finditer(r"\s+".join(words), text, re.IGNORECASE):
        begin, end = max(0, match.start() - _AROUND), min(len(text), match.end() + _AROUND)
        if spans and begin <= spans[-1][1]:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((begin, end))
        if len(spans) > MAX_MATCHES:
            break
    if spans:
        return [text[begin:end].strip() for begin, end in spans[:MAX_MATCHES]]
    sought = set(query_terms(pattern))
    parts = [(len(sought & set(query_terms(part, limit=None))), part) for part in windows(text, 200)]
    best = max((shared for shared, _ in parts), default=0)
    return [part.strip() for shared, part in parts if shared == best > 0][:3]
