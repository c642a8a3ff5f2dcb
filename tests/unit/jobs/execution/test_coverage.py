"""When a search is dry: after many calls that do nothing new, or fewer that take long; later where touched lines never ran."""

from __future__ import annotations

from kodo.jobs.execution.worker.coverage import Coverage
from kodo.jobs.execution.worker.outcome import Outcome


class _Search:
    """A coverage, and a clock that stands still until it is told otherwise."""

    def __init__(self, *, is_sought: bool = False) -> None:
        self.now = 0.0
        self.coverage = Coverage(is_sought=is_sought, clock=lambda: self.now)

    def calls(self, count: int, *lines: int, is_near: bool = False, raises: str = "") -> None:
        """Make calls that run these lines."""
        one = Outcome(0, "raises" if raises else "value", {"raises": raises} if raises else {}, lines=lines)
        for _ in range(count):
            self.coverage.add((one, one), is_near=is_near)

    def is_dry(self) -> bool:
        """With five seconds of patience."""
        return self.coverage.is_dry(5.0)


def test_calls_that_run_nothing_new_make_a_search_dry() -> None:
    """Five hundred of them, or as many as there were until something new ran last, whichever is more."""
    search = _Search()
    search.calls(500, 1)
    search.now = 2.0
    assert not search.is_dry()
    search.calls(1, 1)
    assert search.is_dry()
    search.calls(200, 1)
    search.calls(1, 2)
    search.now = 4.0
    assert not search.is_dry()
    search.calls(701, 1)
    assert not search.is_dry()
    search.calls(1, 1)
    assert search.is_dry()


def test_calls_that_take_no_time_do_not_make_it_dry_at_once() -> None:
    """Thousands of them are made in a moment; two fifths of what is long must pass all the same."""
    search = _Search()
    search.calls(5000, 1)
    search.now = 1.9
    assert not search.is_dry()
    search.now = 2.0
    assert search.is_dry()


def test_another_error_is_something_new() -> None:
    """A statement that runs with other values and ends in an error is a way that was not known."""
    search = _Search()
    search.calls(501, 1)
    search.now = 2.0
    assert search.is_dry()
    search.calls(1, 1, raises="KeyError")
    search.now = 4.0
    assert not search.is_dry()


def test_slow_calls_need_not_be_as_many() -> None:
    """Fifty that do nothing new are enough when they took so long, but ten are not, nor fewer than there were before."""
    search = _Search()
    search.calls(11, 1)
    search.now = 6.0
    assert not search.is_dry()
    search.calls(40, 1)
    assert search.is_dry()
    search.calls(49, 1)
    search.calls(1, 2)
    search.now = 12.0
    search.calls(100, 1)
    assert not search.is_dry()
    search.calls(1, 1)
    assert search.is_dry()


def test_it_goes_on_longer_until_what_the_change_touched_has_run() -> None:
    """Twice as long without such a call; after one, only those like it count."""
    search = _Search(is_sought=True)
    search.calls(999, 1)
    search.now = 4.0
    assert not search.is_dry()
    search.calls(2, 1)
    assert search.is_dry()
    search.calls(1, 1, 2, is_near=True)
    search.now = 6.0
    search.calls(1000, 1)
    assert not search.is_dry()
    search.calls(500, 1, 2, is_near=True)
    assert search.is_dry()
