"""What is no accusation, and what is no test: errors of made-up calls, sentences read in part, names nobody defined."""

from __future__ import annotations

import ast
import threading

import pytest

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call, Expectation, Observed
from kodo.jobs.execution.stated_facts import invariants
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.arcs import Arcs
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.execution.worker.facts import facts
from kodo.jobs.testgen.pipeline import is_accident


def module(tmp_path, source):
    """A module on disk, read."""
    path = tmp_path / "mod.py"
    path.write_text(source, encoding="utf-8")
    return load(path)


def seen(tmp_path, monkeypatch, source, call):
    """What a call of a module does, as the worker sees it."""
    folder = tmp_path / "empty"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    path = tmp_path / f"target_{len(list(tmp_path.iterdir()))}.py"
    path.write_text(source, encoding="utf-8")
    space: dict[str, object] = {"__name__": "target"}
    exec(compile(source, str(path), "exec"), space)
    own = {name: one for name, one in space.items() if not name.startswith("__")}
    return observe(call, own, own, (), 2.0, Arcs(str(path)))


@pytest.mark.parametrize(
    ("signature", "call"),
    [
        ("*parts, sep=' '", "join("),
        ("a, /, b=1, *, c", "join("),
        ("a, b=2, /, c=3, *rest, d=4, e", "join("),
        ("a=_NONE, b=_NONE, *, c=_NONE", "join("),
        ("*args, **kwargs", "join("),
    ],
)
def test_every_kind_of_signature_gives_calls_that_parse_and_bind(tmp_path, signature, call):
    """A call is Python, and the function accepts its arguments by number and name."""
    found = module(tmp_path, f"_NONE = object()\ndef join({signature}):\n    return 1\n")
    space: dict[str, object] = {}
    exec(found.source, space)
    calls = CandidateGenerator(found, 0).calls(found.functions[0], 60)
    assert calls
    for one in calls:
        assert one.expression.startswith(call)
        names = {f"_{at}": None for at in range(len(one.args))}
        assert eval(one.expression, {**space, **names}) == 1
        assert not any(arg.source == "_NONE" for arg in one.args)


def test_overloads_and_names_bound_again_are_one_function(tmp_path):
    """The stubs of an overload are no functions, and of two definitions the later one counts."""
    source = "from typing import overload\n@overload\ndef f(a: int) -> int: ...\n@overload\ndef f(a: str) -> str: ...\ndef f(a):\n    return a\n"
    assert [one.line for one in module(tmp_path, source).functions] == [6]
    assert [one.line for one in module(tmp_path, "def g(): ...\ndef g(a): ...\n").functions] == [2]


def test_an_example_that_never_reaches_the_target_accuses_nobody(tmp_path, monkeypatch):
    """A name that is not there, or arguments that do not bind, say nothing of the function."""
    source = "def f(a):\n    return a\n"
    expect = Expectation("value", "1", "example", ">>> f(x) -> 1")
    for expression in ("f(unknown)", "f()", "missing.f(1)"):
        assert seen(tmp_path, monkeypatch, source, Call(0, "f", expression, expect=expect)).meets is None


def test_an_example_on_which_the_target_fails_is_not_met(tmp_path, monkeypatch):
    """An error inside the function contradicts the documented result; one of the machine does not."""
    expect = Expectation("value", "1", "example", ">>> f(0) -> 1")
    assert (
        seen(
            tmp_path, monkeypatch, "def f(a):\n    return 1 / a\n", Call(0, "f", "f(0)", expect=expect)
        ).meets
        is False
    )
    source = "def f(a):\n    return open('/nowhere/at/all')\n"
    assert seen(tmp_path, monkeypatch, source, Call(0, "f", "f(0)", expect=expect)).meets is None


def test_what_a_doctest_prints_is_compared_with_what_is_printed(tmp_path, monkeypatch):
    """`>>> print(f(1))` documents the text and not the value of print."""
    (example,) = doc_contracts.examples("    >>> print(f(1))\n    2\n", frozenset({"f"}))
    call = Call(0, "f", example.expression, expect=example.expect)
    assert seen(tmp_path, monkeypatch, "def f(a):\n    return a + 1\n", call).meets is True
    assert seen(tmp_path, monkeypatch, "def f(a):\n    return a\n", call).meets is False


def test_a_documented_value_may_be_shortened(tmp_path, monkeypatch):
    """`[1, 2, ...]` is a literal, and doctest's way to leave something out."""
    expect = Expectation("value", "[1, 2, ...]", "example", "")
    assert (
        seen(
            tmp_path, monkeypatch, "def f():\n    return [1, 2, 3]\n", Call(0, "f", "f()", expect=expect)
        ).meets
        is True
    )


def test_an_example_in_another_notation_is_met(tmp_path, monkeypatch):
    """The u of Python 2, other quotes and other spaces are the same expression."""
    source = "class P:\n    def __repr__(self): return \"P('a', 1)\"\ndef f():\n    return P()\n"
    for shown, meets in (("P(u'a', 1)", True), ('P("a",1)', True), ("P(u'b', 1)", False)):
        expect = Expectation("shows", shown, "example", "")
        assert seen(tmp_path, monkeypatch, source, Call(0, "f", "f()", expect=expect)).meets is meets


@pytest.mark.parametrize("annotation", ["dict[str, Any]", "Any", "Callable[[int], int]", "list"])
def test_an_argument_that_the_annotation_leaves_open_claims_nothing(tmp_path, annotation):
    """What comes back may be what went in, for which nothing vouches."""
    source = f"from typing import Any, Callable\ndef f(a: {annotation}) -> str: ...\ndef g(a: list[int]) -> str: ...\n"
    found = module(tmp_path, source)
    assert invariants(found, found.functions[0]) == ()
    assert [one.kind for one in invariants(found, found.functions[1])] == ["returns"]


def test_a_call_cut_out_of_a_chain_is_no_example():
    """In `Query('a').encode(';') == 'a'` the call of encode has a receiver."""
    assert doc_contracts.examples("Query('a').encode(';') == 'a'", frozenset({"encode"})) == ()


@pytest.mark.parametrize("word", ["reverse", "opposite"])
def test_a_looser_word_than_inverse_is_no_round_trip(tmp_path, word):
    """Only an inverse gives back every value."""
    found = module(
        tmp_path, f'def f(a: str) -> str:\n    """The {word} of g."""\ndef g(a: str) -> str: ...\n'
    )
    assert doc_contracts.read_contracts(found.functions[0], frozenset({"f", "g"})) == []


@pytest.mark.parametrize("rest", ["and strict is set", "unless strict", "but only in strict mode"])
def test_a_condition_read_in_part_is_no_claim(tmp_path, rest):
    """The second half of a condition may be the one that counts."""
    found = module(
        tmp_path,
        f'def f(n: int, strict: bool = False):\n    """Raises ValueError if n is negative {rest}."""\n',
    )
    assert doc_contracts.read_contracts(found.functions[0], frozenset()) == []


@pytest.mark.parametrize(
    ("head", "annotation", "typed"),
    [
        ("", "int", True),
        ("from typing import Sequence", "Sequence[int]", True),
        ("X = int | None", "X", True),
        ("from .forms import Text, date", "date", False),
        ("from other import Path", "Path", False),
        ("from typing import TypeVar\nT = TypeVar('T')", "T", False),
        ("from .forms import X", "list[X]", False),
        ("import datetime", "datetime.date", True),
        ("from typing import Literal", "Literal['unknown', 'name']", True),
    ],
)
def test_an_annotation_counts_only_where_its_names_are_known(tmp_path, head, annotation, typed):
    """A name from elsewhere may mean anything, whatever it is called."""
    found = module(tmp_path, f"{head}\ndef f(a: {annotation}) -> None: ...\n")
    assert found.functions[0].params[0].typed is typed


@pytest.mark.parametrize(
    ("head", "returns"),
    [("from .results import Set", "Set"), ("import functools", "@wrapped"), ("", "Unknown")],
)
def test_a_return_annotation_that_may_mean_something_else_is_no_claim(tmp_path, head, returns):
    """Names from elsewhere, and results that a decorator changes, are not held to the annotation."""
    decorator, annotation = (f"{returns}\n", "int") if returns.startswith("@") else ("", returns)
    found = module(tmp_path, f"{head}\n{decorator}def f(a: int) -> {annotation}: ...\n")
    assert invariants(found, found.functions[0]) == ()


def test_errors_of_guessed_arguments_are_no_tests(tmp_path, monkeypatch):
    """An error that nobody raised, from an argument whose type is a guess, is an accident; a raised one is behaviour."""
    found = module(tmp_path, "def f(a, b: str = ''):\n    return a.x\n")
    function = found.functions[0]
    call = Call(0, "f", "f(_0)", (Arg("a", "1"),))
    error = seen(tmp_path, monkeypatch, found.source, call)
    assert (error.text, error.error_origin) == ("AttributeError", "operation")
    assert is_accident(call, error, function)
    raised = seen(tmp_path, monkeypatch, "def f(a):\n    raise ValueError(a)\n", call)
    assert raised.error_origin == "raise"
    assert not is_accident(call, raised, function)
    typed = Call(0, "f", "f(b=_0)", (Arg("b", "'x'"),))
    assert not is_accident(typed, Observed(0, "raises", "KeyError", error_origin="below"), function)
    assert is_accident(typed, Observed(0, "raises", "TypeError", error_origin="outside"), function)


@pytest.mark.parametrize(
    ("body", "where"), [("ord(a)", "below"), ("a + 1", "operation"), ("a.b.c", "operation")]
)
def test_a_builtin_that_refuses_a_value_is_no_slip_of_types(tmp_path, monkeypatch, body, where):
    """ord('') is a TypeError about the value; an operation on types that do not fit is about types."""
    assert (
        seen(tmp_path, monkeypatch, f"def f(a):\n    return {body}\n", Call(0, "f", "f('')")).error_origin
        == where
    )


def test_a_private_error_is_caught_by_its_public_base(tmp_path, monkeypatch):
    """A test does not import what a package keeps to itself."""
    source = "class _Hidden(KeyError): ...\ndef f():\n    raise _Hidden()\n"
    assert seen(tmp_path, monkeypatch, source, Call(0, "f", "f()")).text == "KeyError"


def test_results_of_other_classes_have_facts():
    """Type, text, length and public attributes; no text with an address, nothing of functions."""

    class Token:
        def __init__(self) -> None:
            self.kind, self._hidden = "word", 1

        def __len__(self) -> int:
            return 3

    assert facts(Token(), {}) == {
        "type(result).__name__": "'Token'",
        "result.kind": "'word'",
        "len(result)": "3",
    }
    assert facts(ast.parse, {}) == {}
    assert facts(threading.Event(), {}) == {"type(result).__name__": "'Event'"}


def test_a_source_that_gives_something_else_is_not_asserted(tmp_path, monkeypatch):
    """A value that equals nothing, not even itself made again, has no source."""
    source = """
class P:
    __dataclass_fields__ = {}
    def __eq__(self, other): return False
    def __repr__(self): return "P(a=2)"
def f():
    return P()
"""
    one = seen(tmp_path, monkeypatch, source, Call(0, "f", "f()"))
    assert (one.text, one.wrap) == ("", "isinstance:P")
    assert one.after["repr(result)"] == repr("P(a=2)")
