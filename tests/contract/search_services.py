"""The services that search the web, each over a stand-in with the real one's answers: what the contract suite runs over."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.web import served_app

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends import open_backend
from kodo.server.tools.web_search.backends.ports import SearchBackend
from kodo.server.tools.web_search.testing import FakePage, FakeWeb

KEY = "the-secret-key"
PAGES = (
    FakePage(
        "a",
        "Green <b>tea</b> &amp; more",
        "tea",
        "Steep <strong>green tea</strong>.",
        "https://a.example/tea",
    ),
    FakePage("b", "Tea", "tea", "More of tea.", "https://b.example/"),
)


@dataclass
class Service:
    """A back end, and what its stand-in does. ``fault``: none, or what is wrong with the next answers."""

    backend: SearchBackend
    set_fault: Callable[[str], None]
    asked: list[dict[str, Any]] = field(default_factory=list)
    """What the service was asked: parameters, body and headers in one."""


class _Faulty:
    """An application whose answers can be made wrong."""

    def __init__(self, inner: Callable[[Request], Any], asked: list[dict[str, Any]]) -> None:
        self.fault = ""
        self.asked = asked
        self._inner = inner

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        self.asked.append({**request.headers, **request.query_params, **(json.loads(body) if body else {})})
        match self.fault:
            case "status":
                return Response("secret inside", status_code=500)
            case "json":
                return Response("<html>")
            case "list":
                return Response("[1]")
            case "shape":
                return JSONResponse({"results": [1, {"url": 2}, {}], "web": {"results": "x"}})
            case "large":
                return Response(b"[" + b"1," * 200_000)
            case "compressed":
                packed = gzip.compress(b'{"results": [], "web": {"results": []}}')
                return Response(packed, headers={"content-encoding": "gzip"})
            case "redirect":
                return Response(status_code=302, headers={"location": "http://127.0.0.1:1/"})
        answer: Response = await self._inner(request)
        return answer


@asynccontextmanager
async def _over_http(kind: str, path: str, answer: Callable[[Request], Any]) -> AsyncIterator[Service]:
    asked: list[dict[str, Any]] = []
    faulty = _Faulty(answer, asked)
    app = Starlette(routes=[Route(path, faulty.__call__, methods=["GET", "POST"])])
    async with served_app(app) as port:
        settings = WebSearchSettings.model_validate(
            {
                "backend": kind,
                "url": f"http://127.0.0.1:{port}/",
                "api_key": KEY,
                "language": "ja",
                "search_bytes": 100_000,
            }
        )
        backend = open_backend(settings)
        try:
            yield Service(backend, lambda fault: setattr(faulty, "fault", fault), asked)
        finally:
            await backend.close()


def searxng(tmp_path: Path) -> AbstractAsyncContextManager[Service]:
    """SearXNG: the product's own stand-in."""
    return _over_http("searxng", "/search", FakeWeb(PAGES)._search)


def brave(tmp_path: Path) -> AbstractAsyncContextManager[Service]:
    """Brave Search."""

    async def answer(request: Request) -> Response:
        results = [
            {
                "type": "search_result",
                "title": page.title,
                "url": page.url,
                "description": page.snippet,
                "extra_snippets": ["An extra."],
                "page_age": "2026-01-15T00:00:00",
            }
            for page in PAGES
        ]
        return JSONResponse({"type": "search", "query": {}, "web": {"type": "search", "results": results}})

    return _over_http("brave", "/res/v1/web/search", answer)


def tavily(tmp_path: Path) -> AbstractAsyncContextManager[Service]:
    """Tavily."""

    async def answer(request: Request) -> Response:
        results = [
            {"title": page.title, "url": page.url, "content": page.snippet, "score": 0.9, "raw_content": None}
            for page in PAGES
        ]
        return JSONResponse(
            {"query": "", "answer": None, "images": [], "results": results, "response_time": 1}
        )

    return _over_http("tavily", "/search", answer)


PROGRAM = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
question = json.load(sys.stdin)
with (folder / "asked").open("a") as file:
    file.write(json.dumps(question) + "\\n")
fault = (folder / "fault").read_text() if (folder / "fault").exists() else ""
if fault == "status":
    sys.exit(3)
if fault in ("json", "redirect", "compressed"):
    print("<html>")
elif fault == "list":
    print("[1]")
elif fault == "shape":
    print(json.dumps({"results": [1, {"url": 2}, {}]}))
elif fault == "large":
    print("[" + "1," * 200_000)
else:
    print((folder / "answer").read_text())
"""


@asynccontextmanager
async def command(tmp_path: Path) -> AsyncIterator[Service]:
    """An own program."""
    answer = [{"url": page.url, "title": page.title, "text": page.snippet} for page in PAGES]
    (tmp_path / "answer").write_text(json.dumps(answer))
    (tmp_path / "program.py").write_text(PROGRAM)
    settings = WebSearchSettings(
        backend="command",
        command=(sys.executable, "-S", str(tmp_path / "program.py"), str(tmp_path)),
        language="ja",
        search_bytes=100_000,
        search_seconds=60,
    )

    class Asked(list[dict[str, Any]]):
        def __getitem__(self, index: Any) -> Any:
            return [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()][index]

    def set_fault(fault: str) -> None:
        (tmp_path / "fault").write_text(fault)

    yield Service(open_backend(settings), set_fault, Asked())


SERVICES: dict[str, Callable[[Path], AbstractAsyncContextManager[Service]]] = {
    "searxng": searxng,
    "brave": brave,
    "tavily": tavily,
    "command": command,
}
