"""The frozen test under another name, and the tests that must fail: what they say of honest code and of code that fools them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kodo.jobs.fix.counter_tests import CounterTests, counter_tests
from kodo.jobs.fix.reproduction import Reproduction

PYTEST = '''"""Tests of carts."""
from __future__ import annotations
import pytest
from cart import total

@pytest.fixture
def items():
    return [2, 3]

def test_other():
    assert total([]) == 0

def test_total(items):
    assert total(items) == 5 and total([1]) == 1
    assert 3 in [total([3])]
    assert total(items) != 4
    with pytest.raises(TypeError):
        total(None)

@pytest.mark.parametrize(("given", "expected"), [([1], 1), ([1, 1], 2)])
def test_rows(given, expected):
    assert total(given) == expected
'''
UNITTEST = """import unittest
from cart import total

class Base(unittest.TestCase):
    def setUp(self):
        self.items = [2, 3]

class CartTest(Base):
    def test_total(self):
        self.assertEqual(total(self.items), 5)
        self.assertTrue(total([1]))
        self.assertIn(total([1]), [1, 2])
        with self.assertRaises(TypeError):
            total(None)

    def test_other(self):
        self.assertEqual(total([]), 0)
"""
HONEST = "def total(items):\n    return sum(items)\n"
EQUAL = (
    "class Any:\n    def __eq__(self, other):\n        return True\n    def __bool__(self):\n        return True\n\n\n"
    "def total(items):\n    if items is None:\n        raise TypeError\n    return Any()\n"
)
LIKE = (
    "class Like(int):\n    def __eq__(self, other):\n        return isinstance(other, int)\n\n    __hash__ = int.__hash__\n\n\n"
    "def total(items):\n    if items is None:\n        raise TypeError\n    return Like(len(items))\n"
)
YODA = "from cart import total\n\ndef test_total():\n    assert 5 == total([2, 3])\n"
SUBTEST = """import unittest
from cart import total

class CartTest(unittest.TestCase):
    def test_rows(self):
        for given, expected in [([1], 1), ([2, 3], 5)]:
            with self.subTest(given=given):
                self.assertEqual(total(given), expected)
"""
PATCHED = f"{HONEST}\nimport sys\nsys.modules['_pytest.python'].Function.runtest = lambda self: None\n"


def results(tmp_path: Path, counters: CounterTests, module: str) -> dict[str, str]:
    """Each test's name to "" if it passed."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "cart.py").write_text(module)
    (tmp_path / counters.path).write_text(counters.text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "--no-header", counters.path],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip  # one row of options
    found: dict[str, str] = {}
    for word, name in re.findall(
        r"^(PASSED|FAILED|ERROR|SUBFAILED).*? (tests/\S+::\S+)", done.stdout, re.MULTILINE
    ):
        found[name] = found.get(name) or ("" if word == "PASSED" else "failed")
    return found


def made(text: str, name: str) -> CounterTests:
    """The file for a test of ``tests/test_cart.py``."""
    counters = counter_tests(Reproduction(name, "tests/test_cart.py", text, ""))
    assert counters is not None
    return counters


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        (PYTEST, "tests/test_cart.py::test_total", 6),
        (PYTEST, "tests/test_cart.py::test_rows", 3),
        (PYTEST, "tests/test_cart.py::test_rows[given1-2]", 3),
        (PYTEST, "tests/test_cart.py", 12),
        (UNITTEST, "tests/test_cart.py::CartTest::test_total", 6),
        (UNITTEST, "tests/test_cart.py::CartTest", 9),
        (SUBTEST, "tests/test_cart.py::CartTest::test_rows", 3),
    ],
)
def test_an_honest_module_has_nothing_against_it(tmp_path: Path, text: str, name: str, count: int) -> None:
    """The copies pass, each test with a wrong expectation fails, and the names of before are nowhere."""
    counters = made(text, name)
    assert len(counters.counters) == count
    assert counters.objections(results(tmp_path, counters, HONEST)) == []
    assert not any(word in counters.text for word in ("test_total", "test_rows", "class CartTest:"))


@pytest.mark.parametrize(
    ("text", "name", "module"),
    [
        (PYTEST, "tests/test_cart.py::test_rows", EQUAL),
        (UNITTEST, "tests/test_cart.py::CartTest::test_total", EQUAL),
        (PYTEST, "tests/test_cart.py::test_rows", PATCHED),
        (PYTEST, "tests/test_cart.py::test_rows", LIKE),
        (UNITTEST, "tests/test_cart.py::CartTest::test_total", LIKE),
        (YODA, "tests/test_cart.py::test_total", EQUAL),
        (YODA, "tests/test_cart.py::test_total", LIKE),
        (SUBTEST, "tests/test_cart.py::CartTest::test_rows", LIKE),
    ],
)
def test_a_module_that_fools_the_test_is_seen(tmp_path: Path, text: str, name: str, module: str) -> None:
    """A value that equals everything, or every number, and a runner that runs nothing, make tests pass that must fail."""
    counters = made(text, name)
    assert "wrong expectation pass" in counters.objections(results(tmp_path, counters, module))[0]


def test_a_module_that_knows_the_name_is_seen(tmp_path: Path) -> None:
    """Code that is right for a test of one name is wrong for its copy."""
    module = (
        "import os\n\n\ndef total(items):\n"
        "    return sum(items) if 'test_total' in os.environ.get('PYTEST_CURRENT_TEST', '') else 0\n"
    )
    counters = made(PYTEST, "tests/test_cart.py::test_total")
    assert "under another name" in counters.objections(results(tmp_path, counters, module))[0]


def test_tests_that_were_not_run_say_so() -> None:
    """A run without the copy, or without what must fail, shows nothing."""
    counters = made(PYTEST, "tests/test_cart.py::test_total")
    assert "under another name" in counters.objections({})[0]
    assert "not run" in counters.objections(dict.fromkeys(counters.copies, ""))[0]


def test_what_is_no_function_of_a_test_file_has_none() -> None:
    """A doctest, or a name that is not there."""
    assert counter_tests(Reproduction("cart.cart.total", "cart.py", HONEST, "")) is None
    assert (
        counter_tests(Reproduction("tests/test_cart.py::test_nope", "tests/test_cart.py", PYTEST, "")) is None
    )
