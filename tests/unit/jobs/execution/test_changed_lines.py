"""The lines that a change touched are those that a run of the function visits."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.jobs.execution.changed_lines import visited_lines
from kodo.jobs.execution.target import load

_TEXT = '''def price(
    item,
    discount=0,
):
    """What it costs."""
    total = cost(
        item,
        discount,
    )
    if total > 3:
        total -= 1
        return total
    for one in item:
        match one:
            case 1:
                total += 1
    return -total


def other(item):
    return item
'''


@pytest.mark.parametrize(
    ("touched", "found"),
    [
        ({8}, (6, 7, 8, 9)),
        ({10}, (10,)),
        ({11}, (11,)),
        ({13, 17}, (13, 17)),
        ({14}, (14,)),
        ({16}, (16,)),
        ({3}, ()),
        ({5}, ()),
        ({21}, ()),
    ],
    ids=[
        "middle of a call",
        "head of an if",
        "in it",
        "two",
        "match",
        "in it",
        "parameter",
        "documentation",
        "another function",
    ],
)
def test_a_statement_counts_with_all_its_lines_and_without_those_in_it(
    tmp_path: Path, touched: set[int], found: tuple[int, ...]
) -> None:
    """A touched line in the middle of a statement is visited at its first line; a block is not visited with its head."""
    (tmp_path / "m.py").write_text(_TEXT)
    assert visited_lines(load(tmp_path / "m.py"), "price", touched) == found


def test_a_function_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    """One version may not have it."""
    (tmp_path / "m.py").write_text(_TEXT)
    assert visited_lines(load(tmp_path / "m.py"), "gone", {1, 5}) == ()
