"""Hosted tools beside others are left out, and the answer says which: a header that no strict client minds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import websockets
from tests.serving import MODEL, Served, served, settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "x-kodo-skipped-tools"
FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}
MIXED: list[dict[str, Any]] = [
    {"type": "web_search", "external_web_access": True},
    FUNCTION,
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "web_search"},
]
ASKED: dict[str, Any] = {"model": MODEL, "input": "hello"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server that repeats what it is told, and may be called from one web page."""
    home = tmp_path_factory.mktemp("skipped")
    async with served(
        settings(home, cors_origins=("https://page.example",), tools={"code_interpreter": {"enabled": False}})
    ) as server:
        yield server


async def test_the_header_names_each_type_once(echo: Served) -> None:
    """Plain and streamed, in the background, and where only tokens are counted; the body has no word of it."""
    responses = echo.sdk().responses.with_raw_response
    plain = await responses.create(**ASKED, tools=MIXED)
    streamed = await responses.create(**ASKED, tools=MIXED, stream=True)
    background = await responses.create(**ASKED, tools=MIXED, background=True)
    counted = await echo.sdk().responses.input_tokens.with_raw_response.count(**ASKED, tools=MIXED)
    for answer in (plain, streamed, background, counted):
        assert answer.headers[HEADER] == "web_search, code_interpreter"
    assert [tool.type for tool in plain.parse().tools] == ["function"]
    events = [event async for event in streamed.parse()]
    assert [tool.type for tool in events[-1].response.tools] == ["function"]


@pytest.mark.parametrize("tools", [[], [FUNCTION], [FUNCTION, {"type": "local_shell"}]])
async def test_without_skipped_tools_there_is_no_header(tools: list[dict[str, Any]], echo: Served) -> None:
    """It says something only where there is something to say."""
    answer = await echo.sdk().responses.with_raw_response.create(**ASKED, tools=tools)
    assert HEADER not in answer.headers


async def test_a_replayed_answer_has_it_too_and_web_pages_may_read_it(echo: Served) -> None:
    """What an Idempotency-Key gives again is the whole answer; CORS names the header."""
    headers = {"idempotency-key": "skipped", "origin": "https://page.example"}
    async with echo.http() as http:
        answers: list[httpx2.Response] = [
            await http.post("/v1/responses", json={**ASKED, "tools": MIXED}, headers=headers)
            for _ in range(2)
        ]
    assert answers[1].headers["idempotent-replayed"] == "true"
    for answer in answers:
        assert answer.headers[HEADER] == "web_search, code_interpreter"
        assert HEADER in answer.headers["access-control-expose-headers"]


async def _count(echo: Served, kind: str) -> float:
    async with echo.http() as http:
        lines = (await http.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith(f'kodo_skipped_tools_total{{type="{kind}"}}')]
    return float(found[0].split()[-1]) if found else 0.0


async def test_the_metric_counts_them_also_on_a_socket(echo: Served) -> None:
    """On a WebSocket the contract has no place for a note: the echoed tools and the metric are all there is."""
    before = await _count(echo, "image_generation")
    tools = [FUNCTION, {"type": "image_generation"}]
    await echo.sdk().responses.create(**ASKED, tools=tools)  # type: ignore[call-overload]  # plain dicts
    assert await _count(echo, "image_generation") == before + 1
    async with websockets.connect(echo.url.replace("http", "ws") + "/v1/responses") as socket:
        await socket.send(json.dumps({"type": "response.create", **ASKED, "tools": tools}))
        frame = json.loads(await socket.recv())
        while frame["type"] != "response.completed":
            frame = json.loads(await socket.recv())
    assert [tool["type"] for tool in frame["response"]["tools"]] == ["function"]
    assert await _count(echo, "image_generation") == before + 2


async def test_refused_requests_are_not_counted(echo: Served) -> None:
    """Alone, a hosted tool is a 400 that names it, and nothing was skipped."""
    before = await _count(echo, "mcp")
    async with echo.http() as http:
        answer = await http.post("/v1/responses", json={**ASKED, "tools": [{"type": "mcp"}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_tool")
    assert "'mcp'" in answer.json()["error"]["message"]
    assert HEADER not in answer.headers
    assert await _count(echo, "mcp") == before
