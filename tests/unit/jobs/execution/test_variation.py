"""Variations of a call: one thing is another, and sometimes two at once."""

from __future__ import annotations

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.variation import Variations


def test_a_state_and_an_argument_may_change_together() -> None:
    """Where each alone takes no new way, the two are not found one after the other."""
    call = Call(
        1, "Box.put", "box.put(_0)", (Arg("size", "3"),), ("box = Box()", "box.open()"), "box", "test"
    )
    variations = Variations([call], ("9",))
    varied = [one for number in range(400) if (one := variations.one(call, number))]
    again = [one for one in varied if one.setup.count("box.open()") == 2]
    assert any(one.args == call.args for one in again) and any(one.args != call.args for one in again)
    assert any(one.setup == call.setup and one.args != call.args for one in varied)
