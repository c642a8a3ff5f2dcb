"""The shapes of real tools, of MCP servers and of clients: each is taken, and has a short valid call."""

from __future__ import annotations

import json

import jsonschema
import pytest
from tests.paths import REPOSITORY

from kodo.server.engines.llama.constraints.json_position import JsonPosition
from kodo.server.engines.llama.constraints.shortest_ending import EndingSearch
from kodo.server.engines.llama.tools.structured import Grammars

LINES = (REPOSITORY / "bench" / "landing" / "schemas.jsonl").read_text().splitlines()
BATCH = 25
MAX_BYTES = 200
"""Of the shortest call: at most so many tokens, and far below a cap of 256."""


@pytest.mark.parametrize("first", range(0, len(LINES), BATCH))
async def test_a_real_tool_is_taken_and_has_a_short_valid_call(first: int) -> None:
    """Where no keyword is named as not enforced, that call fits the tool's own schema."""
    grammars = Grammars()
    for line in LINES[first : first + BATCH]:
        entry = json.loads(line)
        grammar = await grammars.for_schema(
            {"type": "object", **entry["schema"]}, "tools[0].parameters", 256, lenient=True
        )
        search = EndingSearch(grammars.matcher(grammar), grammar.shortest_values)
        ending = search.shortest(JsonPosition())
        assert ending is not None, entry["name"]
        assert len(ending) <= MAX_BYTES, entry["name"]
        if not grammar.unenforced:
            jsonschema.Draft202012Validator(entry["schema"]).validate(json.loads(ending))
