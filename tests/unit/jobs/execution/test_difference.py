"""How much a difference says: what a caller sees says more than what a module keeps to itself."""

from __future__ import annotations

import ast
import unittest
from pathlib import Path

import pytest

from kodo.jobs.execution.attribute_names import one_sided_attributes
from kodo.jobs.execution.model import Call, Origin
from kodo.jobs.execution.worker.describe import describe
from kodo.jobs.execution.worker.difference import is_plain, is_private, tells, worth
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of
from kodo.jobs.execution.worker.probe import Inner, first_difference


def _value(result: str, **parts: str) -> Outcome:
    return Outcome(1, "value", {"result": result, **parts})


def _raised(name: str, *, accident: bool = False, inside: bool = False, **parts: str) -> Outcome:
    deliberate = not (accident or inside)
    return Outcome(1, "raises", {"raises": name, **parts}, accident=accident, deliberate=deliberate)


PUBLIC, PRIVATE = Call(1, "f", "f(_0)"), Call(1, "_f", "m._f(_0)")
METHOD = Call(1, "C.f", "c.f()", setup=("c = C()",), receiver="c")
STATE = Call(1, "TABLE", "str(TABLE)", origin="state")


def test_an_attribute_of_the_result_that_only_one_outcome_shows_is_no_difference() -> None:
    """It may be a bound method there, which has nothing to be shown by; an argument that only one version changes is one."""
    plain = _value("Row()", **{"result.name": "'a'"})
    assert not tells(_value("Row()", **{"result.name": "'a'", "result.converter": "None"}), plain)
    assert tells(_value("Row()", **{"result.name": "'b'", "result.converter": "None"}), plain)
    assert tells(_value("None", **{"after: _0": "[1]"}), _value("None"))


@pytest.mark.parametrize(
    ("better", "than"),
    [
        ((PUBLIC, _value("1"), _value("2")), (PRIVATE, _value("1"), _value("2"))),
        ((PUBLIC, _value("1"), _raised("ValueError")), (PRIVATE, _value("1"), _value("2"))),
        ((PRIVATE, _value("1"), _value("2")), (PUBLIC, _raised("TypeError", accident=True), _value("2"))),
        ((PUBLIC, _value("1"), _value("2")), (PUBLIC, _value("1"), _raised("ValueError"))),
        ((PRIVATE, _value("1"), _value("2")), (STATE, _value("1"), _value("2"))),
        ((STATE, _value("1"), _value("2")), (PUBLIC, _raised("TypeError", accident=True), _value("2"))),
    ],
)
def test_what_a_caller_sees_says_more(
    better: tuple[Call, Outcome, Outcome], than: tuple[Call, Outcome, Outcome]
) -> None:
    """A result of a private function says less than one of a public function, and an accident of a made-up value least."""
    assert worth(*better) < worth(*than)


@pytest.mark.parametrize(
    ("call", "before", "after", "is_enough"),
    [
        (PUBLIC, _value("1"), _value("2"), True),
        (PUBLIC, _value("1"), _raised("ValueError"), True),
        (PUBLIC, _value("1"), _raised("TypeError", accident=True), False),
        (PUBLIC, _raised("OwnError"), _raised("UnicodeDecodeError", inside=True), True),
        (PUBLIC, _raised("OwnError"), _raised("KeyError", accident=True), False),
        (PUBLIC, _raised("OwnError"), _raised("ValueError"), False),
        (PUBLIC, _raised("OverflowError", inside=True), _raised("ValueError", inside=True), False),
        (PRIVATE, _value("1"), _value("2"), False),
        (STATE, _value("1"), _value("2"), False),
        (METHOD, _value("1", **{"after: c": "C(1)"}), _value("1", **{"after: c": "C(2)"}), False),
        (METHOD, _value("1", **{"after: c": "C(1)"}), _value("2", **{"after: c": "C(2)"}), True),
        (METHOD, _value("1", **{"after: x": "[1]"}), _value("1", **{"after: x": "[2]"}), True),
        (METHOD, _value("1", **{"after: c.h.mock_calls": "[1]"}), _value("1"), False),
        (PUBLIC, _value("<C>", **{"result.a": "1"}), _value("<C>", **{"result.a": "2"}), False),
        (PUBLIC, _value("{'a': [1], 'b': 2}"), _value("{'b': 2, 'a': [1]}"), False),
        (PUBLIC, _value("{'a': 1, 'b': 2}"), _value("{'b': 1, 'a': 2}"), True),
        (PUBLIC, _value("{'a': [1, 2]}"), _value("{'a': [2, 1]}"), True),
        (PUBLIC, _value("{'a': 1.0}"), _value("{'a': 1}"), True),
        (PUBLIC, _raised("TypeError", accident=True), _raised("RecursionError", accident=True), True),
        (METHOD, *(_raised("ValueError", **{"after: c": text}) for text in ("[1]", "[1, 2]")), False),
    ],
)
def test_better_is_looked_for_where_a_difference_says_little(
    call: Call, before: Outcome, after: Outcome, is_enough: bool
) -> None:
    """What a caller sees by its result, or by an error that is raised on purpose in one version, is enough."""
    assert is_plain(worth(call, before, after)) is is_enough


@pytest.mark.parametrize(("origin", "expected"), [("random", True), ("test", False)])
def test_what_an_object_of_a_private_class_does_is_private(origin: Origin, expected: bool) -> None:
    """A caller has none; how a test makes its objects says nothing of them."""
    call = Call(1, "C.f", "c.f()", setup=("c = _Cache(1)",), receiver="c", origin=origin)
    assert is_private(call) is expected


def test_a_function_that_calls_itself_without_an_end_is_no_accident() -> None:
    """Two other errors of operations on a made-up value are alike."""
    endless, accident = (_raised(name, accident=True) for name in ("RecursionError", "TypeError"))
    assert tells(accident, endless) and not tells(endless, endless)
    assert not tells(accident, _raised("AttributeError", accident=True))


def test_what_an_error_leaves_behind_is_state() -> None:
    """It says more than an accident, and less than a result; of an accident it says nothing."""
    left = [_raised("ValueError", **{"after: c": text}) for text in ("[1]", "[1, 2]")]
    assert tells(*left)
    assert worth(METHOD, _value("1"), _value("2")) < worth(METHOD, *left)
    assert worth(METHOD, *left) < worth(METHOD, _value("1"), _raised("TypeError", accident=True))
    assert not tells(*(_raised("TypeError", accident=True, **one.parts) for one in left))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("f(_0)", False),
        ("_f(_0)", True),
        ("parser._parse(_0, _1)", True),
        ("a.__mod__(_0)", False),
        ("_ymd_.could_be_day(_0)", False),
        ("x_f(_0)", False),
    ],
)
def test_a_private_call_is_known_by_what_it_names(expression: str, expected: bool) -> None:
    """Arguments and variables begin with a line too, and special methods are what operators call."""
    assert is_private(Call(1, "f", expression)) is expected


class TestReturnedFunctions:
    """Which function comes back is no behaviour: what it does shows when it is called."""

    def test_another_function_is_no_difference(self) -> None:
        """A lambda in the place of a method says nothing."""
        one = _value("<function f.<locals>.<lambda>>", type="builtins.function")
        other = _value("<method Shop.price>", type="builtins.method")
        assert not tells(one, other)

    def test_nor_is_it_one_inside_a_call(self) -> None:
        """What the call changed besides counts."""
        one, other = (Inner("f", "x=1", "", f"<function {name}>") for name in "ab")
        assert first_difference([one], [other]) is None
        more = Inner("f", "x=1", "", "<function b>; x = 2")
        assert first_difference([one], [more]) is not None

    def test_a_function_in_the_place_of_a_value_is_one(self) -> None:
        """A caller sees that; so it does where something else differs too."""
        assert tells(_value("3"), _value("<function f>"))
        assert tells(_value("<function f>", output="'a'"), _value("<function g>"))


SHOP = "class Shop:\n    def __init__(self):\n        self.open = True{more}\n"


class TestOneSidedAttributes:
    """That an attribute came or went, the change itself shows."""

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (SHOP.format(more=""), SHOP.format(more="\n        self.late = 1"), {"late"}),
            ("class A:\n    __slots__ = ('a', 'b')", "class A:\n    __slots__ = ('a',)", {"b"}),
            ("class A:\n    a = 1", "class A:\n    a: int = 2", set()),
            ("class A: pass", "class A:\n    @property\n    def size(self): return 1", {"size"}),
            ("class A: pass", "class A:\n    def size(self): return 1", set()),
            ("class A:\n    a = 1\nclass B: pass", "class A: pass\nclass B:\n    a = 1", set()),
        ],
    )
    def test_those_of_one_version_are_known(self, before: str, after: str, expected: set[str]) -> None:
        """Those on self, of the class, in slots and properties."""
        assert one_sided_attributes(ast.parse(before), ast.parse(after)) == expected

    def test_they_are_not_compared_at_any_depth(self) -> None:
        """Neither in the result nor in what is in it."""

        class Token:
            def __init__(self, **more: object) -> None:
                self.value = 1
                self.__dict__.update(more)

        for wrap in (lambda one: one, lambda one: [one], lambda one: Token(inner=one)):
            one, other = (describe(wrap(token), {}, "/r", ("late",)) for token in (Token(), Token(late=True)))
            assert one == other
            assert describe(wrap(Token(late=False)), {}, "/r") != describe(wrap(Token(late=True)), {}, "/r")

    def test_the_state_of_a_receiver_is_compared_without_them(self) -> None:
        """A call that sets one in one version only does nothing else that counts."""
        space: dict[str, object] = {"shop": type("Shop", (), {})()}
        call = Call(1, "f", "shop.__dict__.update(late=1, open=2)", receiver="shop")
        seen = outcome_of(call, space, {}, 5.0, "/r", ("late",))
        assert [name for name in seen.parts if name.startswith("after: ")] == ["after: shop.open"]


OWN = """class Day:
    def __init__(self):
        self.day = 1

    def month_of_year(self):
        return self.month

    def day_of_month(self):
        return self.day

    def of(self, other):
        return other.month
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Day().month_of_year()", True),
        ("object.__new__(Day).day_of_month()", False),
        ("Day().of(3)", False),
    ],
)
def test_an_attribute_that_no_method_sets_is_the_classs_own_fault(expression: str, expected: bool) -> None:
    """A made-up instance may lack what its constructor sets, and an argument what is asked of it: these say little."""
    space: dict[str, object] = {}
    exec(compile(OWN, "/r/day.py", "exec"), space)
    seen = outcome_of(Call(1, "f", expression), space, {}, 5.0, "/r")
    assert seen.parts["raises"] == "AttributeError" and seen.deliberate is expected


@pytest.mark.parametrize(
    ("before", "after", "is_said"),
    [
        ("raises TypeError: a", "raises AttributeError: b", False),
        ("raises TypeError: a", "raises ValueError: b", True),
        ("raises ValueError: a", "raises ValueError: b", False),
        ("1", "raises TypeError: b", True),
    ],
)
def test_two_accidents_of_a_changed_argument_are_alike(before: str, after: str, is_said: bool) -> None:
    """Inside a call too, an operation that fails on what it was not made for is no behaviour."""
    one, other = (Inner("f", "x=1", "", result, "x = 1") for result in (before, after))
    assert bool(first_difference([one], [other])) is is_said


def test_a_test_that_one_version_does_not_pass_says_more_than_an_assertion_of_the_code() -> None:
    """The project says by it what is to come out; the code only says what it does not expect."""
    failed = Outcome(1, "raises", {"raises": "AssertionError"}, accident=True, of_test=True)
    own = Outcome(1, "raises", {"raises": "AssertionError"}, accident=True)
    assert worth(PUBLIC, failed, _value("None")) < worth(PUBLIC, own, _value("None"))


def test_where_an_assertion_failed_is_known(tmp_path: Path) -> None:
    """In a file of tests or in unittest, or in the code under test."""
    for name in ("test_shop.py", "shop.py"):
        (tmp_path / name).write_text("def check():\n    assert 1 == 2\n")
    found = {}
    for name in ("test_shop.py", "shop.py"):
        space: dict[str, object] = {}
        exec(compile((tmp_path / name).read_text(), str(tmp_path / name), "exec"), space)
        found[name] = outcome_of(Call(1, "f", "check()"), space, {}, 5.0, str(tmp_path)).of_test
    assert found == {"test_shop.py": True, "shop.py": False}
    case = {"case": unittest.TestCase()}
    assert outcome_of(Call(1, "f", "case.assertEqual(1, 2)"), case, {}, 5.0, str(tmp_path)).of_test
    assert not outcome_of(Call(1, "f", "1 / 0"), {}, {}, 5.0, str(tmp_path)).of_test
