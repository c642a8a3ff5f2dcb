"""MCP servers as tools of an agent, with the official SDK's server over its standard streams and over HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.mcp_server import served_mcp
from tests.unit.jobs.agent.test_agent import one_after_another, outputs

from kodo.cli.main import run
from kodo.client.errors import SettingsError
from kodo.client.ledger import Ledger
from kodo.client.session import Session
from kodo.client.settings import McpServerSettings
from kodo.client.testing import FakeResponses
from kodo.jobs.agent import Agent, Tool, ToolError, allow
from kodo.jobs.agent.mcp_tools import mcp_tools

ROOT = Path(__file__).parents[4]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the server notes its calls."""
    path = tmp_path / "journal.txt"
    path.touch()
    return path


@pytest.fixture
def http_url(journal: Path) -> Iterator[str]:
    """The address of a server over HTTP, which runs in a thread."""
    started, address = threading.Event(), [""]
    loop = asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve() -> None:
        async with served_mcp(journal) as server:
            address[0] = server.url
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(60)
    yield address[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    loop.close()


@pytest.fixture(params=["stdio", "http"])
def settings(request: pytest.FixtureRequest, journal: Path) -> Callable[[bool], McpServerSettings]:
    """The settings of the server, trusted or not."""
    url = request.getfixturevalue("http_url") if request.param == "http" else None

    def made(trusted: bool) -> McpServerSettings:
        if url is not None:
            return McpServerSettings(url=url, trusted=trusted)
        return stdio(journal, trusted=trusted)

    return made


def stdio(journal: Path, *, trusted: bool = False, timeout: float = 60.0) -> McpServerSettings:
    """The server as a program."""
    command = (sys.executable, "-m", "tests.mcp_server", str(journal))
    return McpServerSettings(command=command, env={"PYTHONPATH": str(ROOT)}, trusted=trusted, timeout=timeout)


def named(tools: list[Tool]) -> dict[str, Tool]:
    """Tools by their names."""
    return {tool.name: tool for tool in tools}


def test_tools_are_listed_and_called(settings: Callable[[bool], McpServerSettings], journal: Path) -> None:
    """Names begin with the server's, schemas are the server's own, a failure is an error for the model."""
    with mcp_tools({"box": settings(True)}) as found:
        tools = named(found)
        assert {"box__add", "box__write", "box__fail"} <= set(tools)
        assert tools["box__add"].parameters["required"] == ["a", "b"]
        assert tools["box__add"].run({"a": 2, "b": 3}) == "5"
        assert (tools["box__add"].effect, tools["box__write"].effect) == ("read", "write")
        with pytest.raises(ToolError, match="Error executing tool fail"):
            tools["box__fail"].run({"reason": "no good"})
        with pytest.raises(ToolError):
            tools["box__add"].run({"a": "x", "b": 3})
    assert journal.read_text() == "add 2 3\n"


def test_a_server_that_is_not_trusted_is_not_believed(
    settings: Callable[[bool], McpServerSettings], journal: Path, tmp_path: Path
) -> None:
    """Each of its tools counts as one that writes, and is not called without an approval."""
    calls = [("box__add", '{"a": 1, "b": 1}'), ("box__write", '{"text": "x"}')]
    with (
        FakeResponses(one_after_another(calls)) as server,
        Session(base_url=server.base_url, ledger=Ledger(tmp_path / "ledger.db")) as session,
        mcp_tools({"box": settings(False)}) as tools,
    ):
        result = Agent(session, tools).run("go")
        assert result.refused == 2
        assert all("not approved" in output for output in outputs(server.posts[-1]))
    assert journal.read_text() == ""


def test_approved_calls_run_and_reading_needs_none(
    settings: Callable[[bool], McpServerSettings], journal: Path, tmp_path: Path
) -> None:
    """Of a trusted server, what only reads is called; of the rest, what a rule names."""
    calls = [("box__add", '{"a": 1, "b": 1}'), ("box__write", '{"text": "x"}')]
    with (
        FakeResponses(one_after_another(calls)) as server,
        Session(base_url=server.base_url, ledger=Ledger(tmp_path / "ledger.db")) as session,
        mcp_tools({"box": settings(True)}) as tools,
    ):
        assert Agent(session, tools).run("go").refused == 1
        assert outputs(server.posts[-1])[0] == "2"
        assert Agent(session, tools, approve=allow(["box__write"])).run("go").refused == 0
        assert outputs(server.posts[-1]) == ["2", "written: x"]
    assert journal.read_text().splitlines() == ["add 1 1", "add 1 1", "write x", "wrote x"]


def test_a_call_that_takes_too_long_is_an_error(journal: Path) -> None:
    """The server's timeout ends one call; the next one is answered."""
    with mcp_tools({"box": stdio(journal, timeout=5.0)}) as found:
        tools = named(found)
        with pytest.raises(ToolError):
            tools["box__hang"].run({})
        assert tools["box__add"].run({"a": 1, "b": 2}) == "3"


@pytest.mark.parametrize(
    "settings",
    [
        McpServerSettings(command=("/nowhere/at-all",)),
        McpServerSettings(command=(sys.executable, "-c", "raise SystemExit(3)")),
        McpServerSettings(url="http://127.0.0.1:9/mcp"),
    ],
    ids=["no program", "ends at once", "nobody listens"],
)
def test_a_server_that_is_not_there_is_named(settings: McpServerSettings) -> None:
    """The settings' name of the server is in the error."""
    with pytest.raises(SettingsError, match="'box'"), mcp_tools({"box": settings}):
        raise AssertionError("it connected")


def test_the_command_uses_a_server_of_the_settings(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--mcp NAME`` with ``--allow``; another name is refused with those that are there."""
    home = tmp_path / "home"
    home.mkdir()
    words = json.dumps([sys.executable, "-m", "tests.mcp_server", str(journal)])
    (home / "config.toml").write_text(
        f'[client.mcp_servers.box]\ncommand = {words}\nenv = {{ PYTHONPATH = "{ROOT}" }}\n'
    )
    monkeypatch.setenv("KODO_HOME", str(home))
    with FakeResponses(one_after_another([("box__write", '{"text": "y"}')])) as server:
        argv = ["agent", "go", "--base-url", server.base_url, "--mcp", "box"]
        assert run([*argv, "--allow", "box__write"]) == 0
        assert "done" in capsys.readouterr().out
        assert run([*argv[:-1], "other"]) == 2
        assert "box" in capsys.readouterr().err
        assert run([*argv, "--allow", "nope"]) == 2
        assert "nope" in capsys.readouterr().err
    assert journal.read_text().splitlines() == ["write y", "wrote y"]
