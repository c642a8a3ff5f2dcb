"""The program inside of a container, without a container."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kodo.server.http.containers.inside import agent, kernel


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a container nothing that runs is the agent's to end, so it may not even look for it."""
    monkeypatch.setattr(agent, "_running", lambda: pytest.fail("it looked for others to end"))


RUN = {"do": "run", "seconds": 20.0, "most": 100}


def test_a_python_that_is_gone_is_started_anew(tmp_path: Path) -> None:
    """A thread that a call has left may end it between two calls: the next one is told so, and the one behind it runs."""
    made = agent.Agent(sys.executable, kernel.__file__, str(tmp_path))
    try:
        assert made.answer(RUN, b"x = 1")[0]["ended"] == "ok"
        old = made._kernel
        assert old is not None
        old._process.kill()
        old._process.wait()
        assert made.answer(RUN, b"x")[0]["ended"] == "died"
        answer, output = made.answer(RUN, b"'anew'")
        assert (answer["ended"], output) == ("ok", b"'anew'\n")
    finally:
        if made._kernel is not None:
            made._kernel.kill()


def test_what_cannot_be_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    """A NUL in a path or a command; the agent answers the next request."""
    made = agent.Agent(sys.executable, kernel.__file__, str(tmp_path))
    for request in (
        {"do": "put", "path": "a\0b"},
        {"do": "get", "path": "a\0b", "most": 1},
        {"do": "remove", "path": "a\0b"},
    ):
        assert made.answer(request, b"x") == ({"error": "embedded null byte"}, b"")
    shell = {"do": "shell", "seconds": 20.0, "most": 100}
    assert made.answer(shell, b"echo a\0b") == ({"error": "embedded null byte"}, b"")
    assert made.answer(shell, b"echo " + b"x" * 200_000) == ({"error": "Argument list too long"}, b"")
    assert made.answer({"do": "put", "path": "a"}, b"x")[0]["stamp"] > 0


@pytest.mark.parametrize("outside", [None, str(Path("/proc/self/ns/pid").readlink())])
def test_without_a_namespace_of_its_own_it_ends_nothing(
    outside: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orphan's parent is process 1 as well: what runs beside it there is other people's."""
    monkeypatch.setattr(os, "getppid", lambda: 1)
    made = agent.Agent(sys.executable, kernel.__file__, str(tmp_path), outside)
    answer, output = made.answer({"do": "shell", "seconds": 20.0, "most": 100}, b"echo a")
    assert (answer["clean"], output) == (False, b"a\n")
