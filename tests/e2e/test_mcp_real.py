"""An MCP server as a tool of the default model: the installed command, its settings file, the unmodified SDK."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from tests.e2e.conftest import start
from tests.paths import REPOSITORY

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("real model")]
MODEL = "codex-mini-latest"


def test_the_default_model_uses_an_mcp_server(tmp_path: Path) -> None:
    """A server of the settings, as a child: listed, called with arguments that fit, answered; in a chain and a stream."""
    config = f"""
[tools]
call_seconds = 120

[tools.mcp]
connect_seconds = 60

[tools.mcp.servers.calc]
command = {json.dumps([sys.executable, "-m", "tests.mcp_server", str(tmp_path / "journal")])}
cwd = {json.dumps(str(REPOSITORY))}
"""
    server = start(tmp_path / "home", config=config)
    try:
        sdk = server.sdk()
        tool: Any = {
            "type": "mcp",
            "server_label": "calc",
            "require_approval": "never",
            "allowed_tools": ["add"],
        }
        choice: Any = {"type": "mcp", "server_label": "calc", "name": "add"}
        done = sdk.responses.create(
            model=MODEL, input="Add 17 and 25.", tools=[tool], tool_choice=choice, temperature=0
        )
        Response.model_validate_json(done.to_json(), strict=True)
        listed, called, message = done.output
        assert (listed.type, called.type, message.type) == ("mcp_list_tools", "mcp_call", "message")
        assert called.type == "mcp_call" and called.status == "completed"
        numbers = json.loads(called.arguments)
        assert called.output == str(numbers["a"] + numbers["b"])
        assert done.output_text
        assert done.usage is not None and done.usage.output_tokens > 5
        stream = sdk.responses.create(
            model=MODEL,
            input="Now add 4 and 5.",
            tools=[tool],
            temperature=0,
            previous_response_id=done.id,
            stream=True,
        )
        events = [event.type for event in stream]
        assert events[-1] == "response.completed"
        assert "response.mcp_list_tools.in_progress" not in events
    finally:
        assert server.stop()[0] == 0
