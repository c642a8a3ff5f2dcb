"""How tests are laid out: tables of cases, sentences, names, and the run of a file without a runner."""

from __future__ import annotations

import pytest

from kodo.jobs.execution.model import Arg, Call, Expectation, Observed
from kodo.jobs.testgen import render, tables
from kodo.jobs.testgen.worker import plain


def case(number, sources, seen, *, basis="code", quote="", expression="f(_0)", setup=()):
    """One case of ``f``, whose parameters are ``a`` and ``b``."""
    args = tuple(Arg(name, source) for name, source in zip("ab", sources, strict=False))
    call = Call(number, "f", expression, args, setup)
    return tables.Case(
        call, seen, basis, quote, render.RenderedTest(f"test_f_{number}", f"def test_f_{number}(): ...")
    )


def value(text):
    """An observation of a result."""
    return Observed(0, "value", text)


def sources(cases):
    """The tests of a layout of these cases."""
    return [test.source for test in tables.lay_out(cases, {"f": ("a", "b")}).written]


def run(source, **names):
    """Execute a test file's text and run its tests."""
    space = {"pytest": pytest, **names}
    exec(source, space)
    for test in plain.tests(space):
        test()


def test_cases_that_differ_in_values_become_one_table():
    """Two results of one call are two rows, and the test passes exactly on a function that gives them."""
    (one,) = sources([case(1, ["1"], value("2")), case(2, ["2"], value("3"))])
    assert "(1, 2)," in one
    assert "def test_f_results(a, expected):" in one
    run(one, f=lambda a: a + 1)
    with pytest.raises(AssertionError):
        run(one, f=lambda a: 2)


def test_an_argument_that_never_changes_stands_in_the_call():
    """A column that has one value is no column."""
    (one,) = sources([case(at, [str(at), "7"], value(str(at)), expression="f(_0, b=_1)") for at in (1, 2)])
    assert "assert f(a, b=7) == expected" in one


def test_errors_results_and_examples_stand_apart():
    """A table has one sentence, so what rests on documentation is not mixed with what was read off the code."""
    found = sources(
        [
            case(1, ["1"], value("2")),
            case(2, ["2"], value("3")),
            case(3, ["-1"], Observed(0, "raises", "ValueError")),
            case(4, ["-2"], Observed(0, "raises", "ValueError")),
            case(5, ["5"], value("6"), basis="example", quote=">>> f(5) -> 6"),
            case(6, ["6"], value("7"), basis="example", quote=">>> f(6) -> 7"),
            case(7, ["0"], value("0"), basis="docstring", quote="Returns 0 for nothing."),
            case(8, ["None"], value("0"), basis="docstring", quote="Returns 0 for nothing."),
        ]
    )
    assert [one.partition("def ")[2].partition("(")[0] for one in found] == [
        "test_f_results", "test_f_raises_value_error", "test_f_examples", "test_f_as_documented",
    ]  # fmt: skip
    assert "with pytest.raises(ValueError):" in found[1]
    assert '"""Returns 0 for nothing."""' in found[3]


def test_a_documented_call_of_literals_joins_its_table():
    """An example is written with its arguments inside, which are taken out of it."""
    example = Expectation("value", "2", "example", "")
    calls = [Call(at, "f", f"f({at}, b='x')", expect=example) for at in (1, 2)]
    cases = [
        tables.Case(call, value(str(call.id)), "example", "", render.RenderedTest(f"test_{call.id}", ""))
        for call in calls
    ]
    (one,) = sources(cases)
    assert "assert f(a, b='x') == expected" in one


@pytest.mark.parametrize(
    "seen",
    [
        Observed(0, "value", "1", output="text"),
        Observed(0, "value", "1", after={"_0": "[]"}),
        Observed(0, "value", "float('nan')"),
        Observed(0, "value", "", "facts", after={"len(result)": "1"}),
    ],
)
def test_a_case_that_needs_statements_stays_alone(seen):
    """Output, changed arguments and facts do not fit a row."""
    assert len(sources([case(1, ["1"], seen), case(2, ["2"], seen)])) == 2


def test_names_are_those_that_pytest_collected():
    """A row has the name that pytest gave it; a file that collects otherwise is no such layout."""
    layout = tables.lay_out([case(1, ["1"], value("2")), case(2, ["2"], value("3"))], {})
    named = layout.named(["test_f_results[1-2]", "test_f_results[2-3]"])
    assert named is not None
    assert named.names == {1: "test_f_results[1-2]", 2: "test_f_results[2-3]"}
    assert layout.named(["test_f_results[1-2]"]) is None


def test_a_parameter_named_like_a_fixture_of_pytest_is_renamed():
    """``request`` cannot be a column."""
    call = Call(0, "f", "f(_0)", (Arg("request", "1"),))
    cases = [
        tables.Case(
            Call(at, "f", "f(_0)", (Arg("request", str(at)),)),
            value(str(at)),
            "code",
            "",
            render.RenderedTest(f"t{at}", ""),
        )
        for at in (1, 2)
    ]
    (one,) = sources(cases)
    assert "('request_', 'expected')" in one
    assert call.args[0].name == "request"


def test_a_text_that_is_printed_is_asserted_without_a_result():
    """`result = print(...)` and `result is None` say nothing."""
    one = Call(0, "f", "f(_0)", (Arg("x", "1"),))
    lines = render.body(one, Observed(0, "value", "None", output="1\n"), "pytest")
    assert "result" not in "\n".join(lines)
    assert lines == ["f(1)", "assert capsys.readouterr().out == '1\\n'"]
    assert "def test_f(capsys):" in render.function("test_f", lines, "", "pytest").source


def test_facts_of_a_foreign_result_are_asserted():
    """One fact is asserted in the call, several on a result."""
    one = Call(0, "f", "f(_0)", (Arg("x", "1"),))
    seen = Observed(0, "value", "", "facts", after={"repr(result)": "'<X>'"})
    assert render.body(one, seen, "pytest") == ["assert repr(f(1)) == '<X>'"]
    seen = Observed(0, "value", "", "list facts", after={"len(result)": "2", "repr(result)": "'<X>'"})
    assert render.body(one, seen, "pytest") == [
        "result = list(f(1))", "assert len(result) == 2", "assert repr(result) == '<X>'",
    ]  # fmt: skip


def test_a_name_called_through_its_module_is_imported_so():
    """Documentation says `pkg.f(1)` or `mod.f(1)`; both names are bound in the file."""
    written = render.imports(
        "pkg.mod", frozenset({"f"}), ["def test(): assert pkg.mod.f(1) == mod.f(2) == f(3)"], "pytest"
    )
    assert written.splitlines()[-3:] == ["import pkg", "from pkg import mod", "from pkg.mod import f"]


def test_fixtures_are_made_and_undone_without_a_runner(tmp_path, monkeypatch):
    """A test of a generated file gets a folder, patches and captured output; nothing of them is left."""
    monkeypatch.setenv("KODO_PLAIN", "before")
    seen = {}
    source = """
def test_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KODO_PLAIN", "inside")
    print("said")
    assert capsys.readouterr().out == "said\\n"
    seen["folder"] = tmp_path
    assert tmp_path.is_dir()
    assert os.environ["KODO_PLAIN"] == "inside"
"""
    import os

    run(source, seen=seen, os=os)
    assert os.environ["KODO_PLAIN"] == "before"
    assert not seen["folder"].exists()
