"""The parts of GitHub's answers that are used, as its OpenAPI describes them; other fields are ignored."""

from __future__ import annotations

from datetime import datetime

import msgspec


class GitHubAccount(msgspec.Struct, frozen=True):
    """A user, bot or organisation."""

    id: int
    login: str
    type: str = "User"


class Label(msgspec.Struct, frozen=True):
    """A label of a repository or an issue."""

    name: str | None = None


class RepositoryName(msgspec.Struct, frozen=True):
    """A repository by name."""

    full_name: str
    owner: GitHubAccount


class Side(msgspec.Struct, frozen=True):
    """Base or head of a pull request; ``repo`` is null once a fork is deleted."""

    ref: str
    sha: str
    repo: RepositoryName | None = None


class NamedLabel(msgspec.Struct, frozen=True):
    """A label of a pull request, which always has a name."""

    name: str


class PullRequest(msgspec.Struct, frozen=True):
    """A pull request, alone or in a list; there, its files are not counted."""

    number: int
    state: str
    title: str
    base: Side
    head: Side
    labels: list[NamedLabel] = []
    body: str | None = None
    user: GitHubAccount | None = None
    draft: bool = False
    changed_files: int = 0


class RepositoryAnswer(msgspec.Struct, frozen=True):
    """A repository."""

    default_branch: str


class TreeName(msgspec.Struct, frozen=True):
    """A tree by its hash."""

    sha: str


class CommitAnswer(msgspec.Struct, frozen=True):
    """A commit."""

    sha: str
    tree: TreeName


class WorkflowRun(msgspec.Struct, frozen=True):
    """A run of a workflow."""

    id: int
    head_sha: str
    event: str
    name: str | None = None
    head_branch: str | None = None
    conclusion: str | None = None
    display_title: str = ""
    run_attempt: int = 1
    run_started_at: datetime | None = None
    head_repository: RepositoryName | None = None


class WorkflowRuns(msgspec.Struct, frozen=True):
    """A page of runs."""

    workflow_runs: list[WorkflowRun]


class ArtifactEntry(msgspec.Struct, frozen=True):
    """One artifact of a run."""

    id: int
    name: str
    expired: bool
    created_at: datetime | None = None


class Artifacts(msgspec.Struct, frozen=True):
    """The artifacts of a run."""

    artifacts: list[ArtifactEntry]


class PullFile(msgspec.Struct, frozen=True):
    """A changed file; without a patch where it is binary or large."""

    filename: str
    patch: str | None = None
    previous_filename: str | None = None


class IssueComment(msgspec.Struct, frozen=True):
    """A comment on an issue or a pull request."""

    id: int
    body: str | None = None
    user: GitHubAccount | None = None


class ReviewComment(msgspec.Struct, frozen=True):
    """A comment on a line."""

    id: int
    body: str
    path: str
    user: GitHubAccount | None = None
    in_reply_to_id: int | None = None


class Content(msgspec.Struct, frozen=True):
    """A file by the contents API."""

    type: str
    encoding: str = ""
    content: str = ""


class IssueAnswer(msgspec.Struct, frozen=True):
    """An issue; ``pull_request`` is there if it is one."""

    number: int
    title: str
    state: str
    labels: list[Label | str] = []
    body: str | None = None
    user: GitHubAccount | None = None
    pull_request: dict[str, object] | None = None


class Permission(msgspec.Struct, frozen=True):
    """What an account may do: admin, write, read or none."""

    permission: str
