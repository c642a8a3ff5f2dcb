"""Servers for other people's clients, and the table of what worked, which a whole run writes to docs/guides/clients.md."""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environments import Environments, install
from tests.e2e.conftest import Server, start
from tests.paths import REPOSITORY

TABLE = "KODO_CLIENTS_TABLE"
"""Environment variable: the document whose table this run writes."""
BEGIN, END = "<!-- written by make test-clients: begin -->", "<!-- end -->"

SCRIPT: dict[str, Any] = {
    "turns": [
        {"match": "weather", "steps": [{"type": "call", "name": "get_weather", "arguments": {"city": "Paris"}}]},
        {"match": "21 degrees", "steps": [{"type": "text", "text": "It is 21 degrees in Paris."}]},
        {"match": "the sum", "steps": [{"type": "call", "name": "calc__add", "arguments": {"a": 2, "b": 3}}]},
        {"match": "^5$", "steps": [{"type": "text", "text": "It is 5."}]},
        {"match": "palette", "steps": [{"type": "text", "text": '{"title": "Dusk", "dark": true}'}]},
    ]
}  # fmt: skip


@dataclass
class Results:
    """What each client did: versions by client, results by client and check."""

    versions: dict[str, str] = field(default_factory=dict)
    checks: dict[str, dict[str, bool]] = field(default_factory=dict)

    def table(self) -> str:
        """As Markdown."""
        today = datetime.date.today().isoformat()
        lines = [
            f"`make test-clients`, {today}:",
            "",
            "| client | version | works | fails |",
            "|---|---|---|---|",
        ]
        for client, checks in self.checks.items():
            works, fails = (
                ", ".join(name for name, passed in checks.items() if passed is wanted) or "-"
                for wanted in (True, False)
            )
            lines.append(f"| {client} | {self.versions[client]} | {works} | {fails} |")
        return "\n".join(lines)


RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that names a client and a check gives one cell of the table."""
    report = yield
    noted = dict(item.user_properties)
    if "client" in noted and (report.when == "call" or report.failed):
        results = item.config.stash[RESULTS]
        results.versions[noted["client"]] = noted["version"]
        results.checks.setdefault(noted["client"], {})[noted["check"]] = report.passed
    return report  # type: ignore[return-value]  # a wrapper hands on what it got


def pytest_sessionfinish(session: pytest.Session) -> None:
    results = session.config.stash[RESULTS]
    whole = not session.config.option.keyword
    if whole and (name := os.environ.get(TABLE)) and results.checks:
        path = Path(name)
        text = path.read_text()
        table = f"{BEGIN}\n\n{results.table()}\n\n{END}"
        path.write_text(
            re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: table, text, flags=re.DOTALL)
        )


@pytest.fixture(scope="session")
def clients() -> Environments:
    """The clients, at their newest versions."""
    return install()


def scripted(home: Path, script: dict[str, Any], settings: str = "", **options: Any) -> Server:
    """The installed command with a script in the model's place. ``settings``: more of its settings file."""
    home.mkdir(parents=True)
    file = home / "script.json"
    file.write_text(json.dumps(script))
    config = f'[models."codex-mini-latest"]\nengine = "scripted"\ntarget = "{file}"\n'
    return start(home, config=config + settings, **options)


def mcp_settings(journal: Path) -> str:
    """Lines of a settings file with an MCP server, ``calc``."""
    command = json.dumps([sys.executable, "-m", "tests.mcp_server", str(journal)])
    return (
        f"[tools.mcp]\nconnect_seconds = 60\n[tools.mcp.servers.calc]\ncommand = {command}\n"
        f"cwd = {json.dumps(str(REPOSITORY))}\n"
    )


def web_settings(port: int) -> str:
    """Lines of a settings file with a search over a web on this port of this machine."""
    return (
        f'[tools.web_search]\nbackend = "searxng"\nurl = "http://127.0.0.1:{port}"\n'
        f'ports = [{port}]\nnetworks = ["127.0.0.0/8"]\n'
    )


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """One with the default model, one with a script, for what a small model would get wrong."""
    folder = tmp_path_factory.mktemp("servers")
    both = {
        "model": start(folder / "model"),
        "script": scripted(folder / "script", SCRIPT, mcp_settings(folder / "journal")),
    }
    yield both
    for server in both.values():
        server.stop()
