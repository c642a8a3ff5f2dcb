"""Instances that are made by class methods and functions of the package, and not by a call of the class."""

from __future__ import annotations

import pytest

from kodo.jobs.execution.call_names import CallNames
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.class_hints import instance_attributes
from kodo.jobs.execution.model import Observed
from kodo.jobs.execution.package import PackageSurvey
from kodo.jobs.execution.target import load
from kodo.jobs.testgen.factories import Factories
from kodo.jobs.testgen.package_calls import PackageCalls

NUMBERS = """
class Number:
    def __init__(self, country, national):
        self.country = country
        self.national = national

    @classmethod
    def zero(cls):
        return cls(0, 0)

    def other(self):
        return 3


def is_swiss(number):
    return number.country == 41
"""
PARSING = """
from pkg.numbers import Number


def parse(text: str):
    number = Number(int(text[:2]), int(text[2:]))
    return number


def build() -> Number: ...


def unrelated(text: str):
    return text
"""


@pytest.fixture
def factories(tmp_path):
    """Those of a package of two modules."""
    folder = tmp_path / "pkg"
    folder.mkdir()
    for name, text in (("__init__", ""), ("numbers", NUMBERS), ("parsing", PARSING)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    module = load(folder / "numbers.py")
    survey = PackageSurvey(module)
    attributes = instance_attributes((module, *survey.others))
    return Factories(
        module,
        PackageCalls(survey, CallNames(module), 0),
        CandidateGenerator(module, 0, deep=True, attributes=attributes),
    )


def test_what_returns_an_instance_is_tried(factories):
    """A class method, a function that returns what it bound, one that is annotated; and nothing else."""
    tried = []
    factories.working(lambda calls: tried.extend(calls) or {})
    assert {call.function for call in tried} == {"Number"}
    assert {call.expression.partition("(")[0] for call in tried} == {"Number.zero", "parse", "build"}
    assert all(not call.args for call in tried)


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        (Observed(0, "value", "", "isinstance:Number"), 1),
        (Observed(0, "value", "Number(1, 2)"), 1),
        (Observed(0, "value", "", "facts", after={"type(result).__name__": "'Number'"}), 1),
        (Observed(0, "value", "None"), 0),
        (Observed(0, "value", "[]", "list"), 0),
        (Observed(0, "raises", "ValueError"), 0),
    ],
)
def test_only_what_gave_an_instance_is_used(factories, seen, count):
    """The sandbox says of each call what it gave."""
    found = factories.working(lambda calls: {calls[0].id: seen})
    assert len(found) == count


def test_what_a_result_holds_is_an_instance_too(factories):
    """Of each of its classes; the result itself, of those that it derives from."""
    held = (("", ("Result", "Number")), (".items[0]", ("Part", "Number")), (".other", ("Other",)))
    found = factories.working(lambda calls: {calls[0].id: Observed(0, "value", "", "facts", parts=held)})
    first = found[0].expression
    assert [(one.function, one.expression) for one in found] == [
        ("Number", first),
        ("Number", f"{first}.items[0]"),
    ]
