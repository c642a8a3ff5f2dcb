"""Two outcomes of one call in few words: what is shown differs, whatever they have in common."""

import pytest

from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.review.behaviour_remarks import contrast


def _raised(message: str = "", **parts: str) -> Outcome:
    return Outcome(1, "raises", {"raises": "Abort", "message": message, **parts})


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (_raised(output="'name: '"), _raised(output="'name'"), ("output = 'name: '", "output = 'name'")),
        (_raised("no"), _raised("never"), ("Abort: no", "Abort: never")),
        (_raised(), Outcome(1, "value", {"result": "3"}), ("Abort", "3")),
        (
            _raised(**{"after: stream": "'a'"}),
            _raised(),
            ("stream = 'a'", "stream = as it was"),
        ),
    ],
)
def test_two_errors_are_told_apart(before: Outcome, after: Outcome, shown: tuple[str, str]) -> None:
    """By their texts, and by what was printed or changed where these are alike."""
    assert contrast(before, after) == shown


def test_long_messages_are_cut_around_the_place_where_they_differ() -> None:
    """Their beginnings alone would be one and the same text."""
    one, other = contrast(_raised("x" * 300 + "1" * 9), _raised("x" * 300 + "2" * 9))
    assert one != other and "1" in one and "2" in other and max(map(len, (one, other))) < 140
