"""Putting a question together."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.cli.context import MESSAGES, build_prompt
from kodo.cli.exit_codes import CommandError
from kodo.cli.output import Output

OUTPUT = Output(MESSAGES, "en")


def test_files_and_pipe_come_before_the_prompt(tmp_path: Path) -> None:
    """Each file under its name, what was piped in after them, and then what is asked."""
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    assert build_prompt("Explain", [path], "boom\n", OUTPUT) == (
        f"{path}:\n```\nx = 1\n```\n\nstdin:\n```\nboom\n```\n\nExplain"
    )


def test_without_a_prompt_the_pipe_is_the_prompt() -> None:
    """`echo question | kodo ask` asks it as it is."""
    assert build_prompt(None, [], "What is 2+2?\n", OUTPUT) == "What is 2+2?"


@pytest.mark.parametrize("piped", [None, "", " \n"])
def test_nothing_asked_is_an_error(piped: str | None) -> None:
    """An empty pipe is nothing."""
    with pytest.raises(CommandError, match="PROMPT"):
        build_prompt(None, [], piped, OUTPUT)


@pytest.mark.parametrize(
    ("name", "said"), [("missing", "cannot read .*missing"), ("binary", "binary.*UTF-8")]
)
def test_a_file_that_is_no_text_is_named(name: str, said: str, tmp_path: Path) -> None:
    """The user is told which of the files it was."""
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    with pytest.raises(CommandError, match=said):
        build_prompt("x", [tmp_path / name], None, OUTPUT)
