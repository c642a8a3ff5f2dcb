"""The forge port over GitHub's REST API (version 2022-11-28), with the token of a workflow run or any other.

What the token needs: to read, ``contents: read``, ``pull-requests: read`` and ``actions: read``; to write,
``pull-requests: write`` and ``checks: write`` (``issues: write`` for triage), and ``contents: write`` to close the
thread of a line comment whose finding is gone (``threads``). Without that the comment only says so.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar
from urllib.parse import quote

from kodo.ci import forge, writes
from kodo.ci.github import answers
from kodo.ci.github.threads import ReviewThreads, graphql_url
from kodo.ci.http import AmbiguousWriteError, ForgeHttp, LookAgainError, StatusError
from kodo.jobs.report.markdown import fenced

T = TypeVar("T")

ACTIONS_BOT = "github-actions[bot]"
REVIEW_WORKFLOW = "kodo review"
"""The name of job 1's workflow, as ``kodo ci init`` writes it."""
_log = logging.getLogger(__name__)
FIX_WORKFLOW = "kodo-fix.yml"
FIX_NAME = "kodo fix"
MAX_FILES = 3_000
"""GitHub lists no more files of a pull request."""


class GitHubForge:
    """One repository on GitHub.

    Args:
        http: requests with the API's base URL and the token.
        repository: ``owner/name``.
        account: whose comments are ours, where the token cannot say (that of an app or a workflow).
    """

    def __init__(self, http: ForgeHttp, repository: str, account: str = ACTIONS_BOT) -> None:
        owner, slash, name = repository.partition("/")
        if not (owner and slash and name) or "/" in name:
            raise forge.ForgeError(f"repository: {repository!r} is not owner/name")
        self._http = http
        self._repo = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"
        self._full_name = repository
        self._owner = owner
        self._account = account
        self._threads = ReviewThreads(http, graphql_url(str(http.client.base_url)), owner, name)

    @cached_property
    def _me(self) -> int:
        """Our account's id: the token's own, or that of the account that such tokens write as."""
        try:
            return self._http.get("/user", answers.GitHubAccount).id
        except StatusError as error:
            if error.status not in (401, 403):
                raise
        return self._http.get(f"/users/{quote(self._account, safe='')}", answers.GitHubAccount).id

    def pull(self, number: int) -> forge.Pull:
        """See :class:`kodo.ci.forge.Forge`; so for every method."""
        found = self._http.get(f"{self._repo}/pulls/{number}", answers.PullRequest)
        head_repo = found.head.repo.full_name if found.head.repo else ""
        return forge.Pull(
            number=found.number,
            title=found.title,
            body=found.body or "",
            author=found.user.login if found.user else "",
            base_branch=found.base.ref,
            base_sha=found.base.sha,
            head_sha=found.head.sha,
            head_branch=found.head.ref,
            is_open=found.state == "open",
            fork=head_repo.lower() != self._full_name.lower(),
            draft=found.draft,
            author_is_bot=found.user is not None and found.user.type == "Bot",
            labels=tuple(label.name for label in found.labels),
            changed_files=found.changed_files,
        )

    def run(self, run_id: int) -> forge.PipelineRun:
        """By the run's head branch and its repository, since a run from a fork names no pull request."""
        found = self._http.get(f"{self._repo}/actions/runs/{run_id}", answers.WorkflowRun)
        owner = found.head_repository.owner.login if found.head_repository else ""
        numbers: list[int] = []
        if owner and found.head_branch and found.event == "pull_request":
            head = f"{owner}:{found.head_branch}"
            pulls = self._http.pages(f"{self._repo}/pulls", answers.PullRequest, 100, state="open", head=head)
            numbers = [pull.number for pull in pulls if pull.head.sha == found.head_sha]
        return forge.PipelineRun(
            id=found.id,
            head_sha=found.head_sha,
            number=numbers[0] if numbers else 0,
            succeeded=found.conclusion == "success",
            event=found.event,
            others=tuple(numbers[1:]),
        )

    def finished_runs(self, limit: int) -> list[int]:
        """Runs for pull requests."""
        path = f"{self._repo}/actions/runs"
        found = self._http.get(
            path, answers.WorkflowRuns, event="pull_request", status="completed", per_page=min(limit, 100)
        )
        return [run.id for run in found.workflow_runs]

    def artifact(self, run_id: int, name: str, *, latest_attempt: bool = False) -> bytes | None:
        """The download is a redirect to another host, which is not sent the token."""
        path = f"{self._repo}/actions/runs/{run_id}"
        listed = self._http.get(f"{path}/artifacts", answers.Artifacts, name=name, per_page=100)
        live = [item for item in listed.artifacts if item.name == name and not item.expired]
        if latest_attempt and live:
            started = self._http.get(path, answers.WorkflowRun).run_started_at
            live = [item for item in live if started is None or (item.created_at or started) >= started]
        if not live:
            return None
        newest = max(live, key=lambda item: item.id)
        return self._http.download(f"{self._repo}/actions/artifacts/{newest.id}/zip")

    def default_branch(self) -> str:
        """As the repository says."""
        return self._http.get(self._repo, answers.RepositoryAnswer).default_branch

    def own_branches(self, limit: int) -> list[str]:
        """Those of forks are left out."""
        pulls = self._http.pages(f"{self._repo}/pulls", answers.PullRequest, limit, state="open")
        return [
            pull.head.ref
            for pull in pulls
            if pull.head.repo and pull.head.repo.full_name.lower() == self._full_name.lower()
        ]

    def files(self, number: int) -> list[forge.ListedFile]:
        """Of large or binary files GitHub shows no patch; those are there with an empty one."""
        found = self._http.pages(f"{self._repo}/pulls/{number}/files", answers.PullFile, MAX_FILES)
        return [
            forge.ListedFile(
                path=item.filename,
                old_path=item.previous_filename or item.filename,
                patch=item.patch or "",
            )
            for item in found
        ]

    def comments(self, number: int, *, on_issue: bool = False) -> list[forge.Comment]:
        """Pull requests are issues here, so both have the same comments."""
        found = self._http.pages(f"{self._repo}/issues/{number}/comments", answers.IssueComment)
        return [
            forge.Comment(
                id=item.id, body=item.body or "", author=_login(item.user), is_ours=self._is_ours(item.user)
            )
            for item in found
        ]

    def line_comments(self, number: int) -> list[forge.LineComment]:
        """A thread is named by its first comment."""
        found = self._http.pages(f"{self._repo}/pulls/{number}/comments", answers.ReviewComment)
        return [
            forge.LineComment(
                id=item.id,
                thread=str(item.in_reply_to_id or item.id),
                body=item.body,
                path=item.path,
                is_ours=self._is_ours(item.user),
            )
            for item in found
        ]

    def file_at(self, path: str, ref: str) -> str | None:
        """By the contents API, which gives files up to 1 MB."""
        params = {"ref": ref} if ref else {}
        found = self._http.get_or_none(f"{self._repo}/contents/{quote(path)}", answers.Content, **params)
        if found is None or found.type != "file" or found.encoding != "base64":
            return None
        try:
            return base64.b64decode(found.content).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return None

    def issue(self, number: int) -> forge.Issue:
        """A pull request is refused: it is not for triage."""
        found = self._http.get(f"{self._repo}/issues/{number}", answers.IssueAnswer)
        if found.pull_request is not None:
            raise forge.ForgeError(f"{number} is a pull request")
        return _issue(found)

    def issues(self, limit: int) -> Iterator[forge.Issue]:
        """Newest first; pull requests do not count."""
        left = limit
        for found in self._http.pages(f"{self._repo}/issues", answers.IssueAnswer, 4 * limit, state="all"):
            if left == 0:
                return
            if found.pull_request is None:
                left -= 1
                yield _issue(found)

    def labels(self) -> list[str]:
        """In the order of GitHub."""
        return [item.name for item in self._http.pages(f"{self._repo}/labels", answers.NamedLabel)]

    def permission(self, account: str) -> forge.PermissionLevel:
        """GitHub counts maintainers as writers, and triagers as readers."""
        path = f"{self._repo}/collaborators/{quote(account, safe='')}/permission"
        found = self._http.get_or_none(path, answers.Permission)
        if found is None:
            return forge.PermissionLevel.NONE
        if found.permission in ("admin", "write"):
            return forge.PermissionLevel.WRITE
        return forge.PermissionLevel.READ if found.permission == "read" else forge.PermissionLevel.NONE

    def write(self, write: writes.Write) -> None:
        """One request for each write."""
        match write:
            case writes.CreateComment():
                self._http.send("POST", f"{self._repo}/issues/{write.number}/comments", {"body": write.body})
            case writes.UpdateComment():
                self._edit(f"issues/comments/{write.comment}", write.body)
            case writes.ResolveLineComment():
                # Closed first: if that breaks off, the comment still says that there is something to do.
                self._threads.close(write.number, int(write.thread))
                self._edit(f"pulls/comments/{write.comment}", write.body)
            case writes.AddLineComments():
                self._line_comments(write, write.notes)
            case writes.SetCheck():
                self._check(write)
            case writes.AddLabels():
                self._add(f"issues/{write.number}/labels", {"labels": list(write.labels)})
            case writes.Assign():
                self._add(f"issues/{write.number}/assignees", {"assignees": list(write.accounts)})
            case writes.RunReview():
                self._run_again(write)
            case writes.StartFix():
                self._start_fix(write)
            case writes.OpenFix():
                self._open_fix(write)

    def _add(self, path: str, body: Mapping[str, object]) -> None:
        """Add to a set: a second time changes nothing, so a lost answer is asked for again."""
        self._http.request("POST", f"{self._repo}/{path}", body=body, repeatable=True)

    def _edit(self, comment: str, body: str) -> None:
        """Replace the text of a comment. Raises LookAgainError if somebody deleted it."""
        try:
            self._http.send("PATCH", f"{self._repo}/{comment}", {"body": body})
        except StatusError as error:
            if error.status in (404, 410):
                raise LookAgainError(str(error)) from error
            raise

    def _line_comments(self, write: writes.AddLineComments, notes: Sequence[writes.LineNote]) -> None:
        """As one review. GitHub refuses it whole for one line that it does not show; then each is tried alone."""
        body = {
            "commit_id": write.head_sha,
            "event": "COMMENT",
            "comments": [_review_comment(note) for note in notes],
        }
        try:
            self._http.send("POST", f"{self._repo}/pulls/{write.number}/reviews", body)
        except StatusError as error:
            if error.status != 422:
                raise
            if len(notes) == 1:  # it stands in the one comment on the change
                _log.warning("no comment on %s:%d: %s", notes[0].path, notes[0].line, error)
                return
            for note in notes:
                self._line_comments(write, (note,))

    def _run_again(self, write: writes.RunReview) -> None:
        """Rerun the newest run for the head; one that still runs is left alone, since it will publish."""
        found = self._runs(event="pull_request", head_sha=write.head_sha)
        newest = max(
            (run for run in found if run.name == REVIEW_WORKFLOW), key=lambda run: run.id, default=None
        )
        if newest is None:
            raise forge.ForgeError(f"no run of {REVIEW_WORKFLOW!r} for {write.head_sha[:10]}")
        if newest.conclusion is None:
            _log.warning("run %d still runs; it is not started again", newest.id)
            return
        path = f"{self._repo}/actions/runs/{newest.id}"
        try:
            self._http.send("POST", f"{path}/rerun", {})
        except AmbiguousWriteError:
            if self._http.get(path, answers.WorkflowRun).run_attempt == newest.run_attempt:
                raise

    def _start_fix(self, write: writes.StartFix) -> None:
        """Start the workflow, unless a run says in its title that this command has started it."""
        title = fix_run_title(write.number, write.command)
        runs = self._runs(event="workflow_dispatch") if write.command else []
        if any((run.name, run.display_title) == (FIX_NAME, title) for run in runs):
            return
        command = str(write.command or "")
        inputs = {"number": str(write.number), "finding": write.finding, "command": command}
        path = f"{self._repo}/actions/workflows/{FIX_WORKFLOW}/dispatches"
        self._http.send("POST", path, {"ref": self.default_branch(), "inputs": inputs})

    def _runs(self, **params: str) -> list[answers.WorkflowRun]:
        """The hundred newest runs."""
        path = f"{self._repo}/actions/runs"
        return self._http.get(path, answers.WorkflowRuns, per_page=100, **params).workflow_runs

    def _open_fix(self, write: writes.OpenFix) -> None:
        """By git's objects, so that no checkout is needed. A branch or request that is there is an earlier attempt's, and is kept."""
        head = f"{self._owner}:{write.branch}"
        if any(self._http.pages(f"{self._repo}/pulls", answers.PullRequest, 1, state="all", head=head)):
            return
        parent = self._http.get(f"{self._repo}/git/commits/{write.parent}", answers.CommitAnswer)
        entries = [
            {"path": file.path, "mode": "100755" if file.executable else "100644", "type": "blob"}
            | ({"sha": None} if file.text is None else {"content": file.text})
            for file in write.files
        ]
        tree = self._make("trees", {"base_tree": parent.tree.sha, "tree": entries}, answers.TreeName)
        made = {"message": write.title, "tree": tree.sha, "parents": [parent.sha]}
        commit = self._make("commits", made, answers.CommitAnswer)
        try:
            ref = {"ref": f"refs/heads/{write.branch}", "sha": commit.sha}
            self._http.send("POST", f"{self._repo}/git/refs", ref)
        except StatusError as error:
            if error.status != 422 or "already exists" not in str(error):
                raise
        body = {"title": write.title, "body": write.body, "head": write.branch, "base": write.target,
                "draft": True}  # fmt: skip  # one row
        self._http.send("POST", f"{self._repo}/pulls", body)

    def _make(self, kind: str, body: Mapping[str, object], answer: type[T]) -> T:
        """One of git's objects. Nothing names it yet, so it may be made twice."""
        path = f"{self._repo}/git/{kind}"
        return self._http.decode(self._http.request("POST", path, body=body, repeatable=True), answer, path)

    def _check(self, write: writes.SetCheck) -> None:
        output = {"title": write.title, "summary": write.summary}
        body = {"name": forge.CHECK_NAME, "head_sha": write.head_sha, "status": "completed",
                "conclusion": write.conclusion.value, "output": output}  # fmt: skip  # one row
        self._http.send("POST", f"{self._repo}/check-runs", body)

    def _is_ours(self, user: answers.GitHubAccount | None) -> bool:
        return user is not None and user.id == self._me


def _review_comment(note: writes.LineNote) -> dict[str, object]:
    body = note.body
    if note.suggestion is not None:
        body += "\n" + fenced(note.suggestion, "suggestion") + "\n"
    comment: dict[str, object] = {"path": note.path, "line": note.line, "side": "RIGHT", "body": body}
    if note.start < note.line:
        comment |= {"start_line": note.start, "start_side": "RIGHT"}
    return comment


def fix_run_title(number: int, command: int) -> str:
    """The title of a run that a command started, as the workflow's ``run-name`` makes it."""
    return f"kodo fix #{number} ({command})"


def _login(user: answers.GitHubAccount | None) -> str:
    return user.login if user is not None else ""


def _issue(found: answers.IssueAnswer) -> forge.Issue:
    labels = [label if isinstance(label, str) else label.name or "" for label in found.labels]
    return forge.Issue(
        number=found.number,
        title=found.title,
        body=found.body or "",
        author=_login(found.user),
        labels=tuple(label for label in labels if label),
        is_open=found.state == "open",
    )
