"""Calls whose lines are traced do what they do without a trace."""

from __future__ import annotations

import sys

import pytest

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.arcs import Arcs, current_trace
from kodo.jobs.execution.worker.call import observe


@pytest.mark.parametrize("setup", [(), ("seen = sys.gettrace()",)])
def test_code_that_asks_for_a_debugger_hears_of_none(setup: tuple[str, ...]) -> None:
    """Some do another thing where one is there, and nobody has one who makes the call that is told."""
    asked = "seen" if setup else "sys.gettrace()"
    before = current_trace()
    seen = observe(Call(0, "f", f"{asked} is None", (), setup), {"sys": sys}, {}, (), 2.0, Arcs(__file__))
    assert (seen.kind, seen.text) == ("value", "True")
    assert (sys.gettrace, current_trace()) == (current_trace, before)
