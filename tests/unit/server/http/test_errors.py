"""Errors: one table, total, the same in docs/reference/errors.md and in the code."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.paths import DOCS
from tests.serving import MODEL, served, settings

from kodo.server.http import errors as server
from kodo.server.lifecycle import errors as lifecycle

DOCUMENT = DOCS / "reference" / "errors.md"


def _subclasses(cls: type) -> set[type]:
    return {cls}.union(*(_subclasses(sub) for sub in cls.__subclasses__()))


def _example(cls: type[lifecycle.ServiceError]) -> lifecycle.ServiceError:
    if cls is lifecycle.ContextLengthExceeded:
        return lifecycle.ContextLengthExceeded(window=1, needed=2)
    if issubclass(cls, server.RateLimited):
        return cls("x", retry_after=2.5, headers={"x-ratelimit-limit-requests": "1"})
    return cls("x")


@pytest.mark.parametrize(
    "cls",
    sorted(_subclasses(lifecycle.ServiceError), key=lambda cls: cls.__name__),
    ids=lambda cls: cls.__name__,
)
def test_every_error_has_a_status_and_an_envelope(cls: type[lifecycle.ServiceError]) -> None:
    """The translation is total: no error of the tree falls through. One has no code at the hosted APIs either."""
    status, envelope = server.translate(_example(cls))
    assert 400 <= status < 600
    assert (envelope.error.code is None) is (cls in (lifecycle.ServiceError, lifecycle.UnpairedCall))


def test_the_document_is_what_the_code_does() -> None:
    """Class, status and type in docs/reference/errors.md are those of STATUS."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| `(\w+)`", DOCUMENT.read_text(), re.MULTILINE)
    documented = {(int(status), kind, name) for status, kind, name in rows}
    coded = {
        (status, kind, cls.__name__)
        for cls, status, kind in server.STATUS
        if cls is not lifecycle.ServiceError
    }
    assert documented == coded


def _drawn() -> list[tuple[str, str | None, int]]:
    """The tree in the docstring of ``lifecycle.errors``: each class with the class above it and its status."""
    found: list[tuple[str, str | None, int]] = []
    above: dict[int, str] = {}
    for branch, name, status in re.findall(
        r"^    ([│├└─ ]*)([A-Z]\w+) .* (\d{3})$", lifecycle.__doc__ or "", re.MULTILINE
    ):
        depth = len(branch) // 4
        above[depth] = name
        found.append((name, above.get(depth - 1), int(status)))
    return found


def test_the_drawn_tree_is_what_the_code_does() -> None:
    """The tree in the module's docstring has every class of the module, under its base, with its status."""
    coded = {
        (
            cls.__name__,
            None if cls is lifecycle.ServiceError else cls.__bases__[0].__name__,
            server.translate(_example(cls))[0],
        )
        for cls in _subclasses(lifecycle.ServiceError)
        if cls.__module__ == lifecycle.__name__
    }
    drawn = _drawn()
    assert set(drawn) == coded
    assert len(drawn) == len(coded)


def test_retry_headers_say_when() -> None:
    """What helps to repeat says when, in seconds and in milliseconds; a conflict says not to."""
    limited = server.headers_of(_example(server.RateLimited))
    assert (limited["retry-after"], limited["retry-after-ms"]) == ("3", "2500")
    assert limited["x-ratelimit-limit-requests"] == "1"
    assert int(server.headers_of(lifecycle.Overloaded("full", retry_after=0.2))["retry-after-ms"]) == 200
    assert server.headers_of(lifecycle.Conflict("x")) == {"x-should-retry": "false"}
    assert server.headers_of(lifecycle.InvalidRequest("x")) == {}


async def test_a_bug_is_an_answer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expected: the envelope and the request's id, and none of its words."""

    def bug(_: object) -> object:
        raise LookupError("secret")

    async with served(settings(tmp_path)) as here, here.http() as http:
        monkeypatch.setattr(type(here.state), "models", property(bug))
        answer = await http.get("/v1/models")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text


BODIES = (
    "responses",
    "responses/compact",
    "responses/input_tokens",
    "chat/completions",
    "completions",
    "embeddings",
    "conversations",
    "batches",
    "uploads",
    "assistants",
    "threads",
    "threads/runs",
    "realtime/client_secrets",
)


async def test_who_hangs_up_in_the_middle_of_a_body_is_no_bug(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a body is read: nothing is logged, and the key may ask again at once."""
    given = settings(tmp_path / "home", limits={"concurrent_requests": 1})
    async with served(given) as server:
        port = int(server.url.rpartition(":")[2])
        for path in BODIES:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(f'{head}Content-Length: 100\r\n\r\n{{"model":'.encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        async with server.http() as http:
            async with asyncio.timeout(10):
                while True:
                    metrics = (await http.get("/metrics")).text
                    gone = re.findall(
                        r'^kodo_http_requests_total{.*status="499"} (\d+)', metrics, re.MULTILINE
                    )
                    if sum(map(int, gone)) == len(BODIES):
                        break
                    await asyncio.sleep(0.01)
        answer = await server.sdk().responses.create(model=MODEL, input="Still there?")
        assert answer.status == "completed"
    # clients of earlier tests, which a garbage collection closes now, log that their event loop is gone
    ours = [record for record in caplog.records if "AsyncClient.aclose" not in record.getMessage()]
    assert not [record for record in ours if record.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"ranking_options": {"ranker": "x"}}, "tools[1].ranking_options.ranker"),
        ({"filters": {"type": "x"}}, "tools[1].filters.type"),
        ({"filters": {"type": "eq", "key": "a"}}, "tools[1].filters.value"),
    ],
)
async def test_the_message_of_a_hosted_tool_names_the_field_of_the_request(
    tmp_path: Path, options: dict[str, object], field: str
) -> None:
    """A tool knows its own entry only; ``param`` and the words of the error name the place in the list."""
    search = {"type": "file_search", "vector_store_ids": ["vs_1"], **options}
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}, search]
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/responses", json={"model": MODEL, "input": "x", "tools": tools})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, field)
    assert f"'{field}'" in error["message"]
