"""What jobs return."""

from __future__ import annotations

from kodo.jobs.job import Rejected, Verified


def test_a_verified_value_keeps_its_verdict_when_it_changes_form() -> None:
    """map changes the value and nothing else."""
    assert Verified(2, "counted").map(str) == Verified("2", "counted")


def test_a_rejected_text_is_no_value() -> None:
    """Rejected has a reason and the text, and nothing that could be printed as a result."""
    rejected = Rejected("does not parse", "x = (")
    assert not hasattr(rejected, "value")
    assert rejected.reason == "does not parse"
