"""Web searches, MCP calls with approvals, code in containers, and files of vector stores, under kills: what was begun ends,
nothing is written twice, and every file that was added is found as it was."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
from tests.crash.load import Event, Load, Told, sse
from tests.web import tool_settings

SURFER, WRITER, CODER = "surfer", "writer", "coder"
"""Models that search the web and open a page; that write over MCP; that run code."""
FOUND = "Black tea takes four minutes"
WRITTEN, UNKNOWN, OVER = "It is written.", "It may be written.", "The code is over."
CUT = "may or may not"
"""Words of what a model reads of a call that a kill cut off."""


def _call(name: str, **arguments: Any) -> Event:
    return {"type": "call", "name": name, "arguments": arguments}


def _say(text: str) -> Event:
    return {"type": "text", "text": text}


TURNS: dict[str, list[Event]] = {
    SURFER: [
        {"match": "<page", "steps": [_say(f"{FOUND}[w2.1].")]},
        {"match": "<result", "steps": [_call("open_page", url="[w1]")]},
        {"match": ".", "steps": [_call("web_search", query="black tea")]},
    ],
    WRITER: [
        {"match": "^written", "steps": [_say(WRITTEN)]},
        {"match": CUT, "steps": [_say(UNKNOWN)]},
        {"match": ".", "steps": [_call("calc__write", text="x", seconds=0.05)]},
    ],
    CODER: [
        {"match": f"^ran|{CUT}|did not run", "steps": [_say(OVER)]},
        {"match": ".", "steps": [_call("python", code="open('f.txt', 'w').write('kept')\nprint('ran')")]},
    ],
}
MCP: Event = {"type": "mcp", "server_label": "calc"}


def scripts(folder: Path) -> dict[str, Path]:
    """The models' scripts."""
    made = {name: folder / f"{name}.json" for name in TURNS}
    for name, path in made.items():
        path.write_text(json.dumps({"pace": 0.002, "turns": TURNS[name]}))
    return made


def settings(web_port: int, mcp_url: str) -> Event:
    """The settings of the tools, over a web and an MCP server that outlive the kills."""
    given: Event = json.loads(tool_settings(web_port).model_dump_json())
    given["mcp"] = {"servers": {"calc": {"url": mcp_url}}, "connect_seconds": 60}
    return given


async def surfing(load: Load) -> None:
    """Searches on the web, streamed from the start."""
    while True:
        await _streamed(load, load.told.surfed, {"model": SURFER, "tools": [{"type": "web_search"}]})


async def coding(load: Load) -> None:
    """Code in the container of the response before, or in a new one."""
    name = ""
    while True:
        tool = {"type": "code_interpreter", "container": {"type": "auto"}}
        more = {"previous_response_id": name} if name else {}
        name = await _streamed(load, load.told.coded, {"model": CODER, "tools": [tool], **more})


async def approving(load: Load) -> None:
    """Calls that ask first; the approval is sent as soon as the request is seen."""
    while True:
        asked, _ = await load.post("/v1/responses", {"model": WRITER, "input": load.text(), "tools": [MCP]})
        request = asked["output"][-1]
        assert request["type"] == "mcp_approval_request", asked
        answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
        body = {"model": WRITER, "input": [answer], "tools": [MCP], "previous_response_id": asked["id"]}
        load.told.approvals += 1
        await _streamed(load, load.told.approved, body)


async def _streamed(load: Load, told: set[str], body: Event) -> str:
    """A background response, noted from its first event on."""
    name = ""
    body = {"input": load.text(), **body, "stream": True, "background": True}
    async for event in sse(load.http, "POST", "/v1/responses", json=body):
        name = name or event["response"]["id"]
        told.add(name)
        load.saw(name, event)
    return name


async def ingesting(load: Load) -> None:
    """Files of a store; the next is added when the last is indexed."""
    store, _ = await load.post("/v1/vector_stores", {})
    told = load.told.stores.setdefault(store["id"], {})
    path = f"/v1/vector_stores/{store['id']}/files"
    while True:
        text = "\n\n".join(load.text(40) for _ in range(60))
        sent = {"file": ("note.txt", text.encode())}
        answer = await load.http.post("/v1/files", files=sent, data={"purpose": "assistants"})
        assert answer.status_code == 200, answer.text
        file = answer.json()["id"]
        sizes = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}
        chunking = {"type": "static", "static": sizes}
        await load.post(path, {"file_id": file, "chunking_strategy": chunking})
        told[file] = text
        while (await load.get(f"{path}/{file}"))["status"] == "in_progress":
            await asyncio.sleep(0.02)


# --- what is there afterwards ---


def look_surfed(response: Event, events: list[Event]) -> None:
    """Two calls, one answer, one citation, each event once."""
    assert response["status"] == "completed", response["error"]
    items = response["output"]
    found = [(item["type"], item["status"]) for item in items]
    assert found == [("web_search_call", "completed")] * 2 + [("message", "completed")]
    (part,) = items[-1]["content"]
    assert part["text"] == f"{FOUND}."
    (note,) = part["annotations"]
    assert (note["start_index"], note["end_index"]) == (0, len(FOUND))
    _once(items[:2], events)


def look_approved(response: Event, events: list[Event]) -> None:
    """One call, which was made or may have been made, and what the model says of it."""
    assert response["status"] == "completed", response
    call, message = response["output"]
    assert (call["type"], message["type"]) == ("mcp_call", "message")
    said = message["content"][0]["text"]
    assert (call["status"], said) in (("completed", WRITTEN), ("failed", UNKNOWN))
    _once([call], events)


def look_coded(response: Event, events: list[Event]) -> None:
    """One call, which ran to its end or was cut off."""
    assert response["status"] == "completed", response["error"]
    call, message = response["output"]
    assert call["type"] == "code_interpreter_call" and call["status"] in ("completed", "failed")
    assert message["content"][0]["text"] == OVER
    _once([call], events)


LOOKS: dict[str, Callable[[Event, list[Event]], None]] = {
    "surfed": look_surfed,
    "approved": look_approved,
    "coded": look_coded,
}
"""By the field of :class:`~tests.crash.load.Told` that has their names."""


def _once(items: list[Event], events: list[Event]) -> None:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    for item in items:
        own = Counter(event["type"] for event in events if event.get("item_id") == item["id"])
        assert own or item["status"] == "failed"  # cut off before its first event
        assert max(own.values(), default=1) == 1, own
        assert [one for one in done if one["id"] == item["id"]] == [item]


def look_at_writes(journal: Path, told: Told, completed: int) -> None:
    """No approval wrote twice, and none is said to have written that has not."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    assert lines.count("write x") <= told.approvals, "a write was made twice"
    assert lines.count("wrote x") >= completed


async def look_at_store(
    told: Told, store: str, get: Callable[[str], Awaitable[Any]], http: httpx2.AsyncClient
) -> None:
    """Every file that was added ends as indexed, and its text is there once, in its order."""
    path = f"/v1/vector_stores/{store}"
    while (found := await get(path))["status"] == "in_progress":
        await asyncio.sleep(0.05)
    files = told.stores[store]
    counts = found["file_counts"]
    # the last file may have been stored and not acknowledged
    assert counts["completed"] == counts["total"] and counts["total"] - len(files) in (0, 1), counts
    for file, text in files.items():
        page = await get(f"{path}/files/{file}/content")
        assert "".join(part["text"] for part in page["data"]) == text
    if files:
        query = next(iter(files.values()))[:60]
        answer = await http.post(f"{path}/search", json={"query": query})
        assert answer.status_code == 200 and answer.json()["data"], answer.text
