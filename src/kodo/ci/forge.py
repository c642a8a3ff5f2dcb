"""The port to where changes and issues live: what kodo asks a forge, and the only things it writes to one.

Adapters are ``kodo.ci.github`` and ``kodo.ci.gitlab``; one contract suite holds both. What can be written is in
``kodo.ci.writes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

import msgspec

from kodo.ci.writes import Write

CHECK_NAME = "kodo review"
"""The name that a review's check has on a change."""


class ForgeError(Exception):
    """The forge refused or did not answer, also after the retries; the message holds no secret."""


class PermissionLevel(StrEnum):
    """What an account may do to the repository; ``write`` and above may give commands."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request or merge request, as the forge describes it."""

    number: int
    title: str
    body: str
    author: str
    base_branch: str
    base_sha: str
    head_sha: str
    head_branch: str = ""
    is_open: bool = True
    fork: bool = False
    draft: bool = False
    author_is_bot: bool = False
    labels: tuple[str, ...] = ()
    changed_files: int = 0
    """As the forge counts them; more than it lists where a change is very large."""


class ListedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file, as the forge lists it: its path after the change, the one before if it was renamed, and the hunks that the forge shows."""

    path: str
    old_path: str
    patch: str


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run of job 1. ``number`` is that of its open request whose head is still ``head_sha``; 0 for none.

    ``others`` are further such requests, where several come from one branch and the forge does not say which one it was for.
    """

    id: int
    head_sha: str
    number: int
    succeeded: bool
    event: str = ""
    others: tuple[int, ...] = ()


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment on a request or an issue; ``is_ours`` by the author's id, never by a name or by what it says."""

    id: int
    body: str
    author: str
    is_ours: bool


class LineComment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment on a line of the diff; ``thread`` is what the forge resolves (a discussion's id)."""

    id: int
    thread: str
    body: str
    path: str
    is_ours: bool


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """An issue with the labels it has."""

    number: int
    title: str
    body: str
    author: str
    labels: tuple[str, ...] = ()
    is_open: bool = True


class Forge(Protocol):
    """What job 2 and triage need of GitHub, GitLab or a fake of one. All methods raise ForgeError."""

    def pull(self, number: int) -> Pull:
        """The request with that number."""

    def run(self, run_id: int) -> PipelineRun:
        """A finished run of job 1, with the request that it was for, found by its head."""

    def finished_runs(self, limit: int) -> list[int]:
        """The ids of the newest finished runs for requests, newest first."""

    def artifact(self, run_id: int, name: str, *, latest_attempt: bool = False) -> bytes | None:
        """The newest artifact of that name of a run, as a zip; None where there is none (or it has expired).

        ``latest_attempt``: only one that the run's latest attempt left, where a run can be made again under its number.
        """

    def default_branch(self) -> str:
        """The branch that changes go to unless they say otherwise."""

    def own_branches(self, limit: int) -> list[str]:
        """The branches of this repository that open requests come from, those of the newest requests."""

    def files(self, number: int) -> list[ListedFile]:
        """The changed files, as many as the forge lists."""

    def comments(self, number: int, *, on_issue: bool = False) -> list[Comment]:
        """The comments on a request (or an issue), oldest first."""

    def line_comments(self, number: int) -> list[LineComment]:
        """The comments on lines of a request, oldest first."""

    def file_at(self, path: str, ref: str) -> str | None:
        """The text of a file at a commit or branch (empty: the default branch); None where there is none."""

    def issue(self, number: int) -> Issue:
        """The issue with that number."""

    def issues(self, limit: int) -> Iterator[Issue]:
        """Issues, newest first, open and closed, at most ``limit``; requests are left out."""

    def labels(self) -> list[str]:
        """The labels that the repository has."""

    def permission(self, account: str) -> PermissionLevel:
        """What an account may do to the repository, as the forge says now."""

    def write(self, write: Write) -> None:
        """Do it."""
