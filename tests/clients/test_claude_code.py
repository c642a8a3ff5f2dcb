"""Claude Code, unmodified and offline: a session with tools on a script, over the Messages API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.clients.conftest import scripted
from tests.clients.environments import WAIT, Environments

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]
MODEL = "codex-mini-latest"


def _claude(clients: Environments, folder: Path, url: str, *arguments: str) -> dict[str, Any]:
    """``claude -p``: the result that it prints. Nothing but the server is asked."""
    done = subprocess.run(
        [clients.bin / "claude", "-p", *arguments, "--output-format", "json"],
        cwd=folder,
        env={
            **clients.environment(folder / "home"),
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "any",
            "ANTHROPIC_MODEL": MODEL,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def test_a_session_with_tools(
    clients: Environments, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """It runs two parallel commands of the model, gives their output back, and prints the last text with true usage."""
    record_property("client", "Claude Code")
    record_property("version", clients.version("@anthropic-ai/claude-code", "node"))
    record_property("check", "a session with thinking and parallel tools")
    (tmp_path / "home").mkdir()
    calls = [
        {
            "type": "call",
            "name": "Bash",
            "arguments": {"command": f"echo {name} > {name}.txt", "description": "Write"},
        }
        for name in ("one", "two")
    ]
    turns = [
        {
            "steps": [
                {"type": "reasoning", "text": "Two files."},
                {"type": "text", "text": "I write."},
                *calls,
            ]
        },
        {"steps": [{"type": "text", "text": "Both are written."}]},
    ]
    server = scripted(tmp_path / "server", {"turns": turns})
    try:
        result = _claude(clients, tmp_path, server.url, "Write the files.", "--allowedTools", "Bash")
    finally:
        server.stop()
    assert (tmp_path / "one.txt").read_text() == "one\n"
    assert (tmp_path / "two.txt").read_text() == "two\n"
    assert result["result"] == "Both are written."
    assert result["is_error"] is False
    assert result["usage"]["input_tokens"] > 1000
