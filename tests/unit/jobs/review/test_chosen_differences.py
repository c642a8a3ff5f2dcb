"""Which of the differences of a change are told: one for each function or value, the one that a reader can judge best."""

from __future__ import annotations

from pathlib import Path

from kodo.jobs.execution.changed import affected_functions
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.difference import Difference
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.review import reading
from kodo.jobs.review.behaviour_remarks import remarks
from kodo.jobs.review.source import VersionsSource

OLD = "TABLE = {'a': 1}\n\ndef f(x, y=0):\n    return TABLE, x\n"
NEW = OLD.replace("'a': 1", "'a': 2").replace("TABLE, x", "TABLE, y")


def _difference(expression: str, before: str, after: str, *args: str) -> Difference:
    given = tuple(Arg(f"x{at}", source) for at, source in enumerate(args))
    call = Call(1, "f", expression, given)
    return Difference(call, *(Outcome(1, "value", {"result": one}) for one in (before, after)), call)


def _told(folder: Path, **found: tuple[Difference, ...]) -> list[str]:
    for name, text in (("old", OLD), ("new", NEW)):
        (folder / name).mkdir()
        (folder / name / "m.py").write_text(text)
    before, after = load(folder / "old" / "m.py"), load(folder / "new" / "m.py")
    (file,) = reading.read(VersionsSource({"m.py": OLD}, {"m.py": NEW}), 10**6).files
    compared = [Compared(name, 1, 0, rows) for name, rows in found.items()]
    affected = {one.function.qualname: one for one in affected_functions(before, after)}
    return [one.message for one in remarks(file, after, affected, compared, [file], {"TABLE"})]


def test_what_a_function_and_a_value_show_alike_is_told_once(tmp_path: Path) -> None:
    """A call out of a test may go through both."""
    same = _difference("f(3)", "({'a': 1}, 3)", "({'a': 2}, 0)")
    assert len(_told(tmp_path, f=(same,), TABLE=(same,))) == 1


def test_what_they_show_otherwise_is_told_of_both(tmp_path: Path) -> None:
    """Other inputs, or other results."""
    one, other = _difference("f(3)", "3", "0"), _difference("f(4)", "4", "0")
    assert len(_told(tmp_path, f=(one,), TABLE=(other,))) == 2


def test_a_plain_input_is_told_though_an_odd_one_is_shorter(tmp_path: Path) -> None:
    """A reader can judge what becomes of a text that callers give."""
    odd = _difference("f(_0)", "1", "2", "math.nan")
    plain = _difference("f(_0)", "1", "2", "'a longer text'")
    (message,) = _told(tmp_path, f=(odd, plain))
    assert "a longer text" in message


def test_a_result_is_told_rather_than_the_order_of_keys(tmp_path: Path) -> None:
    """An object that is equal says little, and is said where there is nothing else."""
    order = _difference("f(1)", "{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}")
    value = _difference("f('a longer text')", "{'a': 1}", "{'a': 2}")
    (message,) = _told(tmp_path, f=(order, value))
    assert "a longer text" in message


def test_two_things_that_a_change_does_are_told_both(tmp_path: Path) -> None:
    """One input gives another result, and one that gave a result is refused."""
    result, refusal = _difference("f(3)", "3", "0"), _refusal("f('a')", "1", deliberate=True)
    assert len(_told(tmp_path, f=(result, refusal, _difference("f(44)", "4", "0")))) == 2


def test_an_accident_of_a_made_up_value_is_no_second_thing(tmp_path: Path) -> None:
    """An operation that fails on what it was not made for says little beside a result."""
    result, accident = _difference("f(3)", "3", "0"), _refusal("f('a')", "1", deliberate=False)
    assert len(_told(tmp_path, f=(result, accident))) == 1


def _refusal(expression: str, before: str, *, deliberate: bool) -> Difference:
    """A call that gave a result and ends in an error now."""
    call = Call(1, "f", expression, ())
    after = Outcome(
        1, "raises", {"raises": "TypeError", "message": "no"}, accident=not deliberate, deliberate=deliberate
    )
    return Difference(call, Outcome(1, "value", {"result": before}), after, call)
