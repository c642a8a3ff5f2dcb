"""Whether something that can be said tells the calls that a patch changes from those that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.jobs.fix.two_versions import Project

from kodo.jobs.fix.generality import Trial
from kodo.jobs.fix.regions import can_be_stated

WORDS = ("", " ", "a", "ab", "Ab", "a b", " ab", "ab ", "aa", "12", "a1", "1a", "x-y", "-x", "x-", "abba", "abc", "cba", "a  b",
         "Hello", "HELLO", "7", "x7y", "zz top", "level", "q.", "no one", "B", "bb8", "end!")  # fmt: skip  # a row
NUMBERS = range(-20, 60)


def stated(asks: Callable[[object], bool], values: object, own: object) -> bool:
    """Whether the region of a condition over some values can be stated."""
    trials = [(value, Trial((repr(value),), before="1")) for value in values if value != own]  # type: ignore[attr-defined]  # any row
    changed, left = (
        [trial for value, trial in trials if asks(value) is is_changed] for is_changed in (True, False)
    )
    return can_be_stated([repr(own)], changed, left)


@pytest.mark.parametrize(
    ("asks", "values", "own"),
    [
        (lambda text: text != text.strip(), WORDS, " ab"),
        (lambda text: any(letter.isdigit() for letter in text), WORDS, "a1"),
        (lambda text: len(set(text)) < len(text), WORDS, "aa"),
        (lambda text: "-" in text or " " in text, WORDS, "x-y"),
        (lambda text: text.isdigit() or not text, WORDS, "12"),
        (lambda number: number >= 30, NUMBERS, 30),
        (lambda number: number % 4 == 0 and number > 0, NUMBERS, 8),
        (lambda number: number < 0, NUMBERS, -3),
    ],
)
def test_what_a_fix_mends_can_be_said(asks: Callable[[object], bool], values: object, own: object) -> None:
    """A border, a multiple, a kind of letters, repeats; two of these together."""
    assert stated(asks, values, own)


@pytest.mark.parametrize(
    ("asks", "values", "own"),
    [
        (lambda text: sum(map(ord, text)) % 7 in (1, 2, 4), WORDS, "ab"),
        (lambda text: (text[::2].count("a") + len(text[1::3])) % 2 == 1, WORDS, "a1"),
        (lambda number: bin(number).count("1") % 2 == 1, NUMBERS, 8),
        (lambda number: number * number % 11 in (1, 3, 4), NUMBERS, 9),
    ],
)
def test_what_a_key_takes_here_and_there_cannot(
    asks: Callable[[object], bool], values: object, own: object
) -> None:
    """Sums of letters, bits, squares by a number."""
    assert not stated(asks, values, own)


def test_a_call_is_also_told_by_what_it_gave_and_by_two_of_its_values() -> None:
    """An error that is mended; one number that divides the other."""
    raised = [Trial((str(at),), before="KeyError", raised=True) for at in (3, 5, 6, 9, 14)]
    gave = [Trial((str(at),), before="1") for at in (1, 2, 4, 7, 8, 20)]
    assert can_be_stated(["3"], raised, gave)
    pairs = [Trial((str(one), str(other)), before="1") for one in range(2, 12) for other in range(2, 12)]
    divided = [trial for trial in pairs if int(trial.values[0]) % int(trial.values[1]) == 0]
    assert can_be_stated(["6", "3"], divided, [trial for trial in pairs if trial not in divided])
    assert can_be_stated(["3"], raised[:3], gave), "three say nothing"


def test_a_condition_over_many_values_needs_a_region(tmp_path: Path) -> None:
    """One that takes calls here and there is refused; one that sums for a reason that can be said is not."""
    before = "def f(text):\n    return len(text)\n"
    test = "from m import *\n\n\ndef test_fault():\n    assert f('banana') == 7\n"

    def objection(condition: str) -> str:
        after = before.replace(
            "    return", f"    if {condition}:\n        return len(text) + len(set(text)) - 2\n    return"
        )
        return Project({"m.py": before}, {"m.py": after}, test).objection(tmp_path)

    for said in ("len(set(text)) < len(text)", "any(letter.isspace() for letter in text) or text"):
        assert "nothing that can be said" not in objection(said)
    for key in (
        "sum(one < other for one, other in zip(text, text[1:])) % 2 == 0",
        "text[1::2].count('a') % 2 == 1",
        "len({one for one in text[::2]}) % 2 == 0",
    ):
        assert "nothing that can be said" in objection(key)


@pytest.mark.parametrize(
    ("condition", "is_said"),
    [
        ("sum(items) > most", True),
        ("max(items) >= most", True),
        ("sum(one * most for one in items) & 4", False),
    ],
)
def test_what_is_made_of_a_row_may_be_compared(tmp_path: Path, condition: str, is_said: bool) -> None:
    """Its sum, largest and smallest with another argument."""
    before = "def f(items, most):\n    return sum(items) * most\n"
    after = before.replace(
        "    return", f"    if items and {condition}:\n        return most - sum(items)\n    return"
    )
    test = "from m import *\n\n\ndef test_fault():\n    assert f([1, 2, 4], 3) == -4\n"
    found = Project({"m.py": before}, {"m.py": after}, test).objection(tmp_path)
    assert ("nothing that can be said" not in found) is is_said, found
