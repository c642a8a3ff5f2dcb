"""Functions that calls return are called: what a factory makes shows only then."""

from __future__ import annotations

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of
from kodo.jobs.execution.worker.returned_functions import ReturnedFunctions

CALL = Call(3, "reader", "reader(_0)", (Arg("kind", "int"),))


def _seen(takes: str) -> dict[int, tuple[Outcome, Outcome]]:
    one = Outcome(3, "value", {"result": "<function>"}, takes=takes)
    return {3: (one, one)}


def test_an_outcome_says_what_a_returned_function_takes() -> None:
    """A class, or what is no function, is not called."""
    for expression, takes in (
        ("lambda a, *b: 0", "(a, *b)"),
        ("lambda a, b=1, _c=2: 0", "(a, b)"),
        ("int", ""),
        ("3", ""),
    ):
        assert outcome_of(Call(1, "f", expression), {}, {}, 5.0, "/r").takes == takes


def test_what_comes_back_is_called_with_what_the_first_call_was_given_too() -> None:
    """The calls bind the function first; they are those of the function that made it."""
    calls = list(ReturnedFunctions().calls([CALL], _seen("(value, kind)")))
    assert {one.setup for one in calls} >= {("made = reader(_0)",)} and len(calls) == 4
    assert {one.function for one in calls} == {"reader"}
    assert all(one.expression == "made(_1, _2)" for one in calls)
    given = {arg.source for one in calls for arg in one.args[1:]}
    assert "int" in given and len(given) > 3


def test_none_is_made_where_one_version_returns_no_function() -> None:
    """Then the results themselves differ."""
    seen = {3: (Outcome(3, "value", {"result": "3"}), _seen("(a)")[3][1])}
    assert not list(ReturnedFunctions().calls([CALL], seen))
