"""The failing test that a fix has to make pass: given by the user or written by the agent, frozen before the first patch.

A test counts only if it fails for a reason in the project: an assertion of its own, or an error that was raised in a
file of the project. A test that cannot be collected, or breaks in its own lines, shows nothing. What a test of the
agent's may assert is in ``stated``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kodo.jobs.fix.workspace import digest
from kodo.jobs.review.languages import is_test

WRITTEN_TEST = "tests/test_kodo_fix.py"
"""Where a test goes that the agent writes, where no test file suggests another place."""
_PLACE = re.compile(r"^(?P<path>[^\s:]+\.py):\d+: *(?P<error>[\w.]*)", re.MULTILINE)
_BROKEN = frozenset({"NameError", "UnboundLocalError", "SyntaxError", "IndentationError", "TabError"})
_MISSING = frozenset({"ImportError", "ModuleNotFoundError"})


class ReproductionError(ValueError):
    """A test does not show the fault; the message says why, ``ja`` in Japanese."""

    def __init__(self, message: str, ja: str) -> None:
        super().__init__(message)
        self.ja = ja


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A frozen test.

    Attributes:
        name: its node id, as in the results (``tests/test_cart.py::test_total``).
        path, text: its file, as it stays.
        failure: its output before the fix.
        written: whether the agent wrote it.
        unstated: what it asserts and the issue does not say; empty where all of it is said.
        failing: the names of its cases that failed before, of which each has to pass; empty where its file could not be
            collected.
    """

    name: str
    path: str
    text: str
    failure: str
    written: bool = False
    unstated: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return digest(self.text)

    @property
    def inside(self) -> tuple[str, ...]:
        """The class and the function of its file, without the values of a case; empty for the whole file."""
        names = self.name.removeprefix(self.path).partition("[")[0]
        return tuple(names.removeprefix("::").split("::")) if names else ()


def node_id(test: str, files: Collection[str]) -> str:
    """A test as pytest names it; ``unittest``'s dotted names (``tests.test_a.T.test_x``) are found among the files."""
    if "::" in test or test.endswith(".py"):
        return test.removeprefix("./")
    parts = test.split(".")
    for count in range(len(parts), 0, -1):
        path = "/".join(parts[:count]) + ".py"
        if path in files:
            return "::".join([path, *parts[count:]])
    return test


def matching(name: str, results: Mapping[str, str]) -> list[str]:
    """The results that a name stands for: itself, its parametrized cases, or the tests of its file or class."""
    return [result for result in results if result == name or result.startswith((f"{name}[", f"{name}::"))]


def failing_cases(name: str, path: str, results: Mapping[str, str]) -> tuple[str, ...]:
    """The cases of a test that fail; without the file itself, which fails where it cannot be collected."""
    return tuple(one for one in matching(name, results) if results[one] and one != path)


def check_failure(name: str, results: Mapping[str, str], *, written: bool) -> str:
    """The output of a test that fails for a reason in the project.

    Args:
        name: as in the results.
        results: each test's name to "" if it passed, else to its output.
        written: whether the agent wrote the test. A test of the user's may also fail because the project lacks a name
            that it imports.

    Raises:
        ReproductionError: it is not there, passes, or fails by its own fault.
    """
    found = matching(name, results)
    if not found and not written:  # the whole file could not be collected
        found = [one for one in results if results[one] and name.startswith(f"{one}::")]
    if not found:
        raise ReproductionError(
            f"{name}: there is no such test among those that pytest finds",
            f"{name}: pytest が見つけたテストの中にありません",
        )
    failing = [results[one] for one in found if results[one]]
    if not failing:
        raise ReproductionError(
            f"{name}: passes before any change, so it does not show the fault",
            f"{name}: 変更前に成功するため、不具合を示していません",
        )
    failure = failing[0]
    if fault := _own_fault(failure, _BROKEN | _MISSING if written else _BROKEN):
        raise ReproductionError(
            f"{name}: the test itself is broken: {fault}", f"{name}: テスト自体が壊れています: {fault}"
        )
    return failure


def _own_fault(failure: str, unusable: frozenset[str]) -> str:
    """The error of a test that broke in its own lines; empty for one that failed in the project or by its assertion."""
    last = next((line for line in reversed(failure.splitlines()) if line.startswith("E ")), failure[-200:])
    places = [(match["path"], match["error"]) for match in _PLACE.finditer(failure)]
    raised_in, error = places[-1] if places else ("", "")
    if raised_in and not is_test(raised_in):
        return ""
    broken = error in unusable or any(f"{kind}:" in last for kind in unusable) or "fixture '" in failure
    return last.removeprefix("E").strip()[:200] if broken else ""
