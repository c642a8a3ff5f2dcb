"""Responses whose tools the server runs, under kills: each ends once, each result is there once, no write is made twice."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

from tests.crash.load import Event, Load, sse
from tests.journal_tool import read_journal

SEARCHER = "searcher"
"""A model that makes two calls, one that only reads and one that writes, and then another one that reads."""
DONE = "All three are done."
TOOLS = [{"type": "web_search_preview"}]


def _call(q: str, effect: str) -> Event:
    arguments = {"q": q, "effect": effect, "seconds": 0.02}
    return {"type": "call", "name": "look_up", "arguments": arguments}


SCRIPT = json.dumps(
    {
        "pace": 0.002,
        "turns": [
            {"match": "last", "steps": [{"type": "text", "text": DONE}]},
            {"match": "found|error", "steps": [_call("last", "read")]},
            {"match": ".", "steps": [_call("one", "read"), _call("two", "write")]},
        ],
    }
)


async def searching(load: Load) -> None:
    """Background responses with hosted calls, streamed from the start."""
    for _ in itertools.count():
        text = load.text()
        body = {"model": SEARCHER, "input": text, "stream": True, "background": True, "tools": TOOLS}
        name = ""
        async for event in sse(load.http, "POST", "/v1/responses", json=body):
            name = name or event["response"]["id"]
            load.told.searches[name] = text
            load.saw(name, event)


def look(response: Event, events: list[Event], lines: list[str]) -> None:
    """A response that is over: its items, its events and what the tool did agree.

    ``lines``: of the tool's journal, those of this response.
    """
    assert response["status"] == "completed", response["error"]
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["web_search_call"] * 3 + ["message"]
    assert response["output"][-1]["content"][0]["text"] == DONE
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for item in response["output"][:3]:
        own = [event["type"].rpartition(".")[2] for event in events if event.get("item_id") == item["id"]]
        assert own[:1] in (["in_progress"], ["completed"])
        assert max(Counter(own).values()) == 1, own
        done = [event for event in events if event["type"] == "response.output_item.done"]
        assert [event["item"] for event in done if event["item"]["id"] == item["id"]] == [item]
    begun = Counter(line.split()[1] for line in lines if line.startswith("begin"))
    ended = Counter(line.split()[1] for line in lines if line.startswith("end"))
    write = response["output"][1]
    assert begun["two"] <= 1, "a write was made twice"
    assert write["status"] in ("completed", "failed")
    if write["status"] == "completed":
        assert ended["two"] == 1
    assert ended["one"] >= 1 and ended["last"] >= 1
    assert [item["status"] for item in (response["output"][0], response["output"][2])] == ["completed"] * 2


def lines_of(journal: Path, response_id: str) -> list[str]:
    """What the tool did for a response."""
    return [line for line in read_journal(journal) if line.endswith(response_id)]
