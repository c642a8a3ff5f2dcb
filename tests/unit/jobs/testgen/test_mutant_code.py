"""Mutants are put where other modules find them: into the code of the functions that these hold."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from kodo.jobs.execution.worker import load as worker_load
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.worker import mutant_code
from kodo.jobs.testgen.worker.mutant_code import MutantCode

BASE = """
import functools

def kept(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

class Base:
    def size(self, add=1):
        return self.length + add

    @property
    def double(self):
        return self.length * 2

    @kept
    def wrapped(self):
        return self.length - 1

def outer(x):
    return [part + 1 for part in x]
"""
USER = "from mutpkg.base import Base, outer\nclass User(Base):\n    length = 5\ndef use(x): return outer(x)\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package whose second module holds what the first one defines; the code of its first module."""
    folder = tmp_path / "mutpkg"
    folder.mkdir()
    for name, text in {"__init__": "", "base": BASE, "user": USER}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for one in (mutant_code, worker_load):
        monkeypatch.setattr(one, "project", lambda: tmp_path)
    for name in [name for name in sys.modules if name.startswith("mutpkg")]:
        monkeypatch.delitem(sys.modules, name)
    base = importlib.import_module("mutpkg.base")
    return MutantCode(ModuleLocation("mutpkg/base.py", ".", "mutpkg.base", BASE, ()), base)


def put(package: MutantCode, function: str, change: str):
    """The user's module after one mutant was put in."""
    user = importlib.import_module("mutpkg.user")
    (one,) = [one for one in mutants(BASE, frozenset({function}), 300, 0) if one.place.change == change]
    assert package.put(one) is not None
    return user


def test_a_class_that_derives_from_the_changed_one_runs_the_mutant(package):
    """The method that it inherits is the changed one, without the module being made anew."""
    user = put(package, "Base.size", "self.length + add -> self.length - add")
    assert user.User().size() == 4


@pytest.mark.parametrize(
    ("function", "change", "name", "result"),
    [
        ("Base.double", "self.length * 2 -> self.length / 2", "double", 2.5),
        ("Base.double", "2 -> 3", "double", 15),
    ],
)
def test_the_function_of_a_property_is_changed(package, function, change, name, result):
    """It is held by the property alone."""
    assert getattr(put(package, function, change).User(), name) == result


def test_a_function_that_a_decorator_holds_is_changed(package):
    """No name of the module means it any more."""
    assert put(package, "Base.wrapped", "self.length - 1 -> self.length + 1").User().wrapped() == 6


def test_code_inside_a_function_is_changed_with_it(package):
    """As the code of a comprehension, which is a function of its own."""
    assert put(package, "outer", "part + 1 -> part - 1").use([1, 2]) == [0, 1]


def test_a_default_value_and_what_runs_at_import_make_the_module_anew(package):
    """They are no code that could be replaced in a function, or it ran already."""
    importlib.import_module("mutpkg.user")
    made = [
        package.put(one)
        for name in ("Base.size", "kept")
        for one in mutants(BASE, frozenset({name}), 300, 0)
        if one.place.change in ("1 -> 2", "return inner -> return None")
    ]
    assert len(made) == 2
    assert made[0] is not None
    assert made[0].Base.size.__defaults__ == (2,)
    assert made[1] is not None
    assert made[1].Base.wrapped is None


def test_a_mutant_that_changes_nothing_else_is_undone_by_no_other(package):
    """Each of two mutants of one function is put over the other, as each runs in a process of its own."""
    put(package, "outer", "part + 1 -> part - 1")
    assert put(package, "outer", "1 -> 2").use([1]) == [3]
