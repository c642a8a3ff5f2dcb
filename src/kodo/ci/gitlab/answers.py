"""The parts of GitLab's answers (API v4) that are used; other fields are ignored."""

from __future__ import annotations

import msgspec


class User(msgspec.Struct, frozen=True):
    """An account; ``bot`` is there for some of them only."""

    id: int
    username: str
    bot: bool = False


class MergeRequest(msgspec.Struct, frozen=True):
    """A merge request."""

    iid: int
    title: str
    state: str
    sha: str
    target_branch: str
    source_branch: str
    source_project_id: int | None
    target_project_id: int
    author: User
    description: str | None = None
    draft: bool = False
    labels: list[str] = []
    diff_refs: DiffRefs | None = None
    changes_count: str | None = None


class DiffRefs(msgspec.Struct, frozen=True):
    """The commits that a position in the diff refers to."""

    base_sha: str
    head_sha: str
    start_sha: str


class PipelineAnswer(msgspec.Struct, frozen=True):
    """A pipeline."""

    id: int
    sha: str
    ref: str
    status: str
    source: str = ""
    project_id: int = 0


class RequestNumber(msgspec.Struct, frozen=True):
    """A merge request in a list; ``source_project_id`` is null once a fork is deleted."""

    iid: int
    state: str
    sha: str
    source_project_id: int | None = None
    target_project_id: int = 0
    source_branch: str = ""


class PipelineJob(msgspec.Struct, frozen=True):
    """A job of a pipeline; without ``artifacts_file`` it left none."""

    id: int
    name: str
    artifacts_file: dict[str, object] | None = None


class FileDiff(msgspec.Struct, frozen=True):
    """One changed file: hunks without headers; empty where GitLab found it too large."""

    new_path: str
    diff: str
    old_path: str = ""
    deleted_file: bool = False


class Note(msgspec.Struct, frozen=True):
    """A comment; a system note is GitLab's own."""

    id: int
    body: str
    author: User
    system: bool = False
    position: NotePosition | None = None


class NotePosition(msgspec.Struct, frozen=True):
    """Where a comment on a diff is."""

    new_path: str | None = None


class Discussion(msgspec.Struct, frozen=True):
    """A thread of comments."""

    id: str
    notes: list[Note]


class IssueEntry(msgspec.Struct, frozen=True):
    """An issue."""

    iid: int
    title: str
    state: str
    author: User
    description: str | None = None
    labels: list[str] = []


class ProjectLabel(msgspec.Struct, frozen=True):
    """A label of a project."""

    name: str


class ProjectAnswer(msgspec.Struct, frozen=True):
    """A project."""

    default_branch: str


class Member(msgspec.Struct, frozen=True):
    """A member of a project, inherited ones included: 10 guest, 20 reporter, 30 developer, 40 maintainer, 50 owner."""

    access_level: int
    state: str = "active"
