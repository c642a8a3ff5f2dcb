"""A case as a commit in a scratch clone that borrows the objects of the given one and leaves it as it is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.real.selection import Commit, git, is_test

Kind = Literal["bug", "fix", "clean"]
_NAME = {"GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@localhost", "GIT_COMMITTER_NAME": "bench",
         "GIT_COMMITTER_EMAIL": "bench@localhost", "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
         "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One change to review: ``sha`` in the scratch clone at ``root``. ``aside``: of a repository only ever scored."""

    repository: str
    kind: Kind
    commit: str
    subject: str
    root: Path
    sha: str
    aside: bool

    @property
    def name(self) -> str:
        """Repository, commit and direction."""
        return f"{self.repository}@{self.commit[:10]} {self.kind}"


def clone(source: Path, target: Path, venv: Path | None) -> None:
    """A clone without a work tree's files; its environment, if any, is the one at ``venv``."""
    if not target.exists():
        subprocess.run(
            ["git", "clone", "--quiet", "--shared", "--no-checkout", str(source), str(target)], check=True
        )
    link = target / ".venv"
    if venv is not None and not link.exists():
        link.symlink_to(venv.resolve())


def make_case(repository: str, root: Path, commit: Commit, kind: Kind, aside: bool) -> Case:
    """The commit itself, or for a bug its source changes taken back, with the tests as they were before the fix."""
    sha = _reverse(root, commit) if kind == "bug" else commit.id
    return Case(repository, kind, commit.id, commit.subject, root, sha, aside)


def _reverse(root: Path, commit: Commit) -> str:
    parent = git(root, "rev-parse", f"{commit.id}^").strip()
    rows = git(root, "diff", "--raw", "--no-abbrev", "--no-renames", parent, commit.id).splitlines()
    fixed: list[str] = []
    for row in rows:
        head, path = row.split("\t", 1)
        _, new_mode, _, new_blob, status = head.split()
        if is_test(path):
            continue
        mode = "0" if status == "D" else new_mode
        fixed.append(f"{mode} {new_blob}\t{path}")
    tree = _tree(root, parent, fixed)
    base = _commit(root, tree, [])
    return _commit(root, git(root, "rev-parse", f"{parent}^{{tree}}").strip(), [base])


def _tree(root: Path, start: str, rows: list[str]) -> str:
    index = {**os.environ, **_NAME, "GIT_INDEX_FILE": str(root / ".git" / "index-of-a-case")}

    def run(*args: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *args], cwd=root, env=index, input=stdin, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    run("read-tree", start)
    run("update-index", "--index-info", stdin="\n".join(rows) + "\n")
    return run("write-tree")


def _commit(root: Path, tree: str, parents: list[str]) -> str:
    options = [part for parent in parents for part in ("-p", parent)]
    done = subprocess.run(
        ["git", "commit-tree", tree, *options, "-m", "case"],
        cwd=root, env={**os.environ, **_NAME}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()
