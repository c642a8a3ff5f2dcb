"""The calls that were made outside of pytest, as the texts of tests; here they run without a test runner."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.fix.counter_tests import counter_tests
from kodo.jobs.fix.cross_check import CrossCheck, Recorded, cross_check
from kodo.jobs.fix.reproduction import Reproduction

MODULE = """
import dataclasses


@dataclasses.dataclass
class Price:
    amount: int

    def __eq__(self, other):
        return True


class Open:
    def __init__(self, size):
        self.size = size


def f(value):
    return value


def fails(value):
    raise KeyError(value)


async def later(value):
    return value
"""
TEST = "from checked_module import *\n\n\ndef test_fault():\n    assert f(7) == 50\n"


def checked(call: Call, seen: Outcome) -> CrossCheck:
    """The file for one call."""
    counters = counter_tests(Reproduction("tests/test_it.py::test_fault", "tests/test_it.py", TEST, ""))
    assert counters is not None
    where = ModuleLocation("checked_module.py", ".", "checked_module", "", ("Price", "Open"))
    return cross_check(counters, Recorded(where, ((call, seen),)))


def passes(check: CrossCheck, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the test of its only call passes."""
    (folder / "checked_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "checked_module", raising=False)
    names: dict[str, object] = {}
    exec(check.text, names)
    (name,) = check.calls
    test = names[name.rpartition("::")[2]]
    assert callable(test)
    try:
        test()
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "recorded", "alike"),
    [
        ("7", "7", True),
        ("7", "7.0", False),
        ("True", "1", False),
        ("[1, [2, {3}]]", "[1, [2, {3}]]", True),
        ("[1, [2, {3}]]", "[1, [2, {4}]]", False),
        ("{'b', 'a', 'c'}", "{'a', 'b', 'c'}", True),
        ("{'a': 1, 'b': 2}", "{'a': 1, 'b': 2}", True),
        ("{'b': 2, 'a': 1}", "{'a': 1, 'b': 2}", False),
        ("float('nan')", "float('nan')", True),
        ("Price(3)", "Price(amount=3)", True),
        ("Price(3)", "Price(amount=4)", False),
        ("[3]", "<tmp>", True),
    ],
)
def test_a_value_is_compared_whatever_it_says_of_being_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, recorded: str, alike: bool
) -> None:
    """By its type and all it holds; not where a folder is in it, which is another one."""
    call = Call(0, "", f"f({value})", origin="test")
    check = checked(call, Outcome(0, "value", {"result": recorded}))
    assert passes(check, tmp_path, monkeypatch) is alike


@pytest.mark.parametrize(
    ("expression", "seen", "alike"),
    [
        ("fails(_0)", Outcome(0, "raises", {"raises": "KeyError"}), True),
        ("fails(_0)", Outcome(0, "raises", {"raises": "ValueError"}), False),
        ("f(_0)", Outcome(0, "raises", {"raises": "KeyError"}), False),
        ("later(_0)", Outcome(0, "value", {"result": "'abc'"}, wrap="asyncio.run"), True),
        ("iter(_0)", Outcome(0, "value", {"result": "['a', 'b', 'c']"}, wrap="list"), True),
        ("iter(_0)", Outcome(0, "value", {"result": "['a', 'b']"}, wrap="list"), False),
        ("Open(_0)", Outcome(0, "value", {"type": "checked_module.Open", "result": "<x>", "result.size": "'abc'"}), True),
        ("Open(_0)", Outcome(0, "value", {"type": "checked_module.Open", "result": "<x>", "result.size": "'abd'"}), False),
        ("Open(_0)", Outcome(0, "value", {"type": "checked_module.Price", "result": "<x>"}), False),
    ],
)  # fmt: skip  # one row each
def test_what_a_call_does_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expression: str, seen: Outcome, alike: bool
) -> None:
    """Errors by their names, coroutines and iterators as the worker reads them, other values by type and attributes."""
    call = Call(
        0, "", expression, (Arg("literal_0", "'abc'"),), ("given = [_0]", "_0 = given[0]"), "", "test"
    )
    assert passes(checked(call, seen), tmp_path, monkeypatch) is alike


@pytest.mark.parametrize("seen", [Outcome(0, "timeout"), Outcome(0, "value", {"result": "4"}, drawn=True)])
def test_what_is_another_one_each_time_is_not_compared(seen: Outcome) -> None:
    """A call that did not end, and one that drew random numbers."""
    assert not checked(Call(0, "", "f(1)", origin="test"), seen).calls


def test_the_first_difference_is_named() -> None:
    """A test that is not there is one too."""
    call = Call(0, "", "f(_0)", (Arg("literal_0", "7"),), (), "", "test")
    check = checked(call, Outcome(0, "value", {"result": "50"}))
    (name,) = check.calls
    assert check.objection(check.differing({name: ""})) == ""
    failed = check.objection(check.differing({name: "x\nE   assert 49 == 50\n"}))
    assert "1 of 1 calls" in failed and "f(7): assert 49 == 50" in failed
    assert "was not run" in check.objection(check.differing({}))
