"""The progress bar: one line on a terminal, few lines anywhere else, none where there was nothing to do."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

import pytest

from kodo.cli import progress
from kodo.cli.progress import Bar


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_redrawn() -> None:
    """Each drawing begins at the line's start and covers the one before it."""
    stream = Terminal()
    with Bar("model", "MB", stream) as bar:
        bar.show(0, 100_000_000)
        bar.show(50_000_000, 100_000_000, "of a long note")
        bar.show(100_000_000, 100_000_000)
    drawings = stream.getvalue().split("\r")[1:]
    assert drawings[0] == "[........................] model 0/100 MB"
    assert drawings[1] == "[############............] model 50/100 MB of a long note"
    assert drawings[2].rstrip() == "[########################] model 100/100 MB"
    assert len(drawings[2]) == len(drawings[1])
    assert drawings[3].startswith("model: done (")
    assert stream.getvalue().count("\n") == 1


def test_a_log_gets_a_line_at_the_start_at_the_end_and_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CI log is not filled with drawings."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Bar("dependencies", "packages", stream) as bar:
        for second in range(25):
            now[0] = float(second)
            bar.show(second, 25, "fetched")
    assert stream.getvalue().splitlines() == [
        "dependencies ...",
        "dependencies 10/25 packages fetched",
        "dependencies 20/25 packages fetched",
        "dependencies: done (24.0 s)",
    ]


def test_nothing_to_do_is_nothing_said() -> None:
    """A step that found everything in place draws nothing."""
    stream = Terminal()
    with Bar("model", "MB", stream):
        pass
    assert stream.getvalue() == ""


def test_a_failed_step_does_not_say_done() -> None:
    """The line ends with the truth, and the error goes on."""
    stream = io.StringIO()
    with pytest.raises(OSError, match="full"), Bar("model", "MB", stream) as bar:
        bar.show(1, 2)
        raise OSError("full")
    assert stream.getvalue().splitlines()[-1].startswith("model: stopped (")


@pytest.mark.parametrize("file", ["cli/progress.py", "server/engines/weights/pip.py"])
def test_what_the_set_up_borrows_needs_the_standard_library_only(file: str) -> None:
    """scripts/checkout.py loads these files before anything is installed."""
    tree = ast.parse((Path(progress.__file__).parents[1] / file).read_text())
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
