"""The forge port over GitLab's REST API (v4), with a project access token (scope ``api``, role Reporter or Developer).

A job's own token cannot write comments, so job 1 has none at all and job 2 runs on the default branch, where the token
is a protected variable. "Run" is a pipeline here, and the artifact is that of its job ``kodo-review``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from urllib.parse import quote

from kodo.ci import forge, writes
from kodo.ci.gitlab import answers
from kodo.ci.http import AmbiguousWriteError, ForgeHttp, LookAgainError, StatusError

_log = logging.getLogger(__name__)
_STATES = {
    writes.Conclusion.SUCCESS: "success",
    writes.Conclusion.FAILURE: "failed",
    writes.Conclusion.NEUTRAL: "skipped",
}
_REQUEST_REF = re.compile(r"refs/merge-requests/(\d+)/(?:head|merge)")
_FINISHED = frozenset({"success", "failed", "canceled", "skipped"})
DEVELOPER = 30
REPORTER = 20


class GitLabForge:
    """One project on GitLab.

    Args:
        http: requests with the API's base URL (up to ``/api/v4``) and the token.
        project: its id, or its path.
    """

    def __init__(self, http: ForgeHttp, project: str) -> None:
        if not project:
            raise forge.ForgeError("project: an id or a path is needed")
        self._http = http
        self._project = f"/projects/{quote(project, safe='')}"
        self._of_forks: dict[int, answers.PipelineAnswer] = {}

    @cached_property
    def _me(self) -> int:
        return self._http.get("/user", answers.User).id

    def _request(self, number: int) -> str:
        return f"{self._project}/merge_requests/{number}"

    def pull(self, number: int) -> forge.Pull:
        """See :class:`kodo.ci.forge.Forge`; so for every method."""
        found = self._http.get(self._request(number), answers.MergeRequest)
        return forge.Pull(
            number=found.iid,
            title=found.title,
            body=found.description or "",
            author=found.author.username,
            base_branch=found.target_branch,
            base_sha=found.diff_refs.start_sha if found.diff_refs else found.target_branch,
            head_sha=found.sha,
            head_branch=found.source_branch,
            is_open=found.state == "opened",
            fork=found.source_project_id != found.target_project_id,
            draft=found.draft,
            author_is_bot=found.author.bot,
            labels=tuple(found.labels),
            changed_files=_count(found.changes_count),
        )

    def run(self, run_id: int) -> forge.PipelineRun:
        """The request is in the pipeline's ref, or found by its commit."""
        found = self._of_forks.get(run_id) or self._http.get(
            f"{self._project}/pipelines/{run_id}", answers.PipelineAnswer
        )
        number = 0
        if matched := _REQUEST_REF.fullmatch(found.ref):
            request = self._http.get(self._request(int(matched[1])), answers.RequestNumber)
            number = request.iid if request.state == "opened" and request.sha == found.sha else 0
        else:
            path = f"{self._project}/repository/commits/{found.sha}/merge_requests"
            requests = self._http.pages(path, answers.RequestNumber)
            number = next(
                (item.iid for item in requests if item.state == "opened" and item.sha == found.sha), 0
            )
        return forge.PipelineRun(
            id=found.id,
            head_sha=found.sha,
            number=number,
            succeeded=found.status == "success",
            event=found.source,
        )

    def finished_runs(self, limit: int) -> list[int]:
        """Pipelines for merge requests, in this project and in forks.

        GitLab runs a fork's pipeline in the fork; it is listed with the merge request. This project's token can read it there
        if the fork is public. One that cannot be read is left out and named in the log.
        """
        found = self._http.pages(
            f"{self._project}/pipelines",
            answers.PipelineAnswer,
            limit,
            source="merge_request_event",
            scope="finished",
        )
        return [*(pipeline.id for pipeline in found), *self._finished_in_forks(limit)]

    def _finished_in_forks(self, limit: int) -> Iterator[int]:
        path = f"{self._project}/merge_requests"
        requests = self._http.pages(
            path, answers.RequestNumber, limit, state="opened", scope="all", order_by="updated_at"
        )
        for request in requests:
            if request.source_project_id in (None, request.target_project_id):
                continue
            pipelines = self._http.pages(f"{path}/{request.iid}/pipelines", answers.PipelineAnswer, 100)
            newest = next((item for item in pipelines if item.sha == request.sha), None)
            if newest is None or newest.project_id != request.source_project_id:
                continue  # none yet, or one in this project
            if newest.status in _FINISHED and self._is_readable(newest, request.iid):
                self._of_forks[newest.id] = newest
                yield newest.id

    def _is_readable(self, pipeline: answers.PipelineAnswer, number: int) -> bool:
        try:
            self._http.get(
                f"/projects/{pipeline.project_id}/pipelines/{pipeline.id}/jobs",
                list[answers.PipelineJob],
                per_page=1,
            )
        except StatusError as error:
            if error.status not in (401, 403, 404):
                raise
            _log.warning("merge request %d: the fork's pipeline cannot be read: %s", number, error)
            return False
        return True

    def artifact(self, run_id: int, name: str, *, latest_attempt: bool = False) -> bytes | None:
        """The archive of the newest job of that name, also of one that failed. GitLab lists no job that was retried."""
        fork = self._of_forks.get(run_id)
        project = f"/projects/{fork.project_id}" if fork is not None else self._project
        jobs = self._http.pages(f"{project}/pipelines/{run_id}/jobs", answers.PipelineJob)
        with_files = [job.id for job in jobs if job.name == name and job.artifacts_file is not None]
        if not with_files:
            return None
        try:
            return self._http.download(f"{project}/jobs/{max(with_files)}/artifacts")
        except StatusError as error:
            if error.status == 404 or (fork is not None and error.status == 403):  # expired, or not public
                return None
            raise

    def default_branch(self) -> str:
        """As the project says."""
        return self._http.get(self._project, answers.ProjectAnswer).default_branch

    def own_branches(self, limit: int) -> list[str]:
        """Those of forks are left out."""
        path = f"{self._project}/merge_requests"
        requests = self._http.pages(path, answers.RequestNumber, limit, state="opened", scope="all")
        return [item.source_branch for item in requests if item.source_project_id == item.target_project_id]

    def files(self, number: int) -> list[forge.ListedFile]:
        """Files that GitLab found too large are there with an empty patch."""
        found = self._http.pages(f"{self._request(number)}/diffs", answers.FileDiff)
        return [
            forge.ListedFile(path=item.new_path, old_path=item.old_path or item.new_path, patch=item.diff)
            for item in found
        ]

    def comments(self, number: int, *, on_issue: bool = False) -> list[forge.Comment]:
        """Without GitLab's own notes, and without those on lines."""
        kind = "issues" if on_issue else "merge_requests"
        path = f"{self._project}/{kind}/{number}/notes"
        notes = self._http.pages(path, answers.Note, sort="asc", order_by="created_at")
        return [
            forge.Comment(
                id=note.id, body=note.body, author=note.author.username, is_ours=note.author.id == self._me
            )
            for note in notes
            if not note.system and note.position is None
        ]

    def line_comments(self, number: int) -> list[forge.LineComment]:
        """The first note of each discussion on the diff."""
        discussions = self._http.pages(f"{self._request(number)}/discussions", answers.Discussion)
        return [
            forge.LineComment(
                id=first.id,
                thread=discussion.id,
                body=first.body,
                path=first.position.new_path or "",
                is_ours=first.author.id == self._me,
            )
            for discussion in discussions
            for first in discussion.notes[:1]
            if first.position is not None
        ]

    def file_at(self, path: str, ref: str) -> str | None:
        """Raw, from the repository."""
        try:
            file = f"{self._project}/repository/files/{quote(path, safe='')}/raw"
            return self._http.request("GET", file, params={"ref": ref or "HEAD"}).content.decode("utf-8")
        except UnicodeDecodeError:
            return None
        except StatusError as error:
            if error.status == 404:
                return None
            raise

    def issue(self, number: int) -> forge.Issue:
        """Merge requests have numbers of their own here."""
        return _issue(self._http.get(f"{self._project}/issues/{number}", answers.IssueEntry))

    def issues(self, limit: int) -> Iterator[forge.Issue]:
        """Newest first."""
        found = self._http.pages(
            f"{self._project}/issues",
            answers.IssueEntry,
            limit,
            scope="all",
            order_by="created_at",
            sort="desc",
        )
        return map(_issue, found)

    def labels(self) -> list[str]:
        """The project's, and those of its groups."""
        return [label.name for label in self._http.pages(f"{self._project}/labels", answers.ProjectLabel)]

    def permission(self, account: str) -> forge.PermissionLevel:
        """By the member's access level; developers and above may write."""
        users = self._http.get("/users", list[answers.User], username=account)
        if len(users) != 1:
            return forge.PermissionLevel.NONE
        member = self._http.get_or_none(f"{self._project}/members/all/{users[0].id}", answers.Member)
        if member is None or member.state != "active" or member.access_level < REPORTER:
            return forge.PermissionLevel.NONE
        return forge.PermissionLevel.WRITE if member.access_level >= DEVELOPER else forge.PermissionLevel.READ

    def write(self, write: writes.Write) -> None:
        """One request for each write; for line comments one each."""
        match write:
            case writes.CreateComment():
                self._http.send("POST", self._notes(write.number, write.on_issue), {"body": write.body})
            case writes.UpdateComment():
                path = f"{self._notes(write.number, write.on_issue)}/{write.comment}"
                self._edit(path, {"body": write.body})
            case writes.ResolveLineComment():
                # Closed first: if that breaks off, the note still says that there is something to do.
                thread = f"{self._request(write.number)}/discussions/{quote(write.thread, safe='')}"
                self._edit(thread, {"resolved": True})
                self._edit(f"{thread}/notes/{write.comment}", {"body": write.body})
            case writes.AddLineComments():
                self._line_comments(write)
            case writes.SetCheck():
                body = {
                    "state": _STATES[write.conclusion],
                    "name": forge.CHECK_NAME,
                    "description": write.title[:255],
                }
                self._http.send("POST", f"{self._project}/statuses/{write.head_sha}", body)
            case writes.AddLabels():
                path = f"{self._project}/issues/{write.number}"
                self._http.send("PUT", path, {"add_labels": ",".join(write.labels)})
            case writes.Assign():
                self._assign(write)
            case writes.RunReview():
                self._run_again(write)
            case writes.StartFix() | writes.OpenFix():
                raise forge.ForgeError("fixes by command: on GitHub only")

    def _edit(self, path: str, body: Mapping[str, object]) -> None:
        """Change a note or a thread. Raises LookAgainError if somebody deleted it."""
        try:
            self._http.send("PUT", path, body)
        except StatusError as error:
            if error.status in (404, 410):
                raise LookAgainError(str(error)) from error
            raise

    def _run_again(self, write: writes.RunReview) -> None:
        """A new pipeline on the head, unless the newest one still runs."""
        before = self._newest_pipeline(write)
        if before is not None and before.status not in _FINISHED:
            _log.warning("pipeline %d still runs; no other is started", before.id)
            return
        try:
            self._http.send("POST", f"{self._request(write.number)}/pipelines", {})
        except AmbiguousWriteError:
            if self._newest_pipeline(write) == before:
                raise

    def _newest_pipeline(self, write: writes.RunReview) -> answers.PipelineAnswer | None:
        path = f"{self._request(write.number)}/pipelines"
        found = self._http.pages(path, answers.PipelineAnswer, 100)
        ours = (item for item in found if item.sha == write.head_sha)
        return max(ours, key=lambda item: item.id, default=None)

    def _notes(self, number: int, on_issue: bool) -> str:
        return f"{self._project}/{'issues' if on_issue else 'merge_requests'}/{number}/notes"

    def _line_comments(self, write: writes.AddLineComments) -> None:
        refs = self._http.get(self._request(write.number), answers.MergeRequest).diff_refs
        if refs is None or refs.head_sha != write.head_sha:
            raise forge.ForgeError(
                f"merge request {write.number}: its diff is not that of {write.head_sha[:10]}"
            )
        before = {item.path: item.old_path for item in self.files(write.number)}
        for note in write.notes:
            position = {"position_type": "text", "base_sha": refs.base_sha, "head_sha": refs.head_sha,
                        "start_sha": refs.start_sha, "new_path": note.path, "old_path": before.get(note.path, note.path),
                        "new_line": note.line}  # fmt: skip  # one row
            if note.old_line:
                position["old_line"] = note.old_line
            body = {"body": _with_suggestion(note), "position": position}
            try:
                self._http.send("POST", f"{self._request(write.number)}/discussions", body)
            except StatusError as error:
                if error.status not in (400, 422):
                    raise
                # GitLab does not show this line; the finding stands in the one comment on the change.
                _log.warning("no comment on %s:%d: %s", note.path, note.line, error)

    def _assign(self, write: writes.Assign) -> None:
        found = [self._http.get("/users", list[answers.User], username=name) for name in write.accounts]
        ids = [users[0].id for users in found if len(users) == 1]
        if ids:
            self._http.send("PUT", f"{self._project}/issues/{write.number}", {"assignee_ids": ids})


def _count(changes: str | None) -> int:
    """GitLab counts up to a limit, and then says "1000+"."""
    digits = (changes or "").removesuffix("+")
    return int(digits) + (digits != changes) if digits.isdecimal() else 0


def _with_suggestion(note: writes.LineNote) -> str:
    """GitLab's suggestions name the lines above and below the comment's line that they replace."""
    if note.suggestion is None:
        return note.body
    ticks = max((len(run) for run in re.findall(r"`+", note.suggestion)), default=0)
    fence = "`" * max(3, ticks + 1)
    text = note.suggestion.removesuffix("\n")
    return f"{note.body}\n{fence}suggestion:-{note.line - note.start}+0\n{text}\n{fence}\n"


def _issue(found: answers.IssueEntry) -> forge.Issue:
    return forge.Issue(
        number=found.iid,
        title=found.title,
        body=found.description or "",
        author=found.author.username,
        labels=tuple(found.labels),
        is_open=found.state == "opened",
    )
