"""Rounds of calls: what is left to reach, which functions of the package reach it, and how such calls are written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kodo.jobs.execution.call_names import CallNames
from kodo.jobs.execution.model import Arg, Call, Expectation, Observed
from kodo.jobs.execution.package import PackageSurvey
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.observe import _is_direct
from kodo.jobs.testgen import render, suspected_bugs
from kodo.jobs.testgen.calls_of_mutants import spread
from kodo.jobs.testgen.exploration import open_functions
from kodo.jobs.testgen.model import Options
from kodo.jobs.testgen.package_calls import PackageCalls
from kodo.jobs.testgen.pipeline import Pipeline, is_accident
from kodo.jobs.testgen.tables import Case, lay_out
from kodo.jobs.testgen.trials import Trials

SOURCE = '''"""Doc."""
def whole(x):
    """Doc."""
    if x:
        return 1
    return 2
def _half(x):
    if x:
        x += 1
    return x
'''


def test_a_function_is_open_while_a_branch_of_it_went_one_way_alone(tmp_path):
    """Every line of ``_half`` may have run and its condition have been true each time; private functions count."""
    path = tmp_path / "mod.py"
    path.write_text(SOURCE)
    functions = load(path).every_function
    whole = {(-2, 4), (4, 5), (5, -2), (4, 6), (6, -2)}
    assert list(open_functions(functions, frozenset(whole))) == ["_half"]
    assert list(open_functions(functions, frozenset({*whole, (-7, 8), (8, 9), (9, 10), (10, -7)}))) == [
        "_half"
    ]
    assert not open_functions(functions, frozenset({*whole, (-7, 8), (8, 9), (9, 10), (10, -7), (8, 10)}))


@pytest.fixture
def package(tmp_path: Path) -> PackageCalls:
    """A base that two modules stand on, of which one hides what its functions need."""
    files = {
        "__init__.py": "",
        "base.py": "class Base:\n    def go(self): raise NotImplementedError\n    def run(self): return self.go()\n",
        "real.py": (
            "from pkg.base import Base\n"
            "class Real(Base):\n    def __init__(self, size: int): self.size = size\n    def go(self): return self.size\n"
            "def run_all(sizes: list[int]): return [Real(one).run() for one in sizes]\n"
        ),
        "hidden.py": (
            "from pkg.base import Base\nclass _Key(Base): ...\ndef ask(key: _Key): return key.run()\n"
        ),
    }
    folder = tmp_path / "pkg"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    module = load(folder / "base.py")
    return PackageCalls(PackageSurvey(module), CallNames(module), 0)


def test_functions_of_the_package_are_called_by_names_that_a_test_imports(package):
    """Each call says where its names come from; one that needs a private class is not made."""
    calls = package.calls(package.entries(), 40)
    assert {call.function for call in calls} == {"pkg.real.Real.go", "pkg.real.run_all"}
    assert {call.origin for call in calls} == {"package"}
    assert package.names.imported == {"Real": "pkg.real", "run_all": "pkg.real"}


def test_a_base_class_has_the_instances_of_what_derives_from_it(package):
    """The methods that the base leaves open are there."""
    (sources,) = package.instances().values()
    assert sources and all(source.startswith("Real(") for source in sources)


def test_nothing_stated_is_asked_of_a_call_that_is_about_something_else():
    """The result of a follow-up, of a shown call or of another function is not that of the function it is counted for."""
    assert _is_direct(Call(0, "f", "f(1)"))
    for origin in ("document", "follow-up", "package"):
        assert not _is_direct(Call(0, "f", "f(1)", origin=origin))


def test_an_error_of_such_a_call_is_no_accusation_and_no_test_unless_it_is_raised_on_purpose(tmp_path):
    """Their arguments are guessed, also where the function's own are annotated."""
    path = tmp_path / "mod.py"
    path.write_text("def f(x: int) -> int:\n    return x.missing\n")
    (function,) = load(path).functions
    slip = Observed(0, "raises", "AttributeError", error_origin="operation")
    own, shown = (
        Call(0, "f", "f(_0)", (Arg("x", "1"),), origin=origin) for origin in ("boundary", "document")
    )
    assert not is_accident(own, slip, function)
    assert is_accident(shown, slip, function) and is_accident(own, slip, None)
    assert not is_accident(shown, Observed(0, "raises", "ValueError", error_origin="raise"), None)

    pipeline = SimpleNamespace(functions=(function,), invariants={"f": ()})

    def pinned(call: Call) -> dict[int, str]:
        return suspected_bugs.find_pinned(pipeline, Trials((call,), {0: slip}, {}, 1, 1))  # type: ignore[arg-type]

    assert pinned(own) and not pinned(shown)


@pytest.mark.parametrize("annotation", ["type", "Type", "type[Any]", "list", "Callable[[], int]"])
def test_an_error_for_an_annotation_that_leaves_something_open_is_no_accusation(tmp_path, annotation):
    """``int`` is a type, and nothing says that the function is meant for each; which one it was given is a guess."""
    path = tmp_path / "mod.py"
    path.write_text(
        "from typing import Any, Callable, Type\n"
        f"def f(x: {annotation}):\n    return x.__origin__\ndef g(x: int):\n    return x.__origin__\n"
    )
    open_, plain = load(path).functions
    slip = Observed(0, "raises", "AttributeError", error_origin="operation")
    for function, accused in ((open_, False), (plain, True)):
        call = Call(0, function.name, f"{function.name}(_0)", (Arg("x", "int"),), origin="boundary")
        pipeline = SimpleNamespace(functions=(function,), invariants={function.name: ()})
        found = suspected_bugs.find_pinned(pipeline, Trials((call,), {0: slip}, {}, 1, 1))  # type: ignore[arg-type]
        assert bool(found) is accused
    assert is_accident(Call(0, "f", "f(_0)", (Arg("x", "int"),)), slip, open_) is ("ype" in annotation)


def test_the_arguments_of_a_setup_are_written_into_the_test():
    """``made = make(_0)`` has its number, alone and in a table."""
    calls = [
        Call(
            at,
            "make",
            "made(_1)",
            (Arg("base", "5"), Arg("x", str(at))),
            ("made = make(_0)",),
            "",
            "follow-up",
        )
        for at in range(2)
    ]
    seen = [Observed(at, "value", str(at)) for at in range(2)]
    body = render.body(calls[0], seen[0], "pytest")
    assert body == ["made = make(5)", "assert made(0) == 0"]
    cases = [
        Case(
            call,
            one,
            "code",
            "",
            render.function(f"test_{call.id}", render.body(call, one, "pytest"), "", "pytest"),
        )
        for call, one in zip(calls, seen, strict=True)
    ]
    (table,) = lay_out(cases, {}).written
    assert "made = make(5)" in table.source and "_0" not in table.source


def test_an_expected_value_is_shown_after_the_setup_with_its_arguments():
    """The test of a suspect is written by the same rule."""
    call = Call(0, "f", "x.run(_0)", (Arg("a", "1"), Arg("b", "2")), ("x = f(_1)",))
    lines = render.documented(call, Expectation("value", "3", "example", ""), "pytest")
    assert lines == ["x = f(2)", "assert x.run(1) == 3"]


def test_the_calls_tried_on_a_mutant_differ_before_they_are_alike():
    """One of each path through the code in turn, those of different outcomes first, the short ones before the long."""
    rows = [("a", 1, "1"), ("bb", 1, "1"), ("ccc", 1, "2"), ("dddd", 2, "1")]
    calls = [Call(at, "f", name) for at, (name, _, _) in enumerate(rows)]
    seen = {
        at: Observed(at, "value", text, arcs=((path, path + 1),)) for at, (_, path, text) in enumerate(rows)
    }
    assert [call.expression for call in spread(calls, seen)] == ["a", "dddd", "ccc", "bb"]


def test_calls_of_other_modules_are_kept_only_for_what_no_direct_call_adds():
    """Though one call through the package would be enough for both."""
    calls = (
        Call(0, "f", "f(1)"),
        Call(1, "pkg.g", "g(1)", origin="package"),
        Call(2, "pkg.h", "h(1)", origin="package"),
    )
    arcs = {0: ((1, 2),), 1: ((1, 2), (2, 3)), 2: ((1, 2),)}
    trials = Trials(calls, {at: Observed(at, "value", "1", arcs=one) for at, one in arcs.items()}, {}, 3, 3)
    chosen = Pipeline(None, (), Options()).choose(trials, {})  # type: ignore[arg-type]
    assert [one.call.id for one in chosen] == [0, 1]
