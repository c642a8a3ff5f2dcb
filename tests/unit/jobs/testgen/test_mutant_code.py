"""Mutants are put where other modules find them: into the code of the functions that these hold."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from kodo.jobs.execution.worker import load as worker_load
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.testgen.mutate import Mutant, mutants
from kodo.jobs.testgen.worker import changed_import, mutant_code
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

    def start(self):
        super().__init__()
        return type(self).length

def outer(x):
    return [part + 1 for part in x]

def repeat(count):
    def decorate(function):
        def inner(x):
            return function(x) * count
        return inner
    return decorate

def ran(x):
    return x + 1

def scaled(x, *, by=2):
    return x * by
"""
USER = """
from mutpkg.base import Base, outer, ran, repeat, scaled

class User(Base):
    length = 5

def use(x):
    return outer(x)

@repeat(2)
def twice(x):
    return x

TABLE = [ran(1)]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package whose second module holds what the first one defines; the code of its first module."""
    folder = tmp_path / "mutpkg"
    folder.mkdir()
    for name, text in {"__init__": "", "base": BASE, "user": USER}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for one in (mutant_code, worker_load, changed_import):
        monkeypatch.setattr(one, "project", lambda: tmp_path)
    for name in [name for name in sys.modules if name.startswith("mutpkg")]:
        monkeypatch.delitem(sys.modules, name)
    code = MutantCode(ModuleLocation("mutpkg/base.py", ".", "mutpkg.base", BASE, ()))
    code.load(5.0)
    with code.importing():
        importlib.import_module("mutpkg.user")
    code.prepare(lambda _: True)
    yield code
    for name in [name for name in sys.modules if name.startswith("mutpkg")]:
        del sys.modules[name]


def mutant(function: str, change: str) -> Mutant:
    """One mutant of the first module."""
    (one,) = [one for one in mutants(BASE, frozenset({function}), 300, 0) if one.place.change == change]
    return one


def put(package: MutantCode, function: str, change: str):
    """The user's module after one mutant was put in."""
    user = importlib.import_module("mutpkg.user")
    assert package.put(mutant(function, change)) is not None
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


def test_the_function_that_a_decorator_made_is_changed(package):
    """The decorator ran when another module was imported, so the package is imported anew."""
    package.put(mutant("repeat", "function(x) * count -> function(x) / count"))
    assert importlib.import_module("mutpkg.user").twice(3) == 1.5


@pytest.mark.parametrize(
    ("function", "change", "result"),
    [("scaled", "2 -> 3", 12), ("Base.size", "1 -> 2", 7)],
)
def test_a_default_value_is_changed_in_the_function_that_others_hold(package, function, change, result):
    """Of a parameter by keyword alone and of one by position; no class is there twice."""
    user = importlib.import_module("mutpkg.user")
    assert package.put(mutant(function, change)) is importlib.import_module("mutpkg.base")
    assert (user.scaled(4) if function == "scaled" else user.User().size()) == result


def test_a_method_that_no_longer_asks_its_base_class_is_changed_in_place(package):
    """Its code then reads no ``__class__``, which a function cannot lose."""
    assert put(package, "Base.start", "super().__init__() -> pass").User().start() == 5
    assert "super" not in importlib.import_module("mutpkg.base").Base.start.__code__.co_names


def test_what_ran_at_import_makes_the_whole_package_anew(package):
    """The table of another module was made by the function, and no class is there twice."""
    package.put(mutant("ran", "x + 1 -> x - 1"))
    user, base = importlib.import_module("mutpkg.user"), importlib.import_module("mutpkg.base")
    assert user.TABLE == [0]
    assert user.Base is base.Base


def test_a_package_that_works_only_once_is_not_imported_again(package):
    """Every test fails there, which says nothing of the mutant."""
    package.prepare(lambda _: False)
    assert package.put(mutant("ran", "x + 1 -> x - 1")) is not None
    assert importlib.import_module("mutpkg.user").TABLE == [2]


def test_a_mutant_that_changes_nothing_else_is_undone_by_no_other(package):
    """Each of two mutants of one function is put over the other, as each runs in a process of its own."""
    put(package, "outer", "part + 1 -> part - 1")
    assert put(package, "outer", "1 -> 2").use([1]) == [3]
