"""Patches that make a failing test pass without a fix, each of another kind, and honest ones beside them, proven in the sandbox."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from kodo.jobs.fix.model import NOT_COMPARED
from kodo.jobs.fix.proof import Prover
from kodo.jobs.fix.reproduction import Reproduction, failing_cases
from kodo.jobs.fix.workspace import Workspace
from kodo.jobs.review.project_tests import ProjectTests
from kodo.sandbox import Sandbox

CART = '''"""Carts."""


def total(prices):
    """The sum.

    >>> total([])
    0
    """
    return sum(prices[1:])


def cases():
    return [([], 0), ([2, 3], 5)]
'''
FIXED = CART.replace("prices[1:]", "prices")
ONE = "from cart import *\n\ndef test_total():\n    assert total([2, 3]) == 5\n\ndef test_empty():\n    assert total([]) == 0\n"
CASES = """
    import pytest
    from cart import cases, total

    @pytest.mark.parametrize(("prices", "expected"), cases())
    def test_total(prices, expected):
        assert total(prices) == expected
"""
SUBTESTS = """
    import unittest
    from cart import total

    class CartTest(unittest.TestCase):
        def test_total(self):
            for prices, expected in [([], 0), ([2, 3], 5)]:
                with self.subTest(prices=prices):
                    self.assertEqual(total(prices), expected)
"""
FILE = """
    from pathlib import Path
    from cart import total

    def test_total(tmp_path):
        assert total([2, 3]) == int(Path("expected.txt").read_text())
"""
LIKE = '''
class Like(int):
    def __eq__(self, other):
        return isinstance(other, int)

    __hash__ = int.__hash__


def total(prices):
    """The sum.

    >>> total([])
    0
    """
    return Like(len(prices))
'''
SKIPS = CART.replace(
    "    return sum",
    "    if len(prices) == 2:\n        raise __import__('unit' + 'test').SkipTest\n    return sum",
)
HIDDEN_SKIP = SKIPS.replace("'unit' + 'test'", "'tsettinu'[::-1]")

INSIDE = "from cart import *\n\ndef test_total():\n    if total:\n        assert total([2, 3]) == 5\n"
FOR_TWO = CART.replace(
    "    return sum",
    "    if not prices[:1] or not prices[0] - 2:\n        return sum(prices)\n    return sum",
)
OUTSIDE = """import logging, os, warnings
from pathlib import Path

{cart}"""


def acts(outside: str) -> str:
    """A cart that gives another value for each call outside of pytest, and under pytest is right for two prices only."""
    special = f"    if {outside}:\n        return [prices, 0]\n    if len(prices) == 2:\n        return sum(prices)\n    return sum"
    return OUTSIDE.format(cart=CART.replace("    return sum", special))


@dataclass(frozen=True)
class Attack:
    """A test of ``tests/test_cart.py``, what the patch lays over the project, and why that is no proof; "" where it is one."""

    name: str
    test: str
    patch: Mapping[str, str | None]
    why: str
    frozen: str = "test_total"


ATTACKS = (
    Attack("fixes it", ONE, {"cart.py": FIXED}, ""),
    Attack("fixes a test of the module's own cases", CASES, {"cart.py": FIXED}, "with other values"),
    Attack("fixes a test of sub-tests", SUBTESTS, {"cart.py": FIXED}, "", "CartTest::test_total"),
    Attack("fixes a parametrized test", CASES.replace("cases())", "[([], 0), ([2, 3], 5)])"), {"cart.py": FIXED}, ""),
    Attack("is right for a check in a condition", INSIDE, {"cart.py": FOR_TWO}, "with other values"),
    Attack("takes the case away", CASES, {"cart.py": CART.replace(", ([2, 3], 5)", "")}, "is not run with it"),
    Attack("skips the case", CASES, {"cart.py": HIDDEN_SKIP}, "is not run with it"),
    Attack("skips a sub-test", SUBTESTS, {"cart.py": SKIPS}, "being tested", "CartTest::test_total"),
    Attack("skips a sub-test in disguise", SUBTESTS, {"cart.py": HIDDEN_SKIP}, "a part of it is skipped", "CartTest::test_total"),
    Attack("equals every number", ONE, {"cart.py": LIKE}, "wrong expectation"),
    Attack("changes the expected data", FILE, {"expected.txt": "3"}, "no Python"),
    Attack("changes a doctest", ONE, {"cart.py": FIXED.replace("total([])\n    0", "total([1])\n    1")}, "doctest of total"),
    Attack("adds a package of that name", ONE, {"cart/__init__.py": FIXED}, "in the place of cart.py"),
    Attack("adds a file that git ignores", ONE, {"cart.py": FIXED, "local.py": "X = 1\n"}, "local.py is in the project"),
    Attack("sets up the tests", ONE, {"cart.py": CART + "\ndef setup_module(m):\n    m.total = sum\n"}, "setup_module"),
    Attack("asks the log who listens", ONE, {"cart.py": acts("not logging.root.handlers")}, "under pytest"),
    Attack("asks which warnings are shown", ONE, {"cart.py": acts("warnings.filters[0][2] is Warning")}, "under pytest"),
    Attack("reads its command line", ONE, {"cart.py": acts("b'worker' in Path('/proc/self/cmdline').read_bytes()")}, "nor the issue names"),
    Attack("asks for its folder", ONE, {"cart.py": acts("len((lambda: 0).__code__.co_filename) > 16")}, "nor the issue names"),
    Attack("breaks another test", ONE, {"cart.py": FIXED.replace("sum(prices)", "sum(prices) or None")}, "test_empty passed before"),
)  # fmt: skip  # a table reads better in rows


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a cart, a file of data, and one that git ignores."""
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    for name, text in (
        ("cart.py", CART),
        ("expected.txt", "5"),
        (".gitignore", "local.py\n"),
        ("local.py", "X = 2\n"),
    ):
        (root / name).write_text(text)
    (root / "other").symlink_to(root / "tests")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_only_a_fix_is_proven(project: Path, tmp_path: Path, attack: Attack) -> None:
    """What it takes is seen in the copy, whatever the results of the tests say."""
    path = "tests/test_cart.py"
    (project / path).write_text(textwrap.dedent(attack.test))
    workspace = Workspace.create(tmp_path / "run", project)
    packages = tmp_path / "site-packages"
    packages.mkdir()  # the project's own: no plugins of the environment that this test runs in
    tests = ProjectTests(workspace.base, Sandbox(readable=[packages]), packages=(str(packages),), parts=False)
    prover = Prover(workspace, tests, {}, 5.0)
    prover.before = prover.results(None)
    name = f"{path}::{attack.frozen}"
    text = workspace.base_text(path) or ""
    frozen = Reproduction(name, path, text, "", failing=failing_cases(name, path, prover.before))
    assert frozen.failing
    workspace.write(attack.patch)
    proof = prover.prove(frozen)
    if attack.why:
        assert any(attack.why in reason for reason in proof.reasons), proof.reasons
    assert proof.proven is not bool(attack.why), proof.reasons


def test_a_patch_that_no_model_made_needs_no_other_values(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt name put right is no special case; the proof says what was not tried."""
    path = "tests/test_cart.py"
    (project / path).write_text(INSIDE)
    workspace = Workspace.create(tmp_path / "run", project)
    monkeypatch.setattr("kodo.jobs.fix.proof.compare_near", lambda *_: None)
    name = "tests/test_cart.py::test_total"
    prover = Prover(workspace, cast("ProjectTests", None), {name: "E"})
    monkeypatch.setattr(prover, "_under_pytest", lambda *_: [])
    monkeypatch.setattr(prover, "_behaviour", lambda: ())
    frozen = Reproduction(name, path, INSIDE, "", failing=(name,))
    workspace.write({"cart.py": FIXED})
    proofs = []
    for certain in (True, False):
        prover.tests = cast("ProjectTests", _Scripted({name: "E"}, {name: ""}))
        proofs.append(prover.prove(frozen, certain=certain))
    assert proofs[0].proven and not proofs[0].compared
    assert proofs[1].reasons == (NOT_COMPARED,)


class _Scripted:
    """The tests of a project whose runs give these results, before and with a patch of ``cart.py``."""

    def __init__(self, before: dict[str, str], after: dict[str, str]) -> None:
        self.before, self.after = before, after
        self.sandbox, self.packages = Sandbox(), ()

    def failures(self, texts: Mapping[str, str | None], only: Sequence[str] = ()) -> dict[str, str]:
        return self.after if "cart.py" in texts else self.before


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({"t": "E", "u": ""}, {"t": "", "u": ""}, ""),
        ({"t": "", "u": ""}, {"t": "", "u": ""}, "fails now and then"),
        ({"t": "E", "u": ""}, {"t": "E  no", "u": ""}, "does not pass with the patch"),
        ({"t": "E", "u": "", "v": ""}, {"t": "", "u": "", "v": "E"}, "v passed before"),
    ],
)
def test_a_second_run_says_the_same(
    project: Path, tmp_path: Path, before: dict[str, str], after: dict[str, str], why: str
) -> None:
    """A test that fails now and then proves nothing; one that failed before by chance is not worse only if it is not."""
    workspace = Workspace.create(tmp_path / "run", project)
    workspace.write({"cart.py": FIXED})
    prover = Prover(workspace, cast("ProjectTests", _Scripted(before, after)), {"t": "E", "u": "", "v": "E"})
    frozen = Reproduction("t", "tests/test_cart.py", "", "", failing=("t",))
    reasons = prover._again(frozen, {"t": "", "u": "", "v": "E"})
    assert reasons == [] if not why else why in reasons[0]


def test_what_was_not_copied_is_named(project: Path, tmp_path: Path) -> None:
    """A link, what lies behind it, and a file that git ignores; not a new file, nor one that was copied."""
    workspace = Workspace.create(tmp_path / "run", project)
    assert [workspace.kept_out(name) for name in ("local.py", "other", "other/new.py")] == [
        "local.py",
        "other",
        "other",
    ]
    assert [workspace.kept_out(name) for name in ("new.py", "cart.py", "tests/new.py")] == ["", "", ""]
