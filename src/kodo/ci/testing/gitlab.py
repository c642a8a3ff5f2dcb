"""A fake GitLab (API v4): one project, its merge requests, issues and pipelines. Bodies are held to the fields GitLab documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from kodo.ci.testing.patches import patch_lines
from kodo.ci.testing.server import ApiAnswer, ApiError, FakeFile, FakeServer, GitTree, Handler, page_of

PROJECT = 42
_PROJECT = "/projects/{project}"
_REQUEST = f"{_PROJECT}/merge_requests/{{iid:int}}"

_BODIES: Mapping[tuple[str, str], tuple[frozenset[str], frozenset[str]]] = {
    # (method, the path's last word): the fields that are needed, and those that are allowed
    ("POST", "notes"): (frozenset({"body"}), frozenset({"body", "internal", "created_at"})),
    ("PUT", "{note:int}"): (frozenset({"body"}), frozenset({"body"})),
    ("POST", "discussions"): (
        frozenset({"body"}),
        frozenset({"body", "position", "commit_id", "created_at"}),
    ),
    ("PUT", "{discussion}"): (frozenset({"resolved"}), frozenset({"resolved"})),
    ("POST", "{sha}"): (
        frozenset({"state"}),
        frozenset(
            {"state", "name", "context", "description", "ref", "target_url", "coverage", "pipeline_id"}
        ),
    ),
    ("POST", "pipelines"): (frozenset(), frozenset({"async"})),
    ("PUT", "{iid:int}"): (frozenset(), frozenset({"add_labels", "remove_labels", "assignee_ids", "labels"})),
}
_STATES = frozenset({"pending", "running", "success", "failed", "canceled", "skipped"})


@dataclass
class GitLabRows:
    """What the project holds."""

    requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    pipelines: dict[int, dict[str, Any]] = field(default_factory=dict)
    archives: dict[int, bytes] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    members: dict[int, int] = field(default_factory=dict)
    patches: dict[int, Mapping[str, str]] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)
    hidden_files: int = 0
    files: dict[str, str] = field(default_factory=dict)


class FakeGitLab(FakeServer):
    """GitLab's REST API for project 42. ``git`` as in :class:`kodo.ci.testing.github.FakeGitHub`."""

    prefix = "/api/v4"
    user = 500
    """The id of the account that the tokens belong to."""

    def __init__(self, git: GitTree | None = None) -> None:
        super().__init__()
        self.git = git
        self.rows = GitLabRows()
        self.accounts: dict[int, str] = {self.user: "kodo_bot"}
        self.tokens: dict[str, bool] = {"job-2": True, "job-1": False}
        self.readable_forks: set[int] = {99}
        self._last_id = 1000

    def account(self, name: str) -> int:
        """The id of an account, which is made if it is new."""
        known = next((key for key, username in self.accounts.items() if username == name), None)
        if known is None:
            known = self._next_id()
            self.accounts[known] = name
        return known

    def open_request(self, number: int, *, base: str, head: str, author: str = "ann", **more: Any) -> None:
        """A merge request, or its new head."""
        self.rows.requests[number] = {
            "title": "A change", "description": "", "draft": False, "state": "opened", "labels": [], "source": PROJECT,
            "author": author, **more, "base": base, "head": head,
        }  # fmt: skip  # one row of fields

    def finish_pipeline(
        self, number: int, request: int, artifact: bytes | None, project: int = PROJECT
    ) -> None:
        """A finished pipeline on the merge request's present head, with its archive; ``project`` is the fork's, if in one."""
        head = self.rows.requests[request]["head"]
        self.rows.pipelines[number] = {"sha": head, "request": request, "project": project}
        if artifact is not None:
            self.rows.archives[number] = artifact

    def say(self, number: int, name: str, body: str, *, on_issue: bool = False) -> int:
        """A note by an account; returns its id."""
        new = self._next_id()
        kind = "issues" if on_issue else "merge_requests"
        self.rows.notes.append({"id": new, "on": (kind, number), "body": body, "author": self.account(name)})
        return new

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """The operations that kodo uses."""
        issues = f"{_PROJECT}/issues/{{iid:int}}"
        return (
            ("GET", "/user", lambda *_: ApiAnswer(self._person(self.user))),
            ("GET", "/users", self._users),
            ("GET", _PROJECT, lambda *_: ApiAnswer({"id": PROJECT, "default_branch": "main"})),
            ("GET", f"{_PROJECT}/merge_requests", self._open_requests),
            ("GET", _REQUEST, self._request),
            ("GET", f"{_REQUEST}/pipelines", self._request_pipelines),
            ("GET", f"{_REQUEST}/diffs", self._diffs),
            ("GET", f"{_REQUEST}/notes", self._notes("merge_requests")),
            ("POST", f"{_REQUEST}/notes", self._add_note("merge_requests")),
            ("PUT", f"{_REQUEST}/notes/{{note:int}}", self._edit_note),
            ("GET", f"{_REQUEST}/discussions", self._discussions),
            ("POST", f"{_REQUEST}/discussions", self._add_discussion),
            ("PUT", f"{_REQUEST}/discussions/{{discussion}}", self._resolve),
            ("PUT", f"{_REQUEST}/discussions/{{discussion}}/notes/{{note:int}}", self._edit_note),
            ("POST", f"{_REQUEST}/pipelines", self._run),
            ("GET", f"{_PROJECT}/issues", self._issues),
            ("GET", issues, self._issue),
            ("PUT", issues, self._edit_issue),
            ("GET", f"{issues}/notes", self._notes("issues")),
            ("POST", f"{issues}/notes", self._add_note("issues")),
            ("PUT", f"{issues}/notes/{{note:int}}", self._edit_note),
            ("GET", f"{_PROJECT}/labels", self._labels),
            ("GET", f"{_PROJECT}/members/all/{{user:int}}", self._member),
            ("GET", f"{_PROJECT}/repository/files/{{path:path}}/raw", self._file),
            ("GET", f"{_PROJECT}/repository/commits/{{sha}}/merge_requests", self._of_commit),
            ("GET", f"{_PROJECT}/pipelines", self._pipelines),
            ("GET", f"{_PROJECT}/pipelines/{{pipeline:int}}", self._pipeline),
            ("GET", f"{_PROJECT}/pipelines/{{pipeline:int}}/jobs", self._jobs),
            ("GET", f"{_PROJECT}/jobs/{{job:int}}/artifacts", self._archive),
            ("POST", f"{_PROJECT}/statuses/{{sha}}", self._status),
        )

    def allow(self, request: Request) -> None:
        """By the token."""
        token = request.headers.get("private-token", "")
        if token not in self.tokens:
            raise ApiError(401, "401 Unauthorized")
        if request.method != "GET" and not self.tokens[token]:
            raise ApiError(403, "403 Forbidden")
        project = request.path_params.get("project", str(PROJECT))
        fork = (
            project.isdecimal()
            and int(project) in self.readable_forks
            and "/merge_requests" not in request.url.path
        )
        if project != str(PROJECT) and not (fork and request.method == "GET"):
            raise ApiError(404, "404 Project Not Found")

    def check(self, method: str, template: str, request: Request, body: Any, answer: ApiAnswer) -> None:
        """The fields of bodies."""
        if method == "GET":
            if body is not None:
                raise ValueError("a body where there is none")
            return
        needed, allowed = _BODIES[method, template.rpartition("/")[2]]
        if not isinstance(body, dict) or needed - body.keys() or body.keys() - allowed:
            raise ValueError(f"the fields {sorted(body or {})} are not those of the API")

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _person(self, number: int) -> dict[str, Any]:
        return {
            "id": number,
            "username": self.accounts[number],
            "name": "x",
            "state": "active",
            "bot": number == self.user,
        }

    def _users(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        wanted = request.query_params["username"]
        return ApiAnswer([self._person(key) for key, name in self.accounts.items() if name == wanted])

    def _member(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        level = self.rows.members.get(path["user"])
        if level is None:
            raise ApiError(404, "404 Not found")
        return ApiAnswer({**self._person(path["user"]), "access_level": level})

    # Merge requests

    def _row(self, number: int) -> dict[str, Any]:
        row = self.rows.requests.get(number)
        if row is None:
            raise ApiError(404, "404 Not found")
        return row

    def _request_body(self, number: int) -> dict[str, Any]:
        row = self._row(number)
        refs = {"base_sha": self._start(row), "head_sha": row["head"], "start_sha": row["base"]}
        return {
            "id": number * 10, "iid": number, "title": row["title"], "description": row["description"], "state": row["state"],
            "sha": row["head"], "target_branch": "main", "source_branch": "work", "source_project_id": row["source"],
            "target_project_id": PROJECT, "author": self._person(self.account(row["author"])), "draft": row["draft"],
            "labels": row["labels"], "diff_refs": refs, "changes_count": str(len(self._changed(number))),
        }  # fmt: skip  # one row of fields

    def _start(self, row: dict[str, Any]) -> str:
        return self.git.run("merge-base", row["base"], row["head"]).strip() if self.git else str(row["base"])

    def _request(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(self._request_body(path["iid"]))

    def _open_requests(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        numbers = [number for number, row in self.rows.requests.items() if row["state"] == "opened"]
        shown, link = page_of(request, [self._request_body(number) for number in numbers])
        return ApiAnswer(shown, headers=link)

    def _request_pipelines(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        rows = self.rows.pipelines.items()
        numbers = sorted((number for number, row in rows if row["request"] == path["iid"]), reverse=True)
        shown, link = page_of(request, [self._pipeline_body(number) for number in numbers])
        return ApiAnswer(shown, headers=link)

    def _of_commit(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        found = [number for number, row in self.rows.requests.items() if row["head"] == path["sha"]]
        return ApiAnswer([self._request_body(number) for number in found])

    def _changed(self, number: int) -> list[FakeFile]:
        row, rows = self._row(number), self.rows
        if self.git is not None:
            return self.git.files(row["base"], row["head"])
        given = rows.patches.get(number, {}).items()
        return [FakeFile(path, rows.renames.get(path, path), patch) for path, patch in given]

    def _diffs(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        changed = self._changed(path["iid"])
        rows = [
            {
                "old_path": file.old_path,
                "new_path": file.path,
                "diff": file.patch + "\n" if file.patch else "",
                "renamed_file": file.path != file.old_path,
                "deleted_file": False,
            }
            for file in changed[: len(changed) - self.rows.hidden_files]
        ]
        shown, link = page_of(request, rows)
        return ApiAnswer(shown, headers=link)

    # Notes and discussions

    def _note(self, row: dict[str, Any]) -> dict[str, Any]:
        note = {"id": row["id"], "body": row["body"], "author": self._person(row["author"]), "system": False}
        return {**note, "position": row["position"]} if "position" in row else note

    def _notes(self, kind: str) -> Handler:
        def notes(request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
            rows = [self._note(row) for row in self.rows.notes if row["on"] == (kind, path["iid"])]
            shown, link = page_of(request, rows)
            return ApiAnswer(shown, headers=link)

        return notes

    def _add_note(self, kind: str) -> Handler:
        def add(request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
            row = {
                "id": self._next_id(),
                "on": (kind, path["iid"]),
                "body": body["body"],
                "author": self.user,
            }
            self.rows.notes.append(row)
            return ApiAnswer(self._note(row), 201)

        return add

    def _edit_note(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        for row in self.rows.notes:
            if row["id"] == path["note"]:
                row["body"] = body["body"]
                return ApiAnswer(self._note(row))
        raise ApiError(404, "404 Not found")

    def _discussions(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        rows = [
            {"id": f"d{row['id']}", "individual_note": "position" not in row, "notes": [self._note(row)]}
            for row in self.rows.notes
            if row["on"] == ("merge_requests", path["iid"])
        ]
        shown, link = page_of(request, rows)
        return ApiAnswer(shown, headers=link)

    def _add_discussion(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        position = body["position"]
        files = self._changed(path["iid"])
        shown = patch_lines({file.path: file.patch for file in files})
        old_line = shown.get((position["new_path"], position["new_line"]), (-1, 0))[1]
        wanted = {"new_line": position["new_line"], **({"old_line": old_line} if old_line else {})}
        given = {key: position[key] for key in ("new_line", "old_line") if key in position}
        refs = self._request_body(path["iid"])["diff_refs"]
        if (
            (position["new_path"], position["new_line"]) not in shown
            or given != wanted
            or (position["new_path"], position["old_path"])
            not in {(file.path, file.old_path) for file in files}
            or not refs.items() <= position.items()
        ):
            self.problems.append(f"{position}: no such position")
            raise ApiError(400, "400 Bad request - Note {:line_code=>[can't be blank]}")
        row = {"id": self._next_id(), "on": ("merge_requests", path["iid"]), "body": body["body"], "author": self.user,
               "position": position, "resolved": False}  # fmt: skip  # one row of fields
        self.rows.notes.append(row)
        return ApiAnswer({"id": f"d{row['id']}", "individual_note": False, "notes": [self._note(row)]}, 201)

    def _resolve(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        for row in self.rows.notes:
            if f"d{row['id']}" == path["discussion"]:
                row["resolved"] = body["resolved"]
                return ApiAnswer({"id": path["discussion"], "notes": [self._note(row)]})
        raise ApiError(404, "404 Not found")

    # Issues

    def _issue_body(self, number: int) -> dict[str, Any]:
        row = self.rows.issues.get(number)
        if row is None:
            raise ApiError(404, "404 Not found")
        return {
            "id": number * 10, "iid": number, "title": row["title"], "description": row["body"], "labels": row["labels"],
            "state": "opened" if row["state"] == "open" else "closed", "author": self._person(self.account(row["author"])),
        }  # fmt: skip  # one row of fields

    def _issue(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(self._issue_body(path["iid"]))

    def _issues(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        shown, link = page_of(
            request, [self._issue_body(number) for number in sorted(self.rows.issues, reverse=True)]
        )
        return ApiAnswer(shown, headers=link)

    def _edit_issue(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        row = self.rows.issues[path["iid"]]
        added = [label for label in body.get("add_labels", "").split(",") if label]
        if unknown := set(added) - set(self.rows.labels):  # GitLab would make it; nothing here is meant to
            self.problems.append(f"label {min(unknown)!r} does not exist")
        row["labels"] = [*row["labels"], *added]
        row["assignees"] = [self.accounts[number] for number in body.get("assignee_ids", [])]
        return ApiAnswer(self._issue_body(path["iid"]))

    def _labels(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        shown, link = page_of(request, [{"id": at, "name": name} for at, name in enumerate(self.rows.labels)])
        return ApiAnswer(shown, headers=link)

    # Files, pipelines and statuses

    def _file(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        ref = request.query_params.get("ref", "HEAD")
        text = self.git.file_at(path["path"], ref) if self.git else self.rows.files.get(path["path"])
        if text is None:
            raise ApiError(404, "404 File Not Found")
        return ApiAnswer(raw=text.encode())

    def _pipeline_body(self, number: int) -> dict[str, Any]:
        row = self.rows.pipelines.get(number)
        if row is None:
            raise ApiError(404, "404 Not found")
        ref = f"refs/merge-requests/{row['request']}/head"
        return {
            "id": number,
            "sha": row["sha"],
            "ref": ref,
            "status": row.get("status", "success"),
            "source": "merge_request_event",
            "project_id": row.get("project", PROJECT),
        }

    def _pipeline(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(self._pipeline_body(path["pipeline"]))

    def _run(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        self.finish_pipeline(self._next_id(), path["iid"], None)
        self.rows.pipelines[self._last_id]["status"] = "created"
        return ApiAnswer({"id": self._last_id}, 201)

    def _pipelines(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        rows = self.rows.pipelines.items()
        numbers = sorted(
            (number for number, row in rows if row.get("project", PROJECT) == PROJECT), reverse=True
        )
        shown, link = page_of(request, [self._pipeline_body(number) for number in numbers])
        return ApiAnswer(shown, headers=link)

    def _jobs(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        number = path["pipeline"]
        if str(self.rows.pipelines.get(number, {}).get("project", PROJECT)) != path["project"]:
            raise ApiError(404, "404 Not found")
        file = (
            {"artifacts_file": {"filename": "artifacts.zip", "size": 1}}
            if number in self.rows.archives
            else {}
        )
        return ApiAnswer([{"id": number * 100, "name": "kodo-review", **file}, {"id": 1, "name": "other"}])

    def _archive(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(raw=self.rows.archives[path["job"] // 100])

    def _status(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        if body["state"] not in _STATES:
            self.problems.append(f"state {body['state']!r} does not exist")
        self.rows.statuses.append({"sha": path["sha"], **body})
        return ApiAnswer(
            {"id": 1, "sha": path["sha"], "status": body["state"], "name": body.get("name")}, 201
        )
