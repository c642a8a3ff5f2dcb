"""Codex CLI, openai-agents and LangChain through kodo to each kind of server: a tool loop of three turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients.codex import MODEL as CODEX_MODEL
from tests.clients.codex import Codex
from tests.clients.environments import Environments
from tests.e2e.conftest import Server, start
from tests.standin.app import KEY, MODEL, StandIn, serve_in_thread
from tests.standin.servers import SERVERS

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]
DETECTED = {"vllm", "sglang", "llamacpp", "ollama", "lmstudio"}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def serving(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, StandIn]]:
    """`kodo serve` with one of the servers behind it; the tests of that server share it."""
    name = request.param
    profile = "auto" if name in DETECTED else name
    with serve_in_thread(SERVERS[name]) as standin:
        config = (
            f'[models."{CODEX_MODEL}"]\nengine = "upstream"\nbase_url = "{standin.url}"\ntarget = "{MODEL}"\n'
            f'api_key = "{KEY}"\nprofile = "{profile}"\ncontext_window = 131072\n'
        )
        server = start(tmp_path_factory.mktemp(name) / "home", config=config)
        yield server, standin
        server.stop()


@pytest.fixture
def behind(serving: tuple[Server, StandIn]) -> tuple[Server, StandIn]:
    """The same, with a server that was asked nothing yet."""
    serving[1].bodies.clear()
    return serving


@pytest.mark.parametrize("program", ["openai_agents_loop.py", "langchain_loop.py"])
def test_a_tool_loop_of_three_turns(
    program: str, behind: tuple[Server, StandIn], clients: Environments, tmp_path: Path
) -> None:
    """Both calls of the first turn are made, then the one without arguments, then the answer comes."""
    server, standin = behind
    got: Any = clients.program(program, "loop", server.url, tmp_path)
    assert got == {"called": ["Paris", "Tokyo", "time"], "answer": "It is sunny in Paris and Tokyo, at noon."}
    assert len(standin.bodies) == 3


def test_codex_works_behind_it(behind: tuple[Server, StandIn], clients: Environments, tmp_path: Path) -> None:
    """The full prompt with its instructions, a command run by Codex, its output back, and the answer."""
    server, standin = behind
    codex = Codex(clients, tmp_path, server.url)
    ran = codex.exec("--json", "Please run a command: echo kodo-works")
    assert ran.code == 0, ran.err + ran.out
    commands = ran.items("command_execution")
    assert [command["aggregated_output"].strip() for command in commands] == ["kodo-works"]
    assert ran.items("agent_message")[-1]["text"] == "The command said kodo-works."
    assert len(standin.bodies) == 2
