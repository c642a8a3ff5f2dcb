"""Which commits are cases: a written rule over a repository's history, newest first.

A commit counts where it has one parent, changes 1 to 3 Python files outside of tests by 1 to 30 lines together, and
changes what they do (not documentation, comments or layout alone). It is a *bug* where its subject speaks of a fix and
not of tooling, and it also changes a test file; its reverse is the buggy change. It is *clean* where its subject does
not speak of a fix. Whether kodo finds anything is not looked at.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FIX = re.compile(
    r"\b(fix(e[sd])?|bug(fix)?|regression|crash(es)?|incorrect(ly)?|wrong(ly)?)\b", re.IGNORECASE
)
TOOLING = re.compile(
    r"\b(typos?|docs?|documentation|docstrings?|lint\w*|flake8?|mypy|pyright|typing|types?|annotations?|ci|workflows?|changelog"
    r"|release|bump|format\w*|spelling|benchmarks?|coverage|tox|pre-commit|deps?|dependenc\w+|deprecat\w+|python 3|pypy|windows"
    r"|build|packaging|setup|merge|revert|flaky|tests?)\b",
    re.IGNORECASE,
)
MAX_FILES, MAX_LINES, MAX_WALKED = 3, 30, 1500


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit and the Python files outside of tests that it changes."""

    id: str
    subject: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


def git(repository: Path, *args: str, stdin: str | None = None) -> str:
    """Standard output of one git command in a repository's git directory."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "--no-pager", *args]
    return subprocess.run(
        command, cwd=repository, input=stdin, capture_output=True, text=True, check=True, errors="replace"
    ).stdout


def is_test(path: str) -> bool:
    """Whether a path is a test by its name or folder."""
    parts = path.lower().split("/")
    return any(part in ("test", "tests", "testing") or part.startswith("test_") for part in parts) or parts[-1] in (
        "conftest.py", "tests.py",
    ) or parts[-1].endswith("_test.py")  # fmt: skip


def walk(repository: Path, head: str, since: str = "") -> Iterator[Commit]:
    """The commits that may be cases, newest first, none before the date ``since``."""
    dated = [f"--since={since}T00:00:00Z"] if since else []
    lines = git(
        repository, "log", "--no-merges", f"-{MAX_WALKED}", *dated, "--format=%H%x09%P%x09%s", head
    ).splitlines()
    for line in lines:
        commit, parents, subject = line.split("\t", 2)
        if len(parents.split()) != 1:
            continue
        rows = [
            row.split("\t")
            for row in git(repository, "diff", "--numstat", "--no-renames", parents, commit).splitlines()
        ]
        code = [row for row in rows if row[2].endswith(".py") and not is_test(row[2]) and not _beside(row[2])]
        size = sum(int(row[0]) + int(row[1]) for row in code if row[0] != "-")
        if not 1 <= len(code) <= MAX_FILES or not 1 <= size <= MAX_LINES:
            continue
        files = tuple(row[2] for row in code)
        if any(_acts(repository, parents, commit, path) for path in files):
            yield Commit(commit, subject, files, tuple(row[2] for row in rows if is_test(row[2])))


def _beside(path: str) -> bool:
    return path.startswith(("docs/", "doc/", "examples/", "tools/", "scripts/", "benchmarks/", "benches/")) or path in (
        "setup.py", "noxfile.py", "conftest.py",
    )  # fmt: skip


def _acts(repository: Path, parent: str, commit: str, path: str) -> bool:
    """Whether a file's code differs, in both versions of which it is there and parses."""
    try:
        old, new = (git(repository, "show", f"{one}:{path}") for one in (parent, commit))
        return _code(old) != _code(new)
    except (subprocess.CalledProcessError, SyntaxError, ValueError):
        return False


def _code(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def select(repository: Path, head: str, count: int, since: str = "") -> tuple[list[Commit], list[Commit]]:
    """The newest ``count`` bugs and ``count`` clean commits, none before the date ``since``."""
    bugs: list[Commit] = []
    clean: list[Commit] = []
    for commit in walk(repository, head, since):
        fixes, tooling = bool(FIX.search(commit.subject)), bool(TOOLING.search(commit.subject))
        if fixes and not tooling and any(path.endswith(".py") for path in commit.tests) and len(bugs) < count:
            bugs.append(commit)
        elif not fixes and not tooling and len(clean) < count:
            clean.append(commit)
        if len(bugs) == len(clean) == count:
            break
    return bugs, clean
