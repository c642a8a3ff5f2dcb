"""The bench on released packages: the rule that takes a module, the halves, the table, and the judged accusations."""

from __future__ import annotations

import pytest
from bench.real import __main__ as command
from bench.real.packages import choose_module, modules, wheels
from bench.real.testgen_score import JUDGEMENTS, Accusation, Judgement, ModuleScore, markdown

ONE = "def f(): ...\n"


def lines(count, functions):
    """A source of so many lines with so many public functions."""
    return ONE * functions + "#\n" * (count - functions)


@pytest.mark.parametrize(
    ("sources", "taken"),
    [
        ({"p/a.py": lines(100, 2), "p/b.py": lines(100, 3), "p/c.py": lines(100, 3)}, "p/b.py"),
        ({"p/long.py": lines(601, 9), "p/short.py": lines(59, 9), "p/fits.py": lines(60, 1)}, "p/fits.py"),
        ({"p/long.py": lines(700, 1), "p/longer.py": lines(900, 9)}, "p/long.py"),
        ({"p/tests/t.py": lines(100, 9), "p/cli.py": lines(100, 9), "p/x.py": "def _f(): ...\n"}, ""),
        ({"p/test_x.py": lines(100, 9), "p/x_test.py": lines(100, 9), "p/y.py": lines(100, 1)}, "p/y.py"),
        ({"p/bad.py": "def (", "p/data.txt": ONE}, ""),
        ({"p.py": lines(100, 9), "p/__init__.py": lines(100, 1)}, "p/__init__.py"),
    ],
)
def test_the_rule_takes_one_module(sources, taken):
    """Of 60 to 600 lines the one with the most public functions, else the shortest; no tests and no command lines."""
    assert choose_module(sources.items()) == taken


def test_fifteen_modules_are_set_aside():
    """The table names by version and hash the modules to build with, which grow in number, and 15 that are never looked at."""
    found = modules()
    assert {one.half for one in found} == {"building", "aside"}
    assert [one.half for one in found].count("aside") == 15
    assert len({one.name for one in found}) == len(found)
    assert all(bool(one.half) == bool(one.module) for one in wheels())
    assert all(len(one.sha256) == 64 and one.version for one in wheels())


def test_every_judgement_says_why():
    """A judged accusation has its reason beside it."""
    assert all(one.why for one in JUDGEMENTS.judged().values())


def test_the_report_counts_false_accusations_and_those_nobody_judged():
    """A report without a judgement is not counted as right."""
    accused = [Accusation("p", name, f"{name}()", "1", "2", "quote") for name in "fg"]
    judged = {("p", "f", "quote"): Judgement("p", "f", "quote", False, "a joke")}
    text = markdown(
        [ModuleScore("p", "building", kept=2, green=2, accusations=tuple(accused), lines=0.5)], judged
    )
    assert "May be a bug: 2 reports, 1 false, 1 not judged yet." in text
    assert "| **building**, 1 | 0 | 2 | 2 of 2 | 0.50 |" in text


def test_a_job_that_is_not_there_is_refused(capsys):
    """The first argument names the job."""
    assert command.main(["paint"]) == 2
    assert "tests" in capsys.readouterr().err
