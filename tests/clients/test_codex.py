"""Codex CLI, unmodified: text on the default model, and whole sessions on a script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.clients.codex import TRIMMED, Codex
from tests.clients.conftest import mcp_settings, scripted, web_settings
from tests.clients.environments import PROGRAMS, Environments
from tests.e2e.conftest import Server
from tests.web import web_in_thread

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 30}, "dark": {"type": "boolean"}},
    "required": ["title", "dark"],
    "additionalProperties": False,
}


@pytest.fixture
def note(clients: Environments, record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Name the cell of the table that a test fills."""

    def named(check: str) -> None:
        record_property("client", "Codex CLI")
        record_property("version", clients.version("@openai/codex", "node"))
        record_property("check", check)

    return named


@pytest.mark.parametrize("transport", ["HTTP", "WebSocket"])
def test_text_is_answered_and_resumed_by_the_default_model(
    transport: str,
    clients: Environments,
    servers: dict[str, Server],
    tmp_path: Path,
    note: Callable[[str], None],
) -> None:
    """`exec --json`, then `exec resume --last`, with the configuration that fits the default model's window."""
    note(f"exec --json and resume over {transport}")
    provider = "supports_websockets = true" if transport == "WebSocket" else ""
    codex = Codex(clients, tmp_path, servers["model"].url, TRIMMED, provider)
    for order in (["--json", "Say hello."], ["--json", "resume", "--last", "Say it again."]):
        ran = codex.exec(*order)
        assert ran.code == 0, ran.err
        assert ran.items("agent_message")[-1]["text"].strip()
        assert ran.events[-1]["type"] == "turn.completed"
        assert ran.events[-1]["usage"]["input_tokens"] > 500


def test_an_output_schema_is_held_by_the_default_model(
    clients: Environments, servers: dict[str, Server], tmp_path: Path, note: Callable[[str], None]
) -> None:
    """`--output-schema` gives JSON that fits."""
    note("--output-schema")
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    codex = Codex(clients, tmp_path, servers["model"].url, TRIMMED)
    ran = codex.exec("--json", "--output-schema", str(file), "Hello.")
    assert ran.code == 0, ran.err
    jsonschema.validate(json.loads(ran.items("agent_message")[-1]["text"]), SCHEMA)


def test_the_full_prompt_is_too_long_for_the_default_model_and_says_so(
    clients: Environments, servers: dict[str, Server], tmp_path: Path, note: Callable[[str], None]
) -> None:
    """Without the trimmed configuration: no retries, and words about the window."""
    note("context_length_exceeded with the full prompt")
    ran = Codex(clients, tmp_path, servers["model"].url).exec("--json", "Hello.")
    assert ran.code == 1
    assert "context window" in ran.out
    assert "Reconnecting" not in ran.out


def _call(name: str, arguments: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"type": "call", "name": name, "arguments": arguments, **more}


PATCH = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: b.txt\n+patched\n*** End Patch\nEOF"
SESSION = {
    "turns": [
        {"match": "CONTEXT CHECKPOINT", "steps": [{"type": "text", "text": "Summary: the work is done."}]},
        {
            "match": "start the work",
            "steps": [
                {"type": "reasoning", "text": "A file first."},
                {"type": "text", "text": "First the shell."},
                _call("exec_command", {"cmd": "echo made-by-shell > a.txt; cat a.txt"}),
            ],
        },
        {"match": "made-by-shell", "steps": [_call("exec_command", {"cmd": PATCH})]},
        {"match": "Success. Updated", "steps": [_call("echo", {"text": "hello"}, namespace="mcp__stub")]},
        {"match": "echoed hello", "steps": [{"type": "text", "text": "All done."}]},
        {"match": "", "steps": [{"type": "text", "text": "After the compaction."}]},
    ]
}


@pytest.mark.parametrize("transport", ["HTTP", "WebSocket"])
def test_a_whole_session_with_shell_patch_mcp_and_compaction(
    transport: str, clients: Environments, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """The shell's output and the patch are on disk, the MCP tool was called, and the next turn begins compacted."""
    note(f"a session with shell, patch, MCP and compaction over {transport}")
    server = scripted(tmp_path / "server", SESSION)
    stub = (
        f'[mcp_servers.stub]\ncommand = "{clients.python}"\nargs = ["{PROGRAMS / "mcp_stub.py"}"]\n'
        "required = true\nstartup_timeout_sec = 120\n"
    )
    provider = "supports_websockets = true" if transport == "WebSocket" else ""
    try:
        codex = Codex(clients, tmp_path, server.url, TRIMMED, provider, stub)
        ran = codex.exec("--json", "start the work")
        assert ran.code == 0, ran.err
        assert (codex.work / "a.txt").read_text() == "made-by-shell\n"
        assert (codex.work / "b.txt").read_text() == "patched\n"
        assert [item["status"] for item in ran.items("mcp_tool_call")] == ["completed"]
        assert ran.items("agent_message")[-1]["text"] == "All done."
        after = codex.exec("-c", "model_auto_compact_token_limit=400", "--json", "resume", "--last", "go on")
        assert after.code == 0, after.err
        assert after.items("agent_message")[-1]["text"] == "After the compaction."
        histories = "".join(path.read_text() for path in codex.sessions())
        assert "Summary: the work is done." in histories
    finally:
        server.stop()


HOSTED = {
    "turns": [
        {"match": "start the sum", "steps": [_call("calc__add", {"a": 2, "b": 3})]},
        {"match": "^5$", "steps": [_call("exec_command", {"cmd": "echo made-by-shell > a.txt; cat a.txt"})]},
        {"match": "made-by-shell", "steps": [{"type": "text", "text": "It is 5."}]},
        {"match": "once more", "steps": [{"type": "text", "text": "Still 5."}]},
    ]
}


@pytest.mark.parametrize("transport", ["HTTP", "WebSocket"])
def test_an_mcp_server_of_kodo_is_used_in_a_session(
    transport: str, clients: Environments, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """Codex knows nothing of it: kodo offers it, calls it between two turns, and the shell is Codex's as ever."""
    note(f"an MCP server that kodo runs, over {transport}")
    settings = mcp_settings(tmp_path / "journal") + (
        '[[tools.always]]\ntype = "mcp"\nserver_label = "calc"\nrequire_approval = "never"\n'
    )
    server = scripted(tmp_path / "server", HOSTED, settings)
    provider = "supports_websockets = true" if transport == "WebSocket" else ""
    try:
        codex = Codex(clients, tmp_path, server.url, TRIMMED, provider)
        ran = codex.exec("--json", "start the sum")
        assert ran.code == 0, ran.err
        assert ran.items("agent_message")[-1]["text"] == "It is 5."
        assert (codex.work / "a.txt").read_text() == "made-by-shell\n"
        again = codex.exec("--json", "resume", "--last", "once more")
        assert again.items("agent_message")[-1]["text"] == "Still 5."
        assert (tmp_path / "journal").read_text().splitlines() == ["add 2 3"]
    finally:
        server.stop()


SEARCHED = {
    "turns": [
        {"match": "<page", "steps": [{"type": "text", "text": "Black tea takes four minutes[w2.1]."}]},
        {"match": "<result", "steps": [_call("open_page", {"url": "[w1]"})]},
        {"match": "made-by-shell", "steps": [_call("web_search", {"query": "black tea steeped"})]},
        {"match": "start the search", "steps": [_call("exec_command", {"cmd": "echo made-by-shell > a.txt; cat a.txt"})]},
        {"match": "once more", "steps": [{"type": "text", "text": "Still four."}]},
    ]
}  # fmt: skip


@pytest.mark.parametrize("transport", ["HTTP", "WebSocket"])
def test_its_web_search_is_made_by_kodo(
    transport: str, clients: Environments, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """Codex's own setting turns it on; kodo searches and opens a page between the shell's call and the answer."""
    note(f"web search that kodo runs, over {transport}")
    provider = "supports_websockets = true" if transport == "WebSocket" else ""
    with web_in_thread() as (web, port):
        server = scripted(tmp_path / "server", SEARCHED, web_settings(port))
        try:
            top = TRIMMED.replace('web_search = "disabled"', 'web_search = "live"')
            codex = Codex(clients, tmp_path, server.url, top, provider)
            ran = codex.exec("--json", "start the search for black tea")
            assert ran.code == 0, ran.out + ran.err
            assert (codex.work / "a.txt").read_text() == "made-by-shell\n"
            assert [search["q"] for search in web.searches] == ["black tea steeped"]
            assert web.opened == ["tea"]
            assert ran.items("agent_message")[-1]["text"] == "Black tea takes four minutes."
            assert len(ran.items("web_search")) == 2
            again = codex.exec("--json", "resume", "--last", "once more")
            assert again.code == 0, again.err
            assert again.items("agent_message")[-1]["text"] == "Still four."
        finally:
            server.stop()


REVIEWED = {
    "turns": [
        {"match": "look at the change", "steps": [_call("review", {"run": False}, namespace="mcp__kodo")]},
        {"match": "B006", "steps": [{"type": "text", "text": "A mutable default."}]},
        {"match": "", "steps": [{"type": "text", "text": "Nothing was found."}]},
    ]
}


def test_kodos_own_tools_are_called(
    clients: Environments, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """`kodo mcp` as an MCP server of Codex: the review of what is not committed comes back into the session."""
    note("kodo mcp as its MCP server")
    server = scripted(tmp_path / "server", REVIEWED)
    kodo = Path(sys.executable).with_name("kodo")
    own = (
        f'[mcp_servers.kodo]\ncommand = "{kodo}"\nargs = ["mcp"]\nrequired = true\nstartup_timeout_sec = 120\n'
        f'tool_timeout_sec = 120\n[mcp_servers.kodo.env]\nKODO_HOME = "{tmp_path / "kodo"}"\n'
    )
    try:
        codex = Codex(clients, tmp_path, server.url, TRIMMED, "", own)
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
        for order in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
            subprocess.run([*git, *order], cwd=codex.work, check=True)
        (codex.work / "cart.py").write_text(
            "def add(item, cart=[]):\n    cart.append(item)\n    return cart\n"
        )
        ran = codex.exec("--json", "look at the change")
        assert ran.code == 0, ran.err
        assert [item["status"] for item in ran.items("mcp_tool_call")] == ["completed"]
        assert ran.items("agent_message")[-1]["text"] == "A mutable default."
    finally:
        server.stop()


def test_a_review_is_answered(clients: Environments, tmp_path: Path, note: Callable[[str], None]) -> None:
    """`exec review --uncommitted` in a repository."""
    note("exec review")
    finding = {"findings": [], "overall_correctness": "patch is correct", "overall_explanation": "Fine.",
               "overall_confidence_score": 0.9}  # fmt: skip
    script = {"turns": [{"match": "", "steps": [{"type": "text", "text": json.dumps(finding)}]}]}
    server = scripted(tmp_path / "server", script)
    try:
        codex = Codex(clients, tmp_path, server.url)
        subprocess.run(["git", "init", "--quiet", codex.work], check=True)
        (codex.work / "new.py").write_text("print(1)\n")
        ran = codex.exec("review", "--uncommitted")
        assert ran.code == 0, ran.err
        assert "Fine." in ran.out
    finally:
        server.stop()
