"""Usage, its sum, and its report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

import kodo
from kodo.client.testing import FakeResponses
from kodo.client.usage import Usage
from kodo.client.usage_tracker import UsageTracker

WIRE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}


def test_usage_is_read_from_json_and_from_older_servers() -> None:
    """All five counts are read; parts an older server leaves out are 0; none at all is None."""
    assert Usage.from_wire(WIRE) == Usage(10, 4, 2, 7, 3)
    assert Usage.from_wire({"input_tokens": 5, "output_tokens": 1}) == Usage(5, 0, 0, 1, 0)
    assert Usage.from_wire(None) is None
    assert Usage(10, 4, 2, 7, 3).total_tokens == 17


def test_a_tracker_adds_up_by_model() -> None:
    """Usages, SDK objects and answers are taken; cost is at list price; unknown models count 0."""
    tracker = UsageTracker()
    tracker.add_usage(Usage(input_tokens=1_000_000), "codex-mini-latest")
    tracker.add_usage(WIRE, "nobody-knows")
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        tracker.add_usage(session.respond("two words"))
    assert tracker.total.input_tokens == 1_000_012
    assert tracker.list_price("codex-mini-latest") == Decimal("1.500015")
    assert tracker.get_estimated_cost("nobody-knows") == 0
    assert tracker.get_estimated_cost() == 1.500015
    assert f"${tracker.get_estimated_cost():.4f}" == "$1.5000"


def test_two_numbers_are_counted_for_the_default_model() -> None:
    """As a tracker of one model's calls has it: input tokens, output tokens."""
    tracker = UsageTracker()
    tracker.add_usage(1_000_000, 0)
    tracker.add_usage(input_tokens=0, output_tokens=1_000_000)
    assert tracker.list_price("codex-mini-latest") == Decimal("7.50")
    with pytest.raises(ValueError, match="two numbers"):
        tracker.add_usage(5, -1)


def test_the_report_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """report() prints what table() returns."""
    tracker = UsageTracker()
    tracker.add_usage(3, 4)
    tracker.report()
    assert capsys.readouterr().out == tracker.table() + "\n"


def test_the_report_has_a_line_a_model_and_a_total() -> None:
    """Calls, tokens and dollars, in columns."""
    tracker = UsageTracker()
    tracker.add_usage(Usage(1000, 400, 0, 50), "codex-mini-latest")
    tracker.add_usage(Usage(1), "other")
    lines = tracker.table().splitlines()
    assert lines[0].split() == ["model", "calls", "input", "cached", "output", "USD"]
    assert lines[1].split() == ["codex-mini-latest", "1", "1000", "400", "50", "0.001350"]
    assert lines[-1].split() == ["total", "2", "1001", "400", "50", "0.001350"]


def test_threads_lose_nothing() -> None:
    """A thousand additions from many threads are a thousand."""
    tracker = UsageTracker()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: tracker.add_usage(Usage(1, 0, 0, 1), "m"), range(1000)))
    assert tracker.total == Usage(1000, 0, 0, 1000)
