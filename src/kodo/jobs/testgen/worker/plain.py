"""Run the tests of a generated file without a runner, which is what makes a run for each mutant affordable.

Knows as much of pytest as generated files use: ``parametrize``, and the fixtures that render.py asks for. Files that
somebody else wrote are run by pytest itself.
"""

import contextlib
import inspect
import io
import shutil
import tempfile
import unittest
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Test = Callable[[], object]


class _Captured(NamedTuple):
    out: str
    err: str


class _Capture:
    """The part of ``capsys`` that generated tests use."""

    def __init__(self, stack: ExitStack) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        stack.enter_context(contextlib.redirect_stdout(self._out))
        stack.enter_context(contextlib.redirect_stderr(self._err))

    def readouterr(self) -> _Captured:
        """What was written so far."""
        return _Captured(self._out.getvalue(), self._err.getvalue())


def _folder(stack: ExitStack) -> Path:
    folder = tempfile.mkdtemp(prefix="case-")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _patches(stack: ExitStack) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    stack.callback(patch.undo)
    return patch


FIXTURES: Mapping[str, Callable[[ExitStack], object]] = {
    "capsys": _Capture,
    "monkeypatch": _patches,
    "tmp_path": _folder,
}
"""Name of a fixture -> what makes it; the stack undoes it after the test."""


def tests(space: Mapping[str, object], only: str = "") -> Iterator[Test]:
    """The tests of an executed file, each as a call without arguments; one for each row of a table.

    ``only`` names one test, as ``test_f`` or ``TestClass::test_f``.
    """
    owner, _, wanted = only.rpartition("::")
    for name, value in list(space.items()):
        if only and name != (owner or wanted):
            continue
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            for method in unittest.TestLoader().getTestCaseNames(value):
                if not only or method == wanted:
                    yield value(method).debug
        elif name.startswith("test") and callable(value):
            for row in _rows(value):
                yield partial(_run, value, row)


def _rows(test: Callable[..., object]) -> list[dict[str, Any]]:
    """The rows of the test's table, by parameter; one empty row where there is none."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            names, rows = mark.args
            names = [one.strip() for one in names.split(",")] if isinstance(names, str) else list(names)
            single = len(names) == 1
            return [dict(zip(names, [row] if single else row, strict=True)) for row in rows]
    return [{}]


def _run(test: Callable[..., object], row: Mapping[str, object]) -> None:
    with ExitStack() as stack:
        needed = [name for name in inspect.signature(test).parameters if name not in row]
        test(**row, **{name: FIXTURES[name](stack) for name in needed})
