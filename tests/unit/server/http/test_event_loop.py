"""No request holds the event loop, and no error repeats what it was sent."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from tests.serving import MODEL, served, settings

from kodo.server.config import LimitSettings
from kodo.server.http.endpoints import ENDPOINTS
from kodo.server.lifecycle.sealing import Opener, SealedTooLarge, Sealer, SealLimits
from kodo.server.wire.decode import BadBody, create_response, json_object
from kodo.server.wire.echo import MAX_ECHO, shorten

LONG = "x" * 5000


def sealed(home: Path, size: int, kind: str = "compaction") -> dict[str, Any]:
    """A sealed item of this server that is much larger when it is opened."""
    text = json.dumps("a" * size)
    part = f'{{"type":"message","role":"user","content":[{{"type":"input_text","text":{text}}}]}}'
    data = f'{{"items":[{part}],"notes":{{}}}}'.encode()
    item = {"type": kind, "encrypted_content": Sealer.at(home / "seal.key").seal("default", data)}
    return {**item, "summary": []} if kind == "reasoning" else item


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens"])
@pytest.mark.parametrize("kind", ["compaction", "reasoning"])
async def test_sealed_items_by_the_thousand_hold_nobody_up(tmp_path: Path, kind: str, path: str) -> None:
    """1,100 items of 9 MB each when opened: others are answered meanwhile, and little of it is opened."""
    home = tmp_path / "home"
    async with served(settings(home)) as server, server.http() as http, server.http() as other:
        body = {"model": MODEL, "input": [*([sealed(home, 9_000_000, kind)] * 1100), "end"][:-1]}
        body["input"].append({"role": "user", "content": "hello"})
        flood = asyncio.create_task(http.post(path, content=json.dumps(body), headers=JSON))
        longest = 0.0
        while not flood.done():
            began = time.monotonic()
            assert (await other.get("/v1/models")).status_code == 200
            longest = max(longest, time.monotonic() - began)
        assert (await flood).status_code in (200, 400)
        assert longest < 1.5  # half a second on an idle machine: `make abuse`


JSON = {"content-type": "application/json"}


async def test_a_compaction_that_is_too_large_when_opened_is_a_400(tmp_path: Path) -> None:
    """It names the item; a smaller one opens."""
    home = tmp_path / "home"
    async with served(settings(home, limits=LimitSettings(opened_bytes=10_000))) as server:
        async with server.http() as http:
            answers = []
            for size in (20_000, 100):
                body = {"model": MODEL, "input": [sealed(home, size), {"role": "user", "content": "x"}]}
                answers.append(await http.post("/v1/responses", json=body))
        assert [answer.status_code for answer in answers] == [400, 200]
        assert answers[0].json()["error"]["code"] == "encrypted_content_too_large"


def test_sealed_values_are_opened_within_limits() -> None:
    """In number and in size together; after the limit nothing is opened."""
    sealer = Sealer(b"k" * 64)
    values = [sealer.seal("ada", b"x" * 100) for _ in range(5)]
    opener = Opener(sealer, "ada", SealLimits(items=3, bytes=1000))
    assert [len(opener.open(value) or b"") for value in values[:3]] == [100] * 3
    with pytest.raises(SealedTooLarge):
        opener.open(values[3])
    opener = Opener(sealer, "ada", SealLimits(items=10, bytes=250))
    assert [len(opener.open(value) or b"") for value in values[:2]] == [100] * 2
    for value in values[2:]:
        with pytest.raises(SealedTooLarge):
            opener.open(value)


async def test_files_of_a_prompt_are_bounded_together(tmp_path: Path) -> None:
    """A thousand names of one large file are no prompt."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        file = await sdk.files.create(file=("f.txt", b"a" * 1_000_000), purpose="user_data")
        part: Any = {"type": "input_file", "file_id": file.id}
        async with server.http() as http:
            body = {"model": MODEL, "input": [{"role": "user", "content": [part] * 100}]}
            answer = await http.post("/v1/responses", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "file_too_large"


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("/v1/messages", "anthropic.endpoints"),
        ("/v1/messages/count_tokens", "anthropic.endpoints"),
        ("/v1/chat/completions", "chat.pipeline"),
    ],
)
async def test_many_messages_are_translated_beside_the_event_loop(
    path: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few are translated at once; and there may not be more of them than a request of Responses has items."""
    name = f"kodo.server.http.{module}.to_response_request"
    real, on_the_loop = resolve_name(name), list[bool]()

    def watched(*arguments: Any) -> Any:
        on_the_loop.append(threading.current_thread() is threading.main_thread())
        return real(*arguments)

    monkeypatch.setattr(name, watched)
    async with served(settings(tmp_path)) as server, server.http() as http:
        for count in (1, 2000, 20_001):
            body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "x"}] * count}
            if path == "/v1/messages":
                body["max_tokens"] = 1
            answer = await http.post(path, json=body)
            assert (answer.status_code, "more than 20000 messages" in answer.text) == (
                (400, True) if count == 20_001 else (200, False)
            )
    assert on_the_loop == [True, False, False]


# --- what errors repeat ----------------------------------------------------------------------------------------------


def repeats(text: str) -> int:
    """The longest run of the letter that the long inputs are made of."""
    return max((len(run) for run in "".join(c if c == "x" else " " for c in text).split()), default=0)


@pytest.mark.parametrize(
    "body",
    [
        {LONG: 1},
        {"model": LONG, "input": "hi"},
        {"model": MODEL, "input": [{"type": LONG}]},
        {"model": MODEL, "input": [{"type": "message", "role": "user", "content": [{"type": LONG}]}]},
        {"model": MODEL, "input": [{"type": "item_reference", "id": LONG}]},
        {"model": MODEL, "input": "hi", "previous_response_id": LONG},
        {"model": MODEL, "input": "hi", "conversation": LONG},
        {"model": MODEL, "input": "hi", "tools": [{"type": LONG}]},
        {"model": MODEL, "input": "hi", "tool_choice": {"type": "function", "name": LONG}},
        {"model": MODEL, "input": "hi", "service_tier": LONG},
        {"model": MODEL, "input": "hi", "metadata": {LONG: 1}},
        {"model": MODEL, "input": [{"type": "function_call_output", "call_id": LONG, "output": ""}]},
        {"model": MODEL, "input": "hi", "include": [LONG]},
        {"model": f"'{LONG[:300]}'{LONG[:300]}", "input": "hi"},
    ],
    ids=lambda body: " ".join(name[:12] for name in body if name not in ("model", "input")) or "items",
)
async def test_an_error_repeats_little_of_a_body(tmp_path: Path, body: dict[str, Any]) -> None:
    """Not in the message, and not in ``param``; on a WebSocket neither."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/responses", json=body)
        assert answer.status_code in (400, 404)
        assert repeats(answer.text) <= MAX_ECHO
        assert len(answer.text) < 6 * MAX_ECHO


def test_a_name_of_megabytes_takes_no_time() -> None:
    """It is cut before anything is looked for in it; the code and the beginning of its name stay."""
    body = b'{"' + b"k" * 16_000_000 + b'": 1}'
    began = time.process_time()
    with pytest.raises(BadBody) as refused:
        create_response(json_object(body))
    assert time.process_time() - began < 0.5
    assert refused.value.code == "unknown_parameter"
    assert refused.value.param is not None
    assert refused.value.param.startswith("kkkk")
    assert len(refused.value.message) < 2 * MAX_ECHO


async def test_an_error_repeats_little_of_a_path_or_query(tmp_path: Path) -> None:
    """Every route with an id, unknown routes, and every parameter of a query."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        for endpoint in ENDPOINTS:
            if "{" not in endpoint.path or endpoint.method == "POST":
                continue
            path = "/".join(LONG if part.startswith("{") else part for part in endpoint.path.split("/"))
            answer = await http.request(endpoint.method, path)
            assert answer.status_code in (400, 404), path[:80]
            assert repeats(answer.text) <= MAX_ECHO
        for url in (f"/{LONG}", f"/v1/{LONG}", f"/v1/files?{LONG}=1", f"/v1/files?order={LONG}"):
            answer = await http.get(url)
            assert answer.status_code in (400, 404)
            assert repeats(answer.text) <= MAX_ECHO


def test_messages_of_a_usual_length_stay_as_they_are() -> None:
    """Cutting is for what is too long."""
    usual = "The model 'm' does not exist on this server. It has: 'a', 'b', 'c'."
    assert shorten(usual) == usual
    assert shorten(f"Unknown parameter: '{'a' * 10_000_000}'.").endswith("…'.")
