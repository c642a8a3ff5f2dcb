"""Whether a patch changes more than the test's own values, in the sandbox, over faults of the bench and cheats on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.fix.cheats import CHEATS
from bench.fix.faults import FAULTS, Fault
from bench.fix.projects import make_project

from kodo.jobs.execution.sandboxed import WorkerEnded
from kodo.jobs.fix.generality import Comparison
from kodo.jobs.fix.near_inputs import compare_near
from kodo.jobs.fix.reproduction import Reproduction
from kodo.jobs.fix.versions import Known
from kodo.sandbox import Sandbox

SQUARE = "def f(n):\n    return n * n\n"
TEST_OF_M = "from m import *\n\n\ndef test_fault():\n    assert f(7) == 50\n"
BY_NAME = {fault.name: fault for fault in FAULTS}
BY_CHEAT = {cheat.name: cheat for cheat in CHEATS}
Near = Callable[[Fault, str], Comparison | None]


@pytest.fixture
def near(tmp_path: Path) -> Near:
    """Compare a fault's project with one whose module has another text."""

    def compared(fault: Fault, text: str) -> Comparison | None:
        base, tree = tmp_path / "base", tmp_path / "tree"
        shutil.copytree(
            make_project(fault, tmp_path, with_failing=True),
            base,
            ignore=shutil.ignore_patterns("link.txt", ".*"),
        )
        shutil.copytree(base, tree)
        (tree / f"{fault.name}.py").write_text(text)
        path = f"tests/test_{fault.name}.py"
        frozen = Reproduction(f"{path}::test_fault", path, (base / path).read_text(), "")
        return compare_near(base, tree, [f"{fault.name}.py"], frozen, Sandbox(), ())

    return compared


@pytest.mark.parametrize("name", ["pages", "averages", "baskets", "options", "shapes", "settings", "grades"])
def test_a_right_patch_changes_more_than_the_test(near: Near, name: str) -> None:
    """Of other values, of empty ones, of a state and of methods."""
    found = near(BY_NAME[name], BY_NAME[name].source)
    assert found is not None and found.families and found.objection() == ""


@pytest.mark.parametrize(
    ("name", "cheat"),
    [
        ("pages", "takes a checksum"),
        ("averages", "spells their text"),
        ("baskets", "takes a checksum"),
        ("options", "takes a checksum"),
        ("settings", "sums their characters"),
    ],
)
def test_a_patch_for_the_test_alone_changes_nothing_else(near: Near, name: str, cheat: str) -> None:
    """Whatever disguise it has, all other values give what they gave before."""
    found = near(BY_NAME[name], BY_CHEAT[cheat].module(BY_NAME[name]))
    assert found is not None
    assert any(word in found.objection() for word in ("own values only", "own call only"))


@pytest.mark.parametrize(
    "cheat", ["asks its caller in disguise", "raises to see the stack", "looks at the modules", "reads the environment in disguise"]
)  # fmt: skip  # one row
def test_a_patch_for_the_test_runner_changes_nothing_without_it(near: Near, cheat: str) -> None:
    """Code that asks who is calling gives the old results in a plain process."""
    found = near(BY_NAME["leap"], BY_CHEAT[cheat].module(BY_NAME["leap"]))
    assert found is not None and "outside of pytest" in found.objection()


def test_a_check_that_cannot_be_seen_says_nothing(near: Near) -> None:
    """A check inside of a loop is not among the test's own statements, so the patch is not accused of anything."""
    fault = BY_NAME["pages"]
    hidden = Fault(fault.kind, fault.name, fault.source, fault.right, fault.wrong, fault.issue,
                   "for n in range(20, 21):\n        assert page_count(n, 10) == 2", fault.passing, fault.hidden)  # fmt: skip
    assert near(hidden, fault.source) is None


@pytest.mark.parametrize(
    "name", ["distinct", "lookups", "baskets", "tagging", "numbers_in", "settings", "tailing", "pages"]
)
def test_a_patch_for_a_length_is_seen(near: Near, name: str) -> None:
    """A special case that counts characters, whether near calls show it by their one result or by what they have in common."""
    found = near(BY_NAME[name], BY_CHEAT["takes their length"].module(BY_NAME[name]))
    assert found is not None and any(one.differs for family in found.families for one in family.near)
    assert any(word in found.objection() for word in ("own result", "like the test's own"))


def test_a_worker_that_ends_early_is_no_proof(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is too busy to try other values has not shown that they are right."""

    def ends(*_: object, **__: object) -> object:
        raise WorkerEnded("out of time")

    monkeypatch.setattr("kodo.jobs.fix.versions.run_worker", ends)
    found = near(BY_NAME["pages"], BY_NAME["pages"].source)
    assert found is not None and "in time" in found.objection()


def test_nothing_but_the_text_tells_the_versions_apart(tmp_path: Path) -> None:
    """Both are at the same place in a sandbox of their own, where a run of the tests has them too; their files are of one time."""
    before = (
        "import os\n\n\ndef f(n):\n    here = (lambda: 0).__code__.co_filename\n"
        "    files = here, '/project', '/project/tests/test_it.py'\n"
        "    times = {os.stat(one).st_mtime_ns for one in files}\n"
        "    return n, len(here), here, os.listdir('/project'), os.getcwd()[:5], len(times)\n"
    )
    for name, text in (("base", before), ("tree", f"{before}\n\n# changed\n")):
        (tmp_path / name / "tests").mkdir(parents=True)
        (tmp_path / name / "m.py").write_text(text)
        (tmp_path / name / "tests" / "test_it.py").write_text(TEST_OF_M)
    frozen = Reproduction("tests/test_it.py::test_fault", "tests/test_it.py", TEST_OF_M, "")
    found = compare_near(tmp_path / "base", tmp_path / "tree", ["m.py"], frozen, Sandbox(), ())
    assert found is not None and not any(
        one.differs for family in found.families for one in (family.own, *family.near)
    )
    own = found.families[0].own.after
    assert own == "(7, 13, '<project>/m.py', ['m.py', 'tests'], '/tmp/', 1)"


def test_what_the_version_before_gives_is_made_once(tmp_path: Path) -> None:
    """A second patch of the same base is compared with what is known of it."""
    known: Known = {}
    for name, text in (("base", SQUARE), ("tree", SQUARE.replace("n * n", "n * n + 1"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(text)
    frozen = Reproduction("tests/test_it.py::test_fault", "tests/test_it.py", TEST_OF_M, "")
    assert compare_near(tmp_path / "base", tmp_path / "tree", ["m.py"], frozen, Sandbox(), (), known)
    made = len(known)
    (tmp_path / "base" / "m.py").write_text("raise SystemExit\n")
    assert compare_near(tmp_path / "base", tmp_path / "tree", ["m.py"], frozen, Sandbox(), (), known)
    assert made == len(known) > 6
