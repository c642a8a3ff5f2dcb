"""Texts as trees, for threads that analyse at the same time."""

from __future__ import annotations

import ast
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kodo.jobs.review import python


def test_threads_parse_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """This interpreter counts the depth of all that is being parsed together, and ends with a SystemError where two meet."""
    parsing: list[str] = []
    most: list[int] = []
    parse = ast.parse

    def slow(text: str, **more: Any) -> ast.Module:
        parsing.append(text)
        most.append(len(parsing))
        time.sleep(0.01)
        parsing.remove(text)
        return parse(text, **more)

    monkeypatch.setattr("kodo.jobs.review.python.ast.parse", slow)
    with ThreadPoolExecutor(4) as pool:
        modules = list(pool.map(python.parse, [f"x = {number}  # by threads" for number in range(8)]))
    assert all(modules)
    assert set(most) == {1}
