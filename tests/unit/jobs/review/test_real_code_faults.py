"""Faults that review had on real projects, each by its kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from kodo.jobs.report.model import State
from kodo.jobs.review.changes import with_plain_headers
from kodo.jobs.review.job import review, run_again
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.reading import SourceError, read
from kodo.jobs.review.source import DiffSource, PendingSource, VersionsSource

OPTIONS = ReviewOptions(fixes=False)
DIFF = "--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = eval(input())\n"


def rules(old: str, new: str) -> set[str]:
    """The rules of what a change of one module gives."""
    return {one.rule for one in review(VersionsSource({"m.py": old}, {"m.py": new}), OPTIONS, None).findings}


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_diff_with_other_line_ends_is_reviewed(tmp_path: Path, end: str) -> None:
    """A diff that a tool wrote with CRLF or bare CR has the findings of the same diff with LF."""
    (tmp_path / "m.py").write_text("a = 1\nb = eval(input())\n")
    wanted = review(DiffSource(DIFF, tmp_path), OPTIONS, None)
    report = review(DiffSource(DIFF.replace("\n", end), tmp_path), OPTIONS, None)
    assert report.state is State.FINDINGS
    assert [(one.rule, one.place) for one in report.findings] == [
        (one.rule, one.place) for one in wanted.findings
    ]


def test_carriage_returns_of_the_files_themselves_are_kept() -> None:
    """In a diff with plain headers the hunk lines are content and stay as they are."""
    diff = DIFF.replace("+b = eval(input())", "+b = eval(input())\r")
    assert with_plain_headers(diff) == diff


def test_hunks_without_a_file_are_never_nothing() -> None:
    """A text with a hunk that belongs to no file is a mistake, not an empty change."""
    with pytest.raises(SourceError):
        read(DiffSource("@@ -1 +1 @@\n-a\n+b\n"), 1000)


CLEANUP = (
    "def f(p):\n    q = p\n    x = open(p)\n    try:\n        return x.read(q)\n    finally:\n        {0}\n"
)


def test_a_cleanup_with_another_argument_is_still_there() -> None:
    """A finally whose call has other arguments is not gone; one that calls something else is."""
    old = CLEANUP.format("close(x)")
    assert "kodo/cleanup-removed" not in rules(old, CLEANUP.format("close(x, q)"))
    assert "kodo/cleanup-removed" in rules(old, CLEANUP.format("print(x)"))


def test_a_cleanup_of_what_was_renamed_is_still_there() -> None:
    """What is closed is held elsewhere now; where nothing is closed any more it is gone."""
    old = CLEANUP.format("self._stream.close()")
    assert "kodo/cleanup-removed" not in rules(old, CLEANUP.format("self._connection.close()"))
    assert "kodo/cleanup-removed" in rules(old, CLEANUP.format("self._stream.flush()"))


def test_a_lock_with_another_argument_is_still_there() -> None:
    """A with whose call has other arguments still locks; one that is taken off does not."""
    old = "def f(p):\n    with lock(p):\n        a = p.a\n        p.b = a\n        return a\n"
    assert "kodo/lock-removed" not in rules(old, old.replace("lock(p)", "lock(p, 1)"))
    plain = "def f(p):\n    a = p.a\n    p.b = a\n    return a\n"
    assert "kodo/lock-removed" in rules(old, plain)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("__all__ = ['gone']\n", True),
        ("__all__ = ['made']\n\ndef __getattr__(name):\n    return name\n", False),
        ("from .lazy import __getattr__\n\n__all__ = ['made']\n", False),
        ("__all__ = ['gone']\n\nclass A:\n    def __getattr__(self, name):\n        return name\n", True),
    ],
)
def test_names_that_a_module_makes_when_asked_are_defined(text: str, reported: bool) -> None:
    """PEP 562: with a ``__getattr__`` of the module, a name in ``__all__`` may be made there; a class's does not count."""
    assert ("F822" in rules("", text)) is reported


def git(root: Path, *args: str) -> None:
    """One git command."""
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *args], cwd=root, check=True, capture_output=True
    )


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "m.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "staged.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_what_is_not_committed_is_staged_unstaged_and_new(repo: Path) -> None:
    """The working tree is compared with the last commit; an ignored file is not part of it."""
    (repo / "m.py").write_text("def f(x):\n    return x + 1\n")
    (repo / "staged.py").write_text("a = 2\n")
    git(repo, "add", "staged.py")
    (repo / "new.py").write_text("b = 1\n")
    (repo / ".git" / "info" / "exclude").write_text("no.py\n")
    (repo / "no.py").write_text("c = 1\n")
    material = read(PendingSource(repo), 1000)
    assert {file.path: set(file.added) for file in material.files} == {
        "m.py": {2},
        "staged.py": {1},
        "new.py": {1},
    }
    assert material.name == "uncommitted changes"


TESTED = ReviewOptions(fixes=False, tests=True)


def with_tests(repo: Path, new: str) -> tuple[State, list[str], list[str]]:
    """State, notes and gaps of a review with the project's tests, of a change to ``m.py``."""
    (repo / "m.py").write_text(new)
    report = review(PendingSource(repo), TESTED, None)
    return report.state, list(report.notes), [item.reason for item in report.unreviewed if item.gap]


def test_a_project_of_which_no_test_passes_is_partial(repo: Path) -> None:
    """Tests that all fail before and after say nothing, so the review is not clean."""
    (repo / "test_m.py").write_text("def test_it():\n    assert False\n")
    git(repo, "add", "."), git(repo, "commit", "-qm", "two")
    state, _, gaps = with_tests(repo, "def f(x):\n    return x + 1\n")
    assert state is State.PARTIAL and any("none passed" in reason for reason in gaps)


def test_a_conftest_that_cannot_be_imported_is_a_gap(repo: Path) -> None:
    """pytest that ends before any test leaves a reason, not a traceback and not a clean report."""
    (repo / "conftest.py").write_text("raise RuntimeError('no')\n")
    (repo / "test_m.py").write_text("def test_it():\n    assert True\n")
    git(repo, "add", "."), git(repo, "commit", "-qm", "two")
    state, _, gaps = with_tests(repo, "def f(x):\n    return x + 1\n")
    assert state is State.PARTIAL and gaps


def test_the_projects_own_environment_and_plugins_are_used(repo: Path) -> None:
    """Packages of ``.venv`` are imported and its pytest plugin is loaded; plugins of kodo's environment are not."""
    site = (
        repo / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    )
    (site / "own_plugin-1.dist-info").mkdir(parents=True)
    (site / "own_plugin-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: own-plugin\nVersion: 1\n"
    )
    (site / "own_plugin-1.dist-info" / "entry_points.txt").write_text("[pytest11]\nown = own_plugin\n")
    (site / "own_plugin.py").write_text("import pytest\n\n@pytest.fixture\ndef own():\n    return 1\n")
    (repo / ".git" / "info" / "exclude").write_text(".venv\n")
    (repo / "test_m.py").write_text(
        "from m import f\n\ndef test_own(own, pytestconfig):\n    assert f(own) >= 1\n"
        "    assert not pytestconfig.pluginmanager.hasplugin('timeout')\n"
    )
    git(repo, "add", "."), git(repo, "commit", "-qm", "two")
    state, notes, gaps = with_tests(repo, "def f(x):\n    return x + 1\n")
    assert "tests: 1 passed, 0 failed" in notes, (state, notes, gaps)


class Runs:
    """Tests whose further runs give these results."""

    def __init__(self, *results: dict[str, str]) -> None:
        self.results = list(results)

    def failures(self, texts: object) -> dict[str, str]:
        """The next run."""
        return self.results.pop(0)


def test_a_flaky_test_is_no_evidence() -> None:
    """A test that broke and passes in a second run is left out; one that fails again stays; nothing else is run again."""
    before, after = {"a": "", "b": "", "c": "old"}, {"a": "no", "b": "no", "c": "old"}
    runs = Runs({"a": "", "b": "no", "c": "old"})
    assert run_again(runs, {}, before, after) == {"b": "no", "c": "old"}  # type: ignore[arg-type] # a fake
    assert run_again(Runs(), {}, before, {"a": "", "c": "old"}) == {"a": "", "c": "old"}  # type: ignore[arg-type] # a fake


def test_a_check_that_moved_to_another_function_is_not_gone() -> None:
    """A guard that the change adds to what the function calls is no lost guard; one that is nowhere is."""
    guarded = "    if value is True:\n        raise ValueError('no')\n"
    old = {"a.py": f"import b\n\n\ndef f(value):\n{guarded}    return b.g(value)\n"}
    old |= {"b.py": "def g(value):\n    return float(value)\n"}
    gone = {**old, "a.py": "import b\n\n\ndef f(value):\n    return b.g(value)\n"}
    moved = {**gone, "b.py": f"def g(value):\n{guarded}    return float(value)\n"}
    said = [
        {one.rule for one in review(VersionsSource(old, new), OPTIONS, None).findings}
        for new in (gone, moved)
    ]
    assert ["kodo/guard-removed" in rules for rules in said] == [True, False]


def test_what_tests_read_is_no_code_but_may_hold_secrets() -> None:
    """Undefined names in a data file of tests are no findings; the same file elsewhere has them, and security stays."""
    text = "assert eval(input()) and alpha\n"

    def found(path: str) -> set[str]:
        return {one.rule for one in review(VersionsSource({path: ""}, {path: text}), OPTIONS, None).findings}

    assert "F821" in found("pkg/mod.py")
    assert found("tests/data/cases/mod.py") and "F821" not in found("tests/data/cases/mod.py")


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("from __future__ import annotations\n\n\ndef f(x: Missing) -> int:\n    return 1\n", "info"),
        ("def f(x: 'Missing') -> int:\n    return 1\n", "info"),
        ("def f() -> int:\n    x: Missing = 1\n    return x\n", "info"),
        ("class A:\n    b: B\n\n\nclass B:\n    pass\n", "info"),
        ("class A:\n    b = B()\n\n\nclass B:\n    pass\n", "error"),
        ("def f(x: Missing) -> int:\n    return 1\n", "error"),
        ("from __future__ import annotations\n\n\ndef f(x: int) -> int:\n    return Missing\n", "error"),
    ],
)
def test_an_unknown_name_in_an_annotation_that_is_not_evaluated_is_no_error(text: str, severity: str) -> None:
    """A postponed, quoted or local annotation never raises NameError by itself; any other place does."""
    report = review(VersionsSource({"m.py": "pass\n"}, {"m.py": text}), OPTIONS, None)
    assert [str(one.severity) for one in report.findings if one.rule == "F821"] == [severity]


def test_a_name_of_type_checkers_is_known_in_tests_alone() -> None:
    """A test of types is read by one, and not run; in a module the name was forgotten."""
    text = "def f(x: int) -> int:\n    reveal_type(x)\n    return x\n"

    def found(path: str) -> set[str]:
        return {one.rule for one in review(VersionsSource({path: ""}, {path: text}), OPTIONS, None).findings}

    assert "F821" in found("pkg/mod.py")
    assert "F821" not in found("tests/test_types.py")


@pytest.mark.parametrize(
    ("given", "is_said"),
    [
        ("pass", True),
        ("__slots__ = ('__hash__',)", False),
        ("def f(self):\n        self.__hash__ = len", False),
    ],
)
def test_a_hash_that_is_no_method_is_one(given: str, is_said: bool) -> None:
    """A slot of that name, or an attribute, is what a class without the method says of its hash."""
    new = f"class A:\n    {given}\n\n    def __eq__(self, other):\n        return self is other\n\n\nclass B:\n    pass\n"
    assert ("PLW1641" in rules("pass\n", new)) is is_said


def test_asking_for_nan_is_no_mistake() -> None:
    """``x != x`` is how NaN is found; ``x < x`` is a mistake."""
    assert "PLR0124" not in rules("def f(x):\n    return 1\n", "def f(x):\n    return x != x\n")
    assert "PLR0124" in rules("def f(x):\n    return 1\n", "def f(x):\n    return x < x\n")
