"""The values that a module imports from another one of its project: their literals are among the inputs."""

from __future__ import annotations

from pathlib import Path

from kodo.jobs.execution.relevant_words import relevant_texts
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.execution.target import TargetModule, load

VIEWS = "COLORED = 'colored'\nPLAIN = 'plain'\nSIZES = (3, 5)\n"
SHOW = """
from pkg.views import COLORED, PLAIN as SIMPLE, SIZES
from json import dumps

def show(view, size):
    return view == COLORED and size in SIZES

def other(view):
    return view == SIMPLE
"""


def _module(folder: Path) -> TargetModule:
    package = folder / "pkg"
    package.mkdir()
    for name, text in (("__init__", ""), ("views", VIEWS), ("show", SHOW)):
        (package / f"{name}.py").write_text(text)
    return load(package / "show.py")


def test_a_function_names_the_literals_of_another_module(tmp_path: Path) -> None:
    """By the name that they have here; those that it does not name are not its own."""
    module = _module(tmp_path)
    assert set(constants(module, module.every_function["show"])) == {"colored", 3, 5}
    assert constants(module, module.every_function["other"]) == ("plain",)


def test_a_name_on_a_changed_line_stands_for_its_text(tmp_path: Path) -> None:
    """It is as near to the change as a text that is written there."""
    assert relevant_texts(["return view in {COLORED}"], [_module(tmp_path)], ()) == ("colored",)
