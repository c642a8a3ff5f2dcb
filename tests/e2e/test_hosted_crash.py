"""Tools that the server runs, over ``kill -9``: at whatever event it strikes, the response ends as if nothing had been."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from openai.types.responses import Response
from tests.crash import hosted
from tests.crash.process import start
from tests.journal_tool import read_journal
from tests.serving import MODEL
from tests.unit.server.store.test_failures import integrity

KILLS = (0, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 18)
"""After which event of the stream the server is killed: before the calls, in the middle of each, between two turns."""


def test_a_killed_response_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    """A read is made again, a write never; every item is there once; nobody sees an event twice or misses one."""
    script, journal = tmp_path / "script.json", tmp_path / "journal"
    script.write_text(hosted.SCRIPT)
    server = start(tmp_path / "home", script, journal=journal, searcher=script)
    statuses: set[str] = set()
    try:
        for kill in KILLS:
            seen: list[Any] = []
            stream = server.sdk().responses.create(
                model=hosted.SEARCHER,
                input="go",
                tools=[{"type": "web_search"}],
                stream=True,
                background=True,
            )
            for event in stream:
                seen.append(event.to_dict())
                if event.sequence_number == kill:
                    break
            server.kill()
            assert integrity(server.home) == "ok"
            server = start(tmp_path / "home", script, journal=journal, searcher=script)
            name = seen[0]["response"]["id"]
            rest = server.sdk().responses.retrieve(name, stream=True, starting_after=kill)
            events = [*seen, *(event.to_dict() for event in rest)]
            final = server.sdk().responses.retrieve(name)
            Response.model_validate_json(final.to_json(), strict=True)
            hosted.look(final.to_dict(), events, hosted.lines_of(journal, name))
            statuses.add(str(final.to_dict()["output"][1]["status"]))  # type: ignore[index]  # a list
    finally:
        server.kill()
    assert statuses == {"completed", "failed"}, "no kill struck in the middle of the write"


def test_a_server_that_stops_in_order_lets_a_write_end(tmp_path: Path) -> None:
    """SIGTERM in the middle of a call that changes something: its result is kept, the next start takes the next turn."""
    script, journal = tmp_path / "script.json", tmp_path / "journal"
    arguments = {"q": "two", "effect": "write", "seconds": 0.7}
    turns = [
        {"match": "^found", "steps": [{"type": "text", "text": "done"}]},
        {"match": "go", "steps": [{"type": "call", "name": "look_up", "arguments": arguments}]},
    ]
    script.write_text(json.dumps({"turns": turns}))
    server = start(tmp_path / "home", script, journal=journal)
    try:
        begun = server.sdk().responses.create(
            model=MODEL, input="go", tools=[{"type": "web_search"}], background=True
        )
        while not read_journal(journal):
            time.sleep(0.01)
        assert server.stop() == 0
        server = start(tmp_path / "home", script, journal=journal)
        while (final := server.sdk().responses.retrieve(begun.id)).status not in ("completed", "failed"):
            time.sleep(0.02)
    finally:
        server.kill()
    assert final.output_text == "done"
    assert [line.split()[:2] for line in read_journal(journal)] == [["begin", "two"], ["end", "two"]]
