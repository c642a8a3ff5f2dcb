"""From a pipeline's variables to a ``Change``: one reader for each system, and the choice among them.

Values are used as data only. A branch name is resolved by git behind ``--end-of-options`` and is never part of a
shell line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from kodo.ci.change import Change, EventError, System, is_sha

MAX_EVENT_BYTES = 25_000_000
"""GitHub's own limit for a webhook's payload."""

_CHANGES = frozenset({"pull_request", "pull_request_target"})


class _Author(msgspec.Struct):
    type: str = "User"


class _Label(msgspec.Struct):
    name: str


class _Repo(msgspec.Struct):
    full_name: str = ""


class _Side(msgspec.Struct):
    sha: str
    ref: str
    repo: _Repo | None = None


class _PullRequest(msgspec.Struct):
    number: int
    base: _Side
    head: _Side
    user: _Author | None = None
    draft: bool = False
    labels: list[_Label] = []


class _PullRequestEvent(msgspec.Struct):
    pull_request: _PullRequest


class _Run(msgspec.Struct):
    id: int


class _Number(msgspec.Struct):
    number: int


class _IssueEvent(msgspec.Struct):
    issue: _Number


class _Login(msgspec.Struct):
    login: str
    type: str = "User"


class _CommentBody(msgspec.Struct):
    id: Annotated[int, msgspec.Meta(ge=1)]
    body: str
    user: _Login | None = None


class _CommentedIssue(msgspec.Struct):
    number: int
    pull_request: dict[str, Any] | None = None


class _CommentEvent(msgspec.Struct):
    comment: _CommentBody
    issue: _CommentedIssue
    action: str


class CommentEvent(msgspec.Struct, frozen=True):
    """A new comment on a change or an issue, and who wrote it; ``id`` is the comment's own."""

    number: int
    account: str
    body: str
    on_issue: bool = False
    id: int = 0


class _FixInputs(msgspec.Struct):
    number: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,9}$")]
    finding: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{8,64})?$")] = ""
    command: Annotated[str, msgspec.Meta(pattern=r"^([1-9][0-9]{0,18})?$")] = ""


class _FixEvent(msgspec.Struct):
    inputs: _FixInputs


class FixEvent(msgspec.Struct, frozen=True):
    """What a run of the pipeline for fixes is about; ``finding`` is empty for an issue.

    ``command`` is the id of the comment that asked for it; 0 if it was started by hand.
    """

    number: int
    finding: str
    run_id: int
    head: str
    command: int = 0


class _RunEvent(msgspec.Struct):
    workflow_run: _Run


def system_of(environ: Mapping[str, str]) -> System:
    """Which system's variables are there."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return System.GITHUB
    if environ.get("GITLAB_CI") == "true":
        return System.GITLAB
    return System.JENKINS if environ.get("JENKINS_URL") else System.PLAIN


def read_change(environ: Mapping[str, str], system: System | None = None) -> Change:
    """The change that this pipeline runs for.

    Raises:
        EventError: a variable is missing, or the event is not about a change.
    """
    return _READERS[system or system_of(environ)](environ)


def read_event(environ: Mapping[str, str], kind: type[Any]) -> Any:
    """The event of a GitHub Actions run (``GITHUB_EVENT_PATH``), decoded as ``kind``.

    Raises:
        EventError: the file is missing, too large, or not such an event; the message names the field.
    """
    path = Path(_needed(environ, "GITHUB_EVENT_PATH"))
    try:
        if path.stat().st_size > MAX_EVENT_BYTES:
            raise EventError(f"GITHUB_EVENT_PATH: larger than {MAX_EVENT_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise EventError(f"GITHUB_EVENT_PATH: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(f"GITHUB_EVENT_PATH: {error}") from error


def read_run_id(environ: Mapping[str, str]) -> int:
    """The id of the run that a ``workflow_run`` event is about; everything else about it is asked from the forge.

    Raises:
        EventError: it is another event.
    """
    return int(read_event(environ, _RunEvent).workflow_run.id)


def read_issue_number(environ: Mapping[str, str]) -> int:
    """The number of the issue that an ``issues`` event is about. Raises EventError for another event."""
    return int(read_event(environ, _IssueEvent).issue.number)


def read_comment(environ: Mapping[str, str]) -> CommentEvent | None:
    """The comment that was made by a person; None for one that was edited or deleted, and for that of a bot.

    Raises:
        EventError: it is another event.
    """
    found = read_event(environ, _CommentEvent)
    comment, issue = found.comment, found.issue
    if found.action != "created" or comment.user is None or comment.user.type != "User":
        return None
    on_issue = issue.pull_request is None
    return CommentEvent(issue.number, comment.user.login, comment.body, on_issue, comment.id)


def read_fix_event(environ: Mapping[str, str]) -> FixEvent:
    """What a run that was started by ``/kodo fix`` is about, with the run's own number and commit.

    Raises:
        EventError: it is another event, or a variable is missing.
    """
    inputs = read_event(environ, _FixEvent).inputs
    run_id, head = _needed(environ, "GITHUB_RUN_ID"), _needed(environ, "GITHUB_SHA")
    if not run_id.isdecimal() or not is_sha(head):
        raise EventError("GITHUB_RUN_ID and GITHUB_SHA: a number and a commit id are needed")
    return FixEvent(int(inputs.number), inputs.finding, int(run_id), head, int(inputs.command or 0))


def _github(environ: Mapping[str, str]) -> Change:
    name = _needed(environ, "GITHUB_EVENT_NAME")
    if name not in _CHANGES:
        raise EventError(f"GITHUB_EVENT_NAME: {name!r} is not about a pull request; use on: pull_request")
    pull = read_event(environ, _PullRequestEvent).pull_request
    base_repo = pull.base.repo.full_name if pull.base.repo else ""
    head_repo = pull.head.repo.full_name if pull.head.repo else ""  # null once the fork is deleted
    return Change(
        system=System.GITHUB,
        base=pull.base.sha,
        head=pull.head.sha,
        target=pull.base.ref,
        repository=base_repo or environ.get("GITHUB_REPOSITORY", ""),
        number=pull.number,
        fork=head_repo != base_repo,
        draft=pull.draft,
        author_is_bot=pull.user is not None and pull.user.type == "Bot",
        labels=tuple(label.name for label in pull.labels),
    )


def _gitlab(environ: Mapping[str, str]) -> Change:
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    if not number.isdecimal():
        raise EventError("CI_MERGE_REQUEST_IID: not set; the job needs rules for merge_request_event")
    source = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "")
    labels = environ.get("CI_MERGE_REQUEST_LABELS", "")
    return Change(
        system=System.GITLAB,
        base=_needed(environ, "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        head=environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or _needed(environ, "CI_COMMIT_SHA"),
        target=environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", ""),
        repository=environ.get("CI_MERGE_REQUEST_PROJECT_PATH", ""),
        number=int(number),
        fork=source != environ.get("CI_MERGE_REQUEST_PROJECT_ID", ""),
        draft=environ.get("CI_MERGE_REQUEST_DRAFT") == "true",
        labels=tuple(label for label in labels.split(",") if label),
    )


def _jenkins(environ: Mapping[str, str]) -> Change:
    number = environ.get("CHANGE_ID", "")
    target = _needed(environ, "CHANGE_TARGET")
    return Change(
        system=System.JENKINS,
        base=f"refs/remotes/origin/{target}",
        head=environ.get("GIT_COMMIT") or "HEAD",
        target=target,
        number=int(number) if number.isdecimal() else 0,
        fork=bool(environ.get("CHANGE_FORK")),
    )


def _plain(environ: Mapping[str, str]) -> Change:
    base = environ.get("KODO_CI_BASE")
    if not base:
        raise EventError(
            "KODO_CI_BASE: not set, and no variables of GitHub, GitLab or Jenkins; name a branch with --base"
        )
    return Change(
        system=System.PLAIN,
        base=base,
        head=environ.get("KODO_CI_HEAD") or "HEAD",
        target=environ.get("KODO_CI_TARGET", ""),
    )


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise EventError(f"{name}: not set")
    return value


_READERS: Mapping[System, Callable[[Mapping[str, str]], Change]] = {
    System.GITHUB: _github,
    System.GITLAB: _gitlab,
    System.JENKINS: _jenkins,
    System.PLAIN: _plain,
}
