"""A small web for tests: a SearXNG instance with the real one's answers, and the pages that it finds.

No product code imports it. It serves one ASGI application: ``/search`` as SearXNG 2026 has it (JSON off by default, 403),
and the pages below ``/pages/``. Results are ranked by the words that they share with the query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kodo.server.lifecycle.retrieval.terms import query_terms


@dataclass(frozen=True)
class FakePage:
    """A page. ``path``: below ``/pages/``; ``url``: where results say that it is, if not at its real place."""

    path: str
    title: str
    body: str
    """HTML between the tags of its body."""
    snippet: str = ""
    url: str | None = None
    media_type: str = "text/html; charset=utf-8"


@dataclass
class FakeWeb:
    """The pages, and what was asked of them."""

    pages: Sequence[FakePage]
    formats: tuple[str, ...] = ("html", "json")
    """``search.formats`` of the settings; a new instance has only ``html``."""
    unresponsive: Sequence[tuple[str, str]] = (("brave", "Suspended: too many requests"),)
    delay: float = 0.0
    """Seconds before an answer; holds for those that wait already, too."""
    searches: list[dict[str, str]] = field(default_factory=list)
    """The parameters of the searches."""
    opened: list[str] = field(default_factory=list)
    """The paths of the pages that were asked for."""

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/search", self._search, methods=["GET", "POST"]),
                Route("/pages/{path:path}", self._page),
            ]
        )

    async def _search(self, request: Request) -> Response:
        given = dict(request.query_params)
        if request.method == "POST":
            async with request.form() as form:
                given |= {name: str(value) for name, value in form.items()}
        if given.get("format", "html") not in self.formats:
            return Response(status_code=403)
        query = given.get("q", "").strip()
        if not query:
            return PlainTextResponse("Search query is empty", status_code=400)
        self.searches.append(given)
        await self._wait()
        base = str(request.base_url)
        sought = set(query_terms(" ".join(word for word in query.split() if "site:" not in word)))
        ranked = sorted(
            ((len(sought & _words(page)), -number, page) for number, page in enumerate(self.pages)),
            reverse=True,
        )
        results = [
            _result(page, f"{base}pages/{page.path}", place)
            for place, page in enumerate((page for shared, _, page in ranked if shared), 1)
        ]
        return JSONResponse(
            {
                "query": query,
                "number_of_results": 0,
                "results": results,
                "answers": [],
                "corrections": [],
                "infoboxes": [],
                "suggestions": [],
                "unresponsive_engines": [list(one) for one in self.unresponsive],
            }
        )

    async def _wait(self) -> None:
        """The delay; a test may change it meanwhile."""
        waited = 0.0
        while waited < self.delay:
            await asyncio.sleep(0.02)
            waited += 0.02

    async def _page(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.opened.append(path)
        await self._wait()
        for page in self.pages:
            if page.path == path:
                head = f"<!doctype html><html><head><title>{page.title}</title></head>"
                whole = f"{head}<body>{page.body}</body></html>" if "html" in page.media_type else page.body
                return Response(whole, media_type=page.media_type)
        return PlainTextResponse("Not Found", status_code=404)


def _words(page: FakePage) -> set[str]:
    return set(query_terms(f"{page.title} {page.snippet} {page.body}", limit=None))


def _result(page: FakePage, place: str, position: int) -> dict[str, Any]:
    url = page.url or place
    parts = urlsplit(url)
    return {
        "url": url,
        "title": page.title,
        "content": page.snippet or page.body[:300],
        "publishedDate": None,
        "thumbnail": "",
        "engine": "duckduckgo",
        "template": "default.html",
        "parsed_url": [parts.scheme, parts.netloc, parts.path, "", parts.query, parts.fragment],
        "img_src": "",
        "priority": "",
        "engines": ["duckduckgo", "startpage"],
        "positions": [position, position],
        "score": 2.0 / position,
        "category": "general",
    }
