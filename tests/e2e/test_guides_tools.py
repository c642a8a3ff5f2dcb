"""The worked examples of the guides on hosted tools, as they stand there, on the default model."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.conftest import Server, start
from tests.paths import REPOSITORY
from tests.web import KYOTO, TEA, web_in_thread

from kodo.server.http.containers.runtime import refusal

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("real model"), pytest.mark.timeout(600)]
GUIDES = REPOSITORY / "docs" / "guides"
URL = "http://127.0.0.1:8000"


def blocks(guide: str) -> list[str]:
    """The Python of a guide, in its order."""
    return re.findall(r"```python\n(.*?)```", (GUIDES / guide).read_text(), flags=re.DOTALL)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The installed command as the guides set it up: a search service, and the MCP server of the guide's first block."""
    notes = folder / "notes.py"
    notes.write_text(blocks("mcp.md")[0])
    command = json.dumps([sys.executable, str(notes)])
    with web_in_thread(replace(TEA, url="https://example.com/tea"), KYOTO) as (_, port):
        config = (
            f'[tools]\ncall_seconds = 120\n[tools.web_search]\nbackend = "searxng"\nurl = "http://127.0.0.1:{port}"\n'
            f"[tools.mcp]\nconnect_seconds = 60\n[tools.mcp.servers.notes]\ncommand = {command}\ncwd = {json.dumps(str(folder))}\n"
        )
        server = start(folder / "home", config=config)
        try:
            yield server
        finally:
            server.stop()


def run(folder: Path, server: Server, *parts: str) -> str:
    """What they print, one after the other in one program."""
    (folder / "sales.csv").write_text("month,eur\nmay,120\njune,180\n")
    code = "\n".join(parts).replace(URL, server.url)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_search_in_files_and_on_the_web(tmp_path: Path) -> None:
    """English and Japanese: the answer is cited."""
    with serving(tmp_path) as server:
        for guide, words in (
            ("file-search.md", ("two minutes", "['tea.md']")),
            ("file-search.ja.md", ("五百円", "['kyoto.txt']")),
            ("web-search.md", ("two minutes", "-> Steeping green tea https://example.com/tea")),
            ("web-search.ja.md", ("午前九時", "-> 京都の寺 拝観案内")),
        ):
            printed = run(tmp_path, server, *blocks(guide))
            assert [word for word in words if word not in printed] == [], (guide, printed)


def test_an_mcp_server_with_approval(tmp_path: Path) -> None:
    """The items that the guide names; the note is written once a language."""
    with serving(tmp_path) as server:
        for guide in ("mcp.md", "mcp.ja.md"):
            printed = run(tmp_path, server, *blocks(guide)[1:])
            assert "['mcp_list_tools', 'mcp_approval_request']" in printed
            assert "['mcp_call', 'message']" in printed
    assert len((tmp_path / "notes.txt").read_text().splitlines()) == 2


def test_code_in_a_container(tmp_path: Path) -> None:
    """A call is made and ends; the file that was put in is listed."""
    if refusal(None):  # a machine without the sandbox runs no code, and says so
        return
    with serving(tmp_path) as server:
        printed = run(tmp_path, server, *blocks("code-interpreter.md"))
        assert re.search(r"^(completed|failed) ", printed, re.MULTILINE), printed
        assert "/mnt/data/sales.csv user" in printed
        printed = run(tmp_path, server, *blocks("code-interpreter.ja.md"))
        assert re.search(r"^(completed|failed) ", printed, re.MULTILINE), printed
