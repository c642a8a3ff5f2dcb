"""The tutorial's program of 40 lines, in both languages, with the default model behind the installed command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.e2e.conftest import Server
from tests.unit.jobs.agent.test_tutorial import run_program


@pytest.mark.parametrize("page", ["function-calling.md", "function-calling.ja.md"])
def test_the_default_model_calls_the_functions_or_answers(real: Server, tmp_path: Path, page: str) -> None:
    """It comes to an end, says how, and what it called was valid; whether it is right is not the default model's strength."""
    done = run_program(tmp_path, page, f"{real.url}/v1", "How many pears are left?")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ answers, \d+ calls, (finished|steps|loop|incomplete), \$0", done.stderr)
