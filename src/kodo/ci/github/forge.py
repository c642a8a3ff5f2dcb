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
from urllib.parse import quote

from kodo.ci import writes
from kodo.ci.forge import Comment, ForgeError, Issue, LineComment, PermissionLevel, PipelineRun, Pull
from kodo.ci.github import answers
from kodo.ci.github.threads import ReviewThreads, graphql_url
from kodo.ci.http import ForgeHttp, LookAgainError, StatusError
from kodo.jobs.report.markdown import fenced

ACTIONS_BOT = "github-actions[bot]"
CHECK_NAME = "kodo review"
REVIEW_WORKFLOW = "kodo review"
"""The name of job 1's workflow, as ``kodo ci init`` writes it."""
_log = logging.getLogger(__name__)
FIX_WORKFLOW = "kodo-fix.yml"
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
            raise ForgeError(f"repository: {repository!r} is not owner/name")
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

    def pull(self, number: int) -> Pull:
        """See :class:`kodo.ci.forge.Forge`; so for every method."""
        found = self._http.get(f"{self._repo}/pulls/{number}", answers.PullRequest)
        head_repo = found.head.repo.full_name if found.head.repo else ""
        return Pull(
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
        )

    def run(self, run_id: int) -> PipelineRun:
        """By the run's head branch and its repository, since a run from a fork names no pull request."""
        found = self._http.get(f"{self._repo}/actions/runs/{run_id}", answers.WorkflowRun)
        owner = found.head_repository.owner.login if found.head_repository else ""
        number = 0
        if owner and found.head_branch and found.event == "pull_request":
            candidates = self._http.pages(
                f"{self._repo}/pulls",
                answers.PullRequest,
                100,
                state="open",
                head=f"{owner}:{found.head_branch}",
            )
            number = next((pull.number for pull in candidates if pull.head.sha == found.head_sha), 0)
        return PipelineRun(
            id=found.id,
            head_sha=found.head_sha,
            number=number,
            succeeded=found.conclusion == "success",
            event=found.event,
        )

    def finished_runs(self, limit: int) -> list[int]:
        """Runs for pull requests."""
        path = f"{self._repo}/actions/runs"
        found = self._http.get(
            path, answers.WorkflowRuns, event="pull_request", status="completed", per_page=min(limit, 100)
        )
        return [run.id for run in found.workflow_runs]

    def artifact(self, run_id: int, name: str) -> bytes | None:
        """The download is a redirect to another host, which is not sent the token."""
        path = f"{self._repo}/actions/runs/{run_id}/artifacts"
        listed = self._http.get(path, answers.Artifacts, name=name, per_page=100)
        live = [item for item in listed.artifacts if item.name == name and not item.expired]
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

    def patches(self, number: int) -> Mapping[str, str]:
        """Of large or binary files GitHub shows no patch; those are there with an empty one."""
        files = self._http.pages(f"{self._repo}/pulls/{number}/files", answers.PullFile, MAX_FILES)
        return {item.filename: item.patch or "" for item in files}

    def comments(self, number: int, *, on_issue: bool = False) -> list[Comment]:
        """Pull requests are issues here, so both have the same comments."""
        found = self._http.pages(f"{self._repo}/issues/{number}/comments", answers.IssueComment)
        return [
            Comment(
                id=item.id, body=item.body or "", author=_login(item.user), is_ours=self._is_ours(item.user)
            )
            for item in found
        ]

    def line_comments(self, number: int) -> list[LineComment]:
        """A thread is named by its first comment."""
        found = self._http.pages(f"{self._repo}/pulls/{number}/comments", answers.ReviewComment)
        return [
            LineComment(
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

    def issue(self, number: int) -> Issue:
        """A pull request is refused: it is not for triage."""
        found = self._http.get(f"{self._repo}/issues/{number}", answers.IssueAnswer)
        if found.pull_request is not None:
            raise ForgeError(f"{number} is a pull request")
        return _issue(found)

    def issues(self, limit: int) -> Iterator[Issue]:
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

    def permission(self, account: str) -> PermissionLevel:
        """GitHub counts maintainers as writers, and triagers as readers."""
        path = f"{self._repo}/collaborators/{quote(account, safe='')}/permission"
        found = self._http.get_or_none(path, answers.Permission)
        if found is None:
            return PermissionLevel.NONE
        if found.permission in ("admin", "write"):
            return PermissionLevel.WRITE
        return PermissionLevel.READ if found.permission == "read" else PermissionLevel.NONE

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
                self._http.send(
                    "POST", f"{self._repo}/issues/{write.number}/labels", {"labels": list(write.labels)}
                )
            case writes.Assign():
                body = {"assignees": list(write.accounts)}
                self._http.send("POST", f"{self._repo}/issues/{write.number}/assignees", body)
            case writes.RunReview():
                self._run_again(write)
            case writes.StartFix():
                inputs = {"number": str(write.number), "finding": write.finding}
                path = f"{self._repo}/actions/workflows/{FIX_WORKFLOW}/dispatches"
                self._http.send("POST", path, {"ref": self.default_branch(), "inputs": inputs})
            case writes.OpenFix():
                self._open_fix(write)

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
        """Rerun the newest run for the head; one that still runs is left alone."""
        path = f"{self._repo}/actions/runs"
        found = self._http.get(
            path, answers.WorkflowRuns, event="pull_request", head_sha=write.head_sha, per_page=100
        )
        ours = [
            run for run in found.workflow_runs if run.name == REVIEW_WORKFLOW and run.conclusion is not None
        ]
        if not ours:
            raise ForgeError(f"no finished run of {REVIEW_WORKFLOW!r} for {write.head_sha[:10]}")
        self._http.send("POST", f"{path}/{max(run.id for run in ours)}/rerun", {})

    def _open_fix(self, write: writes.OpenFix) -> None:
        """By git's objects, so that no checkout is needed. The branch must be new: GitHub refuses one that is there."""
        parent = self._http.get(f"{self._repo}/git/commits/{write.parent}", answers.CommitAnswer)
        entries = [
            {"path": file.path, "mode": "100755" if file.executable else "100644", "type": "blob"}
            | ({"sha": None} if file.text is None else {"content": file.text})
            for file in write.files
        ]
        tree = self._http.make(
            f"{self._repo}/git/trees", {"base_tree": parent.tree.sha, "tree": entries}, answers.TreeName
        )
        commit = self._http.make(
            f"{self._repo}/git/commits",
            {"message": write.title, "tree": tree.sha, "parents": [parent.sha]},
            answers.CommitAnswer,
        )
        self._http.send(
            "POST", f"{self._repo}/git/refs", {"ref": f"refs/heads/{write.branch}", "sha": commit.sha}
        )
        body = {"title": write.title, "body": write.body, "head": write.branch, "base": write.target,
                "draft": True}  # fmt: skip  # one row
        self._http.send("POST", f"{self._repo}/pulls", body)

    def _check(self, write: writes.SetCheck) -> None:
        output = {"title": write.title, "summary": write.summary}
        body = {"name": CHECK_NAME, "head_sha": write.head_sha, "status": "completed",
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


def _login(user: answers.GitHubAccount | None) -> str:
    return user.login if user is not None else ""


def _issue(found: answers.IssueAnswer) -> Issue:
    labels = [label if isinstance(label, str) else label.name or "" for label in found.labels]
    return Issue(
        number=found.number,
        title=found.title,
        body=found.body or "",
        author=_login(found.user),
        labels=tuple(label for label in labels if label),
        is_open=found.state == "open",
    )
