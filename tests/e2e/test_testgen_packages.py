"""`testgen` over modules of installed packages, as read-only input: nothing crashes, and positions are right."""

from __future__ import annotations

import ast
import importlib.util
import shutil
from pathlib import Path

import pytest

from kodo.jobs import testgen as job
from kodo.jobs.execution.model import INDIRECT
from kodo.jobs.testgen import Options
from kodo.sandbox import IsolationRefused, Sandbox


def copy_of(package: str, module: str, to: Path) -> Path:
    """A copy of a package's sources, without its tests and its compiled parts."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    ignore = shutil.ignore_patterns("__pycache__", "tests", "*.so")
    shutil.copytree(spec.submodule_search_locations[0], to / package, ignore=ignore)
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return to / package / module


@pytest.mark.parametrize(("package", "module"), [("iniconfig", "_parse.py"), ("packaging", "utils.py")])
def test_a_foreign_module_is_tested_and_left_alone(tmp_path: Path, package: str, module: str) -> None:
    """Tests are kept, each is valid Python of a function that is there, each surviving mutant's line is in its function."""
    path = copy_of(package, module, tmp_path)
    source = path.read_text(encoding="utf-8")
    options = Options(inputs=15, mutants=20, kill_seconds=15)
    if Sandbox().probe().level != "full":
        with pytest.raises(IsolationRefused):
            job.testgen(path, options)
        return
    report = job.testgen(path, options)
    assert report.kept
    tree = ast.parse(source)
    spans = {
        node.name: range(node.lineno, (node.end_lineno or 0) + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for place in report.survived:
        assert place.line in spans[place.function.rpartition(".")[2]]
    for suspect in report.suspects:
        assert suspect.line in spans[suspect.function.rpartition(".")[2]]
    for test in report.kept:
        compile(test.source, test.name, "exec")
        assert test.function in report.functions or test.origin in INDIRECT
    assert path.read_text(encoding="utf-8") == source
    assert {one.name for one in tmp_path.iterdir()} == {package}
