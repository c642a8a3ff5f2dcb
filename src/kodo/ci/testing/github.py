"""A fake GitHub: one repository, its pull requests, issues and workflow runs, held to GitHub's own OpenAPI."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from kodo.ci.testing.openapi import OpenApi
from kodo.ci.testing.patches import patch_lines
from kodo.ci.testing.server import ApiAnswer, ApiError, FakeFile, FakeServer, GitTree, Handler, page_of

OWNER, NAME = "acme", "shop"
REPOSITORY = f"{OWNER}/{NAME}"
_REPO = "/repos/{owner}/{repo}"
BOT_ID = 41898282
"""The id of github-actions[bot]."""


@dataclass
class Token:
    """What a token may do: ``write`` or only read; ``user`` is its account's id, None for a workflow's token.

    ``contents`` is the permission ``contents: write``, which closing a thread needs too.
    """

    write: bool = True
    contents: bool = True
    user: int | None = None


@dataclass
class StoredArtifact:
    """An artifact of a run, and of which attempt at it."""

    id: int
    run: int
    name: str
    data: bytes
    expired: bool = False
    attempt: int = 1


@dataclass
class Rows:
    """What the repository holds, each row with the fields that a test gives; the rest is completed.

    ``renames`` has the path before by the one after; ``hidden_files`` are the last ones of a change, which are not listed.
    """

    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    line_comments: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    artifacts: list[StoredArtifact] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    reruns: list[int] = field(default_factory=list)
    permissions: dict[str, str] = field(default_factory=dict)
    patches: dict[int, Mapping[str, str]] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)
    hidden_files: int = 0
    files: dict[str, str] = field(default_factory=dict)
    trees: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    dispatches: list[dict[str, Any]] = field(default_factory=list)


class FakeGitHub(FakeServer):
    """GitHub's REST API for the repository ``acme/shop``.

    Args:
        git: a repository that diffs and files are computed from; without it, ``rows.patches`` and ``rows.files``.
    """

    def __init__(self, git: GitTree | None = None, schema: OpenApi | None = None) -> None:
        super().__init__()
        self.git = git
        self.schema = schema or OpenApi.load()
        self.rows = Rows()
        self.accounts: dict[int, dict[str, Any]] = {BOT_ID: {"login": "github-actions[bot]", "type": "Bot"}}
        self.tokens: dict[str, Token] = {"job-2": Token(), "job-1": Token(write=False)}
        self._last_id = 1000

    def account(self, login: str, *, kind: str = "User") -> int:
        """The id of an account, which is made if it is new."""
        known = next((key for key, row in self.accounts.items() if row["login"] == login), None)
        if known is not None:
            return known
        number = self._next_id()
        self.accounts[number] = {"login": login, "type": kind}
        return number

    def open_pull(
        self, number: int, *, base: str, head: str, owner: str = OWNER, author: str = "ann", **more: Any
    ) -> None:
        """A pull request from the branch ``work`` of ``owner``'s repository, or its new head."""
        self.rows.pulls[number] = {
            "title": "A change", "body": None, "draft": False, "state": "open", "labels": [], "author": author,
            **more, "base": base, "head": head, "owner": owner,
        }  # fmt: skip  # one row of fields

    def finish_run(
        self, run_id: int, number: int, artifact: bytes | None, conclusion: str = "success"
    ) -> None:
        """A finished run of job 1 on the pull request's present head, with its artifact."""
        pull = self.rows.pulls[number]
        row = {"head_sha": pull["head"], "owner": pull["owner"], "conclusion": conclusion}
        self.rows.runs[run_id] = self.rows.runs.get(run_id, {}) | row
        if artifact is not None:
            self.add_artifact(run_id, "kodo-review", artifact)

    def add_artifact(self, run_id: int, name: str, data: bytes) -> None:
        """An artifact of a run, which may still be running."""
        attempt = self.rows.runs.get(run_id, {}).get("attempt", 1)
        self.rows.artifacts.append(StoredArtifact(self._next_id(), run_id, name, data, attempt=attempt))

    def say(self, number: int, login: str, body: str, *, kind: str = "User") -> int:
        """A comment by an account; returns its id."""
        new = self._next_id()
        user = self.account(login, kind=kind)
        self.rows.comments.append({"id": new, "issue": number, "body": body, "user": user})
        return new

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """The operations that kodo uses."""
        return (
            ("GET", "/user", self._user),
            ("GET", "/users/{username}", self._named_user),
            ("GET", _REPO, self._repository),
            ("GET", f"{_REPO}/git/commits/{{commit_sha}}", self._commit),
            ("POST", f"{_REPO}/git/trees", self._add_tree),
            ("POST", f"{_REPO}/git/commits", self._add_commit),
            ("POST", f"{_REPO}/git/refs", self._add_branch),
            ("POST", f"{_REPO}/actions/workflows/{{workflow_id}}/dispatches", self._dispatch),
            ("POST", f"{_REPO}/pulls", self._add_pull),
            ("GET", f"{_REPO}/pulls", self._pulls),
            ("GET", f"{_REPO}/pulls/{{pull_number:int}}", self._pull),
            ("GET", f"{_REPO}/pulls/{{pull_number:int}}/files", self._files),
            ("GET", f"{_REPO}/pulls/{{pull_number:int}}/comments", self._line_comments),
            ("POST", f"{_REPO}/pulls/{{pull_number:int}}/reviews", self._add_review),
            ("PATCH", f"{_REPO}/pulls/comments/{{comment_id:int}}", self._edit_line_comment),
            ("GET", f"{_REPO}/issues", self._issues),
            ("GET", f"{_REPO}/issues/{{issue_number:int}}", self._issue),
            ("GET", f"{_REPO}/issues/{{issue_number:int}}/comments", self._comments),
            ("POST", f"{_REPO}/issues/{{issue_number:int}}/comments", self._add_comment),
            ("PATCH", f"{_REPO}/issues/comments/{{comment_id:int}}", self._edit_comment),
            ("POST", f"{_REPO}/issues/{{issue_number:int}}/labels", self._add_labels),
            ("POST", f"{_REPO}/issues/{{issue_number:int}}/assignees", self._assign),
            ("GET", f"{_REPO}/labels", self._labels),
            ("GET", f"{_REPO}/contents/{{path:path}}", self._content),
            ("GET", f"{_REPO}/collaborators/{{username}}/permission", self._permission),
            ("GET", f"{_REPO}/actions/runs", self._runs),
            ("GET", f"{_REPO}/actions/runs/{{run_id:int}}", self._run),
            ("POST", f"{_REPO}/actions/runs/{{run_id:int}}/rerun", self._rerun),
            ("GET", f"{_REPO}/actions/runs/{{run_id:int}}/artifacts", self._artifacts),
            ("GET", f"{_REPO}/actions/artifacts/{{artifact_id:int}}/{{archive_format}}", self._archive),
            ("POST", f"{_REPO}/check-runs", self._add_check),
            ("GET", "/storage/{artifact_id:int}", self._storage),
            ("POST", "/graphql", self._graphql),
        )

    def allow(self, request: Request) -> None:
        """By the token; the storage of artifacts must not be sent one."""
        header = request.headers.get("authorization")
        if request.url.path.startswith("/storage/"):
            if header is not None:
                self.problems.append("the storage was sent a token")
            return
        token = self.tokens.get((header or "").removeprefix("Bearer "))
        if token is None:
            raise ApiError(401, "Bad credentials")
        if request.method != "GET" and not token.write and request.url.path != "/graphql":
            raise ApiError(403, "Resource not accessible by integration")
        if request.url.path.startswith("/repos/") and not request.url.path.startswith(f"/repos/{REPOSITORY}"):
            raise ApiError(404, "Not Found")

    def check(self, method: str, template: str, request: Request, body: Any, answer: ApiAnswer) -> None:
        """Against the OpenAPI."""
        if template.startswith("/storage/") or template == "/graphql":  # its documents: tests/pipelines
            return
        operation = f"{method} {template.replace(':int', '').replace(':path', '')}"
        self.schema.check(operation, dict(request.query_params), body, answer.status, answer.body)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _person(self, number: int) -> dict[str, Any]:
        return self.schema.complete("simple-user", {"id": number, **self.accounts[number]})

    def _writer(self, request: Request) -> int:
        token = self.tokens[request.headers["authorization"].removeprefix("Bearer ")]
        return token.user or BOT_ID

    # Accounts

    def _user(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        user = self.tokens[request.headers["authorization"].removeprefix("Bearer ")].user
        if user is None:
            raise ApiError(403, "Resource not accessible by integration")
        return ApiAnswer(self.schema.complete("public-user", {"id": user, **self.accounts[user]}))

    def _named_user(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        for number, row in self.accounts.items():
            if row["login"] == path["username"]:
                return ApiAnswer(self.schema.complete("public-user", {"id": number, **row}))
        raise ApiError(404, "Not Found")

    def _permission(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        level = self.rows.permissions.get(path["username"])
        if level is None:
            raise ApiError(404, "Not Found")
        given = {"permission": level, "role_name": level, "user": None}
        return ApiAnswer(self.schema.complete("repository-collaborator-permission", given))

    # Pull requests

    def _pull_row(self, number: int) -> dict[str, Any]:
        row = self.rows.pulls.get(number)
        if row is None:
            raise ApiError(404, "Not Found")
        return row

    def _pull_body(self, kind: str, number: int) -> dict[str, Any]:
        row = self._pull_row(number)
        owner = self._person(self.account(row["owner"]))
        ours = self._person(self.account(OWNER))
        head = {"full_name": f"{row['owner']}/{NAME}", "owner": owner}
        given = {
            "id": number, "number": number, "state": row["state"], "title": row["title"], "body": row["body"],
            "draft": row["draft"], "user": self._person(self.account(row["author"], kind=row.get("kind", "User"))),
            "labels": [{"name": label, "description": None} for label in row["labels"]],
            "base": {"ref": row.get("into", "main"), "sha": row["base"], "label": "", "user": ours, "repo": {"full_name": REPOSITORY, "owner": ours}},
            "head": {"ref": row.get("branch", "work"), "sha": row["head"], "label": "", "user": owner, "repo": head},
        }  # fmt: skip  # one row of fields
        if kind == "pull-request":
            given["changed_files"] = len(self._changed(number))
        return self.schema.complete(kind, given)

    def _pull(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(self._pull_body("pull-request", path["pull_number"]))

    def _pulls(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        wanted = request.query_params.get("head")
        state = request.query_params.get("state", "open")
        numbers = [
            number
            for number, row in self.rows.pulls.items()
            if (state in ("all", row["state"]))
            and (wanted is None or wanted == f"{row['owner']}:{row.get('branch', 'work')}")
        ]
        shown, link = page_of(request, [self._pull_body("pull-request-simple", number) for number in numbers])
        return ApiAnswer(shown, headers=link)

    def _changed(self, number: int) -> list[FakeFile]:
        row, rows = self._pull_row(number), self.rows
        if self.git is not None:  # it does not have a commit that was made by the API
            return self.git.files(row["base"], row["head"]) if self.git.has(row["head"]) else []
        given = rows.patches.get(number, {}).items()
        return [FakeFile(path, rows.renames.get(path, path), patch) for path, patch in given]

    def _patches(self, number: int) -> Mapping[str, str]:
        return {file.path: file.patch for file in self._changed(number)}

    def _files(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        changed = self._changed(path["pull_number"])
        rows = []
        for file in changed[: len(changed) - self.rows.hidden_files]:
            given = {"filename": file.path, "status": "modified"} | (
                {"patch": file.patch} if file.patch else {}
            )
            if file.old_path != file.path:
                given |= {"status": "renamed", "previous_filename": file.old_path}
            rows.append(self.schema.complete("diff-entry", given))
        shown, link = page_of(request, rows)
        return ApiAnswer(shown, headers=link)

    def _line_comments(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        rows = [row for row in self.rows.line_comments if row["pull"] == path["pull_number"]]
        shown, link = page_of(request, [self._line_comment(row) for row in rows])
        return ApiAnswer(shown, headers=link)

    def _line_comment(self, row: dict[str, Any]) -> dict[str, Any]:
        given = {key: row[key] for key in ("id", "body", "path", "line", "commit_id")}
        return self.schema.complete(
            "pull-request-review-comment", {**given, "user": self._person(row["user"])}
        )

    def _add_review(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        number = path["pull_number"]
        shown = patch_lines(self._patches(number))
        for comment in body["comments"]:
            lines = range(comment.get("start_line", comment["line"]), comment["line"] + 1)
            hunks = {shown.get((comment["path"], line), (None, 0))[0] for line in lines}
            if (
                len(hunks) != 1
                or None in hunks
                or ("start_line" in comment and comment["start_line"] >= comment["line"])
            ):
                self.problems.append(f"{comment['path']}:{comment['line']} is not in the diff")
                raise ApiError(422, "Unprocessable Entity")
        for comment in body["comments"]:
            row = {
                "id": self._next_id(),
                "pull": number,
                "user": self._writer(request),
                "commit_id": body["commit_id"],
                "resolved": False,
                **comment,
            }
            self.rows.line_comments.append(row)
        given = {"id": self._next_id(), "body": "", "state": "COMMENTED", "commit_id": body["commit_id"]}
        return ApiAnswer(self.schema.complete("pull-request-review", given))

    def _edit_line_comment(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        for row in self.rows.line_comments:
            if row["id"] == path["comment_id"]:
                row["body"] = body["body"]
                return ApiAnswer(self._line_comment(row))
        raise ApiError(404, "Not Found")

    def _graphql(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        """The threads of a pull request, and closing one; errors come with status 200."""
        variables = body["variables"]
        if "resolveReviewThread(" in body["query"]:
            return self._close_thread(request, variables["thread"])
        if (variables["owner"], variables["name"]) != (OWNER, NAME):
            return _graphql_error("NOT_FOUND", "Could not resolve to a Repository")
        rows = [row for row in self.rows.line_comments if row["pull"] == variables["number"]]
        start = int(variables["after"] or 0)
        nodes = [
            {"id": f"PRRT_{row['id']}", "isResolved": row["resolved"], "comments": {"nodes": [{"databaseId": row["id"]}]}}
            for row in rows[start : start + 100]
        ]  # fmt: skip  # one row of fields
        info = {"hasNextPage": start + 100 < len(rows), "endCursor": str(start + 100)}
        threads = {"nodes": nodes, "pageInfo": info}
        return ApiAnswer({"data": {"repository": {"pullRequest": {"reviewThreads": threads}}}})

    def _close_thread(self, request: Request, thread: str) -> ApiAnswer:
        token = self.tokens[request.headers["authorization"].removeprefix("Bearer ")]
        if not (token.write and token.contents):
            return _graphql_error("FORBIDDEN", "Resource not accessible by integration")
        for row in self.rows.line_comments:
            if f"PRRT_{row['id']}" == thread:
                row["resolved"] = True
                return ApiAnswer({"data": {"resolveReviewThread": {"thread": {"isResolved": True}}}})
        return _graphql_error("NOT_FOUND", "Could not resolve to a node with the global id")

    # Issues, and the comments of both

    def _issue_body(self, number: int) -> dict[str, Any]:
        row = self.rows.issues.get(number) or self.rows.pulls.get(number)
        if row is None:
            raise ApiError(404, "Not Found")
        given = {
            "id": number, "number": number, "title": row["title"], "body": row["body"], "state": row["state"],
            "labels": [{"name": label} for label in row["labels"]],
            "user": self._person(self.account(row["author"])),
        }  # fmt: skip  # one row of fields
        if number in self.rows.pulls:
            given["pull_request"] = {"diff_url": None, "html_url": None, "patch_url": None, "url": None}
        return self.schema.complete("issue", given)

    def _issue(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(self._issue_body(path["issue_number"]))

    def _issues(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        numbers = sorted((*self.rows.issues, *self.rows.pulls), reverse=True)
        shown, link = page_of(request, [self._issue_body(number) for number in numbers])
        return ApiAnswer(shown, headers=link)

    def _comment(self, row: dict[str, Any]) -> dict[str, Any]:
        given = {
            "id": row["id"],
            "body": row["body"],
            "user": self._person(row["user"]),
            "author_association": "NONE",
        }
        return self.schema.complete("issue-comment", given)

    def _comments(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        rows = [row for row in self.rows.comments if row["issue"] == path["issue_number"]]
        shown, link = page_of(request, [self._comment(row) for row in rows])
        return ApiAnswer(shown, headers=link)

    def _add_comment(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        if len(body["body"]) > 65_536:
            raise ApiError(422, "body is too long (maximum is 65536 characters)")
        row = {
            "id": self._next_id(),
            "issue": path["issue_number"],
            "body": body["body"],
            "user": self._writer(request),
        }
        self.rows.comments.append(row)
        return ApiAnswer(self._comment(row), 201)

    def _edit_comment(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        for row in self.rows.comments:
            if row["id"] == path["comment_id"]:
                row["body"] = body["body"]
                return ApiAnswer(self._comment(row))
        raise ApiError(404, "Not Found")

    def _add_labels(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        unknown = set(body["labels"]) - set(self.rows.labels)
        if unknown:  # GitHub would make it; nothing here is meant to
            self.problems.append(f"label {min(unknown)!r} does not exist")
        row = self.rows.issues[path["issue_number"]]
        row["labels"] = list(dict.fromkeys((*row["labels"], *body["labels"])))
        return ApiAnswer([self.schema.complete("label", {"name": name}) for name in row["labels"]])

    def _assign(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        self.rows.issues[path["issue_number"]]["assignees"] = body["assignees"]
        return ApiAnswer(self._issue_body(path["issue_number"]), 201)

    def _labels(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        shown, link = page_of(
            request, [self.schema.complete("label", {"name": name}) for name in self.rows.labels]
        )
        return ApiAnswer(shown, headers=link)

    # Git's objects, and starting a workflow

    def _repository(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        given = {"full_name": REPOSITORY, "name": NAME, "default_branch": "main"}
        return ApiAnswer(self.schema.complete("full-repository", given))

    def _commit(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        sha = path["commit_sha"]
        known = sha in self.rows.commits or (self.git is not None and self.git.has(sha))
        if not known:
            raise ApiError(404, "Not Found")
        tree = self.rows.commits[sha]["tree"] if sha in self.rows.commits else f"{sha[:-1]}e"
        return ApiAnswer(
            self.schema.complete(
                "git-commit", {"sha": sha, "tree": {"sha": tree, "url": "https://x.example"}}
            )
        )

    def _add_tree(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        sha = f"{self._next_id():040x}"
        self.rows.trees[sha] = body["tree"]
        return ApiAnswer(self.schema.complete("git-tree", {"sha": sha, "tree": []}), 201)

    def _add_commit(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        if body["tree"] not in self.rows.trees:
            raise ApiError(422, "Tree SHA does not exist")
        sha = f"{self._next_id():040x}"
        self.rows.commits[sha] = body
        tree = {"sha": body["tree"], "url": "https://x.example"}
        return ApiAnswer(self.schema.complete("git-commit", {"sha": sha, "tree": tree}), 201)

    def _add_branch(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        name = body["ref"].removeprefix("refs/heads/")
        if name in self.rows.branches:
            raise ApiError(422, "Reference already exists")
        self.rows.branches[name] = body["sha"]
        made = {
            "ref": body["ref"],
            "object": {"sha": body["sha"], "type": "commit", "url": "https://x.example"},
        }
        return ApiAnswer(self.schema.complete("git-ref", made), 201)

    def _add_pull(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        branch = body["head"]
        if branch not in self.rows.branches or any(
            row.get("branch") == branch and row["state"] == "open" for row in self.rows.pulls.values()
        ):
            raise ApiError(422, "Validation Failed")
        number = max((*self.rows.pulls, *self.rows.issues), default=0) + 1
        base = self.rows.commits[self.rows.branches[branch]]["parents"][0]
        self.open_pull(
            number, base=base, head=self.rows.branches[branch], title=body["title"], body=body["body"],
            draft=body["draft"], branch=branch, into=body["base"], author="github-actions[bot]",
        )  # fmt: skip  # one row of fields
        return ApiAnswer(self._pull_body("pull-request", number), 201)

    def _dispatch(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        self.rows.dispatches.append({"workflow": path["workflow_id"], **body})
        given = body["inputs"]
        self.rows.runs[self._next_id()] = {
            "name": "kodo fix", "event": "workflow_dispatch", "owner": OWNER, "head_sha": "0" * 40, "conclusion": None,
            "title": f"kodo fix #{given['number']} ({given['command']})",
        }  # fmt: skip  # one row of fields
        return ApiAnswer(None, 204, raw=b"")

    # Files, runs and checks

    def _content(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        ref = request.query_params.get("ref", "HEAD")
        text = self.git.file_at(path["path"], ref) if self.git else self.rows.files.get(path["path"])
        if text is None:
            raise ApiError(404, "Not Found")
        encoded = base64.encodebytes(text.encode()).decode()
        given = {
            "type": "file",
            "encoding": "base64",
            "content": encoded,
            "path": path["path"],
            "name": path["path"],
        }
        return ApiAnswer(self.schema.complete("content-file", given))

    def _run_body(self, number: int) -> dict[str, Any]:
        row = self.rows.runs.get(number)
        if row is None:
            raise ApiError(404, "Not Found")
        owner, attempt = self._person(self.account(row["owner"])), row.get("attempt", 1)
        given = {
            "id": number, "name": row.get("name", "kodo review"), "display_title": row.get("title", "A change"),
            "head_sha": row["head_sha"], "head_branch": "work", "event": row.get("event", "pull_request"),
            "conclusion": row["conclusion"], "status": "queued" if row["conclusion"] is None else "completed",
            "run_attempt": attempt, "run_started_at": _moment(attempt), "pull_requests": [],
            "head_repository": {"full_name": f"{row['owner']}/{NAME}", "owner": owner},
        }  # fmt: skip  # one row of fields
        return self.schema.complete("workflow-run", given)

    def _run(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        return ApiAnswer(self._run_body(path["run_id"]))

    def _runs(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        wanted = {
            key: request.query_params[key]
            for key in ("head_sha", "event", "status")
            if key in request.query_params
        }
        bodies = {number: self._run_body(number) for number in self.rows.runs}
        numbers = [
            number
            for number in sorted(bodies, reverse=True)
            if all(bodies[number][key] == value for key, value in wanted.items())
        ]
        shown, link = page_of(request, [self._run_body(number) for number in numbers])
        return ApiAnswer({"total_count": len(numbers), "workflow_runs": shown}, headers=link)

    def _rerun(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        if self._run_body(path["run_id"])["conclusion"] is None:
            raise ApiError(403, "This workflow is already running")
        row = self.rows.runs[path["run_id"]]
        row |= {"attempt": row.get("attempt", 1) + 1, "conclusion": None}
        self.rows.reruns.append(path["run_id"])
        return ApiAnswer({}, 201)

    def _artifacts(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        wanted = request.query_params.get("name")
        rows = [
            self.schema.complete(
                "artifact",
                {
                    "id": item.id,
                    "name": item.name,
                    "expired": item.expired,
                    "created_at": _moment(item.attempt, "30"),
                },
            )
            for item in self.rows.artifacts
            if item.run == path["run_id"] and wanted in (None, item.name)
        ]
        return ApiAnswer({"total_count": len(rows), "artifacts": rows})

    def _archive(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        location = f"{self.url}/storage/{path['artifact_id']}"
        return ApiAnswer(None, 302, {"location": location}, raw=b"")

    def _storage(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        found = next(item for item in self.rows.artifacts if item.id == path["artifact_id"])
        return ApiAnswer(raw=found.data, headers={"content-type": "application/zip"})

    def _add_check(self, request: Request, path: dict[str, Any], body: Any) -> ApiAnswer:
        self.rows.checks.append(body)
        given = {"id": self._next_id(), "head_sha": body["head_sha"], "name": body["name"], "status": body["status"],
                 "conclusion": body["conclusion"]}  # fmt: skip  # one row of fields
        return ApiAnswer(self.schema.complete("check-run", given), 201)


def _moment(attempt: int, second: str = "00") -> str:
    """A time within an attempt at a run."""
    return f"2026-11-29T12:{attempt:02}:{second}Z"


def _graphql_error(kind: str, message: str) -> ApiAnswer:
    return ApiAnswer({"data": None, "errors": [{"type": kind, "message": message}]})
