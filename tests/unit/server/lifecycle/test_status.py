"""Status machines."""

from __future__ import annotations

import pytest

from kodo.server.lifecycle.status import FINAL, RESPONSE_STATUS, StatusMachine


def test_a_status_that_nothing_follows_is_final() -> None:
    """Final and unfinished statuses keep the order of the table and share none."""
    machine = StatusMachine[str]({"a": {"b", "c"}, "b": set(), "c": {"b"}})
    assert (machine.final, machine.unfinished) == (("b",), ("a", "c"))
    assert machine.allows("a", "c")
    assert not machine.allows("c", "a")


@pytest.mark.parametrize("old", RESPONSE_STATUS.transitions)
@pytest.mark.parametrize("new", RESPONSE_STATUS.transitions)
def test_the_transitions_of_a_response(old: str, new: str) -> None:
    """A final status stays; a queued response runs or ends unrun; nothing goes back."""
    allowed = {
        "queued": {"in_progress", "cancelled", "failed"},
        "in_progress": {"completed", "incomplete", "failed", "cancelled"},
    }
    if new in allowed.get(old, set()):
        assert RESPONSE_STATUS.transition(old, new) == new  # type: ignore[arg-type]
    else:
        with pytest.raises(ValueError, match=f"from {old} to {new}"):
            RESPONSE_STATUS.transition(old, new)  # type: ignore[arg-type]
    assert (old in FINAL) == (old not in allowed)
