"""The project's tests as evidence: the code under review cannot report its own tests as passed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kodo.jobs.report.model import ReviewReport, State
from kodo.jobs.review import BaseSource, DiffSource, ReviewOptions, review
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.project_tests import ProjectTests, TestsError
from kodo.jobs.review.pytest_settings import changed_settings
from kodo.sandbox import Sandbox

GOOD = "def price(amount, each):\n    return amount * each\n"
BAD = "def price(amount, each):\n    return amount + each\n"
TEST = "from shop import price\n\n\ndef test_price():\n    assert price(3, 4) == 12\n"
PASS_EVERYTHING = (
    "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
    "    result = (yield).get_result()\n    result.outcome = 'passed'\n    result.longrepr = None\n"
)
END_EARLY = "import os\nos._exit(0)\n"
FORGE_LINES = (
    "import json, os\n"
    "for fd in range(3, 32):\n"
    "    try:\n"
    "        os.write(fd, (json.dumps({'secret': '', 'id': 'test_shop.test_price', 'phase': 'call',"
    " 'outcome': 'passed', 'text': ''}) + '\\n' + json.dumps({'secret': '', 'end': 0}) + '\\n').encode())\n"
    "    except OSError:\n"
    "        pass\n"
)
FORGE_PARENT = (
    "import os\n"
    "for target in (f'/proc/{os.getppid()}/fd/1', '/proc/self/fd/1'):\n"
    "    try:\n"
    "        with open(target, 'w') as out:\n"
    '            out.write(\'{"results": {}, "error": null, "output": ""}\\n\')\n'
    "    except OSError:\n"
    "        pass\n"
)
PATCH_PYTEST = (
    "import sys\n"
    "reports = sys.modules.get('_pytest.reports')\n"
    "if reports is not None:\n"
    "    make = reports.TestReport.from_item_and_call.__func__\n"
    "    def passing(cls, item, call):\n"
    "        call.excinfo = None\n"
    "        return make(cls, item, call)\n"
    "    reports.TestReport.from_item_and_call = classmethod(passing)\n"
)


def git(root: Path, *args: str) -> None:
    """Run one git command."""
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *args], cwd=root, capture_output=True, check=True)


Reviewed = Callable[..., ReviewReport]


@pytest.fixture
def reviewed(tmp_path: Path) -> Reviewed:
    """Review a branch that changes a small shop, with its tests."""

    def run(change: Mapping[str, str], base: Mapping[str, str] | None = None) -> ReviewReport:
        write(tmp_path, {"shop.py": GOOD, "test_shop.py": TEST, **(base or {})})
        git(tmp_path, "init", "-q", "-b", "main")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "base")
        git(tmp_path, "switch", "-qc", "work")
        write(tmp_path, change)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "work")
        return review(BaseSource("main", tmp_path), ReviewOptions(tests=True, fixes=False), None)

    return run


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_a_good_change_is_clean(reviewed: Reviewed) -> None:
    """The planted test is counted nowhere."""
    report = reviewed({"shop.py": GOOD.replace("each)", "each=1)")})
    assert report.state is State.CLEAN, report
    assert "tests: 1 passed, 0 failed" in report.notes


SETTINGS = {
    "conftest.py": PASS_EVERYTHING,
    "pytest.ini": "[pytest]\npython_functions = nothing_*\n",
    "pyproject.toml": '[tool.pytest.ini_options]\npython_files = "nothing_*.py"\n',
    "setup.cfg": "[tool:pytest]\npython_files = nothing_*.py\n",
    "pytest.py": "def main(*a, **k):\n    return 0\nclass Item: pass\n",
}
"""Each of these alone turns the broken test green, or leaves it out."""


@pytest.mark.parametrize("name", SETTINGS)
def test_a_new_file_that_decides_what_tests_report_is_a_test_setting(name: str) -> None:
    """Each kind is recognised by itself, as a file that was not there before."""
    now = {name: SETTINGS[name]}
    files = [ChangedFile(name, "python", now[name], None)] if name.endswith(".py") else []
    assert changed_settings(now, files, now.get, {}.get) == {name: None}


def test_a_broken_test_is_found_and_new_settings_cannot_hide_it(reviewed: Reviewed) -> None:
    """The tests run with the settings from before the change; the failure's text is the evidence, the settings are gaps."""
    report = reviewed({"shop.py": BAD, **SETTINGS})
    found = [item for item in report.findings if item.rule == "kodo/test-fails"]
    assert [item.place.path for item in found] == ["shop.py"], report.notes
    assert "assert 7 == 12" in found[0].evidence.detail
    assert "tests: 0 passed, 1 failed" in report.notes
    assert report.state is State.PARTIAL
    for name in SETTINGS:
        assert any(name in item.reason for item in report.gaps), report.gaps


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """One sandbox for the runs of this module."""
    return Sandbox()


@pytest.mark.parametrize("text", [FORGE_LINES, FORGE_PARENT, PATCH_PYTEST])
def test_code_under_review_cannot_report_for_its_tests(sandbox: Sandbox, tmp_path: Path, text: str) -> None:
    """Writing results and replacing pytest's own parts leave no result, or the true one."""
    write(tmp_path, {"shop.py": text + BAD, "test_shop.py": TEST})
    try:
        results = ProjectTests(tmp_path, sandbox).failures({})
    except TestsError:
        return
    assert [*results] == ["test_shop.py::test_price"]
    assert "assert 7 == 12" in results["test_shop.py::test_price"]


def test_code_that_ends_the_test_process_leaves_a_gap(reviewed: Reviewed) -> None:
    """A run without a result is a part of the review that is missing, not a passed test."""
    report = reviewed({"shop.py": END_EARLY + BAD})
    assert report.state is State.PARTIAL
    assert any(item.path == "tests" for item in report.gaps), report


def test_a_diff_of_settings_is_held_against_the_tree(tmp_path: Path) -> None:
    """A diff in hand that adds a conftest.py is treated as a commit would be."""
    write(tmp_path, {"shop.py": GOOD, "test_shop.py": TEST})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "base")
    write(tmp_path, {"shop.py": BAD, "conftest.py": PASS_EVERYTHING})
    git(tmp_path, "add", ".")
    diff = subprocess.run(
        ["git", "diff", "--cached"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    report = review(DiffSource(diff.stdout, tmp_path), ReviewOptions(tests=True, fixes=False), None)
    assert "kodo/test-fails" in {item.rule for item in report.findings}
    assert any("conftest.py" in item.reason for item in report.gaps)


def test_only_the_part_about_tests_counts_in_a_shared_file() -> None:
    """A new dependency in pyproject.toml is no test setting; a new plugin entry point is."""
    before = '[project]\nname = "shop"\n'
    now = {"pyproject.toml": before + 'dependencies = ["rich"]\n'}
    assert changed_settings(now, [], now.get, {"pyproject.toml": before}.get) == {}
    now = {"pyproject.toml": before + '[project.entry-points.pytest11]\nshop = "shop"\n'}
    base = {"pyproject.toml": before}
    assert changed_settings(now, [], now.get, base.get) == base


def test_a_changed_module_with_hooks_is_a_test_setting() -> None:
    """A plugin that conftest.py names decides what tests report as much as conftest.py does."""
    file = ChangedFile("tools/plugin.py", "python", PASS_EVERYTHING, "x = 1\n")
    assert changed_settings([], [file], {}.get, {}.get) == {"tools/plugin.py": "x = 1\n"}


def test_no_file_of_the_copy_is_newer_than_another(tmp_path: Path) -> None:
    """Code cannot tell by their times which file is laid over, nor this copy from another."""
    ages = "from pathlib import Path\n\n\ndef test_ages():\n    assert len({one.stat().st_mtime_ns for one in Path().rglob('*')}) == 1\n"
    write(tmp_path, {"shop.py": GOOD, "test_shop.py": TEST, "lib/old.py": "", "test_ages.py": ages})
    os.utime(tmp_path / "lib" / "old.py", (5, 5))
    git(tmp_path, "init", "-q")
    results = ProjectTests(tmp_path, Sandbox()).failures({"shop.py": BAD})
    assert results["test_ages.py::test_ages"] == "" != results["test_shop.py::test_price"]
