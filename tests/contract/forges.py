"""The forges under one contract: a small repository on each fake, and the adapter that talks to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kodo.ci.change import System
from kodo.ci.connection import connect
from kodo.ci.forge import Forge
from kodo.ci.testing.github import REPOSITORY, FakeGitHub
from kodo.ci.testing.gitlab import PROJECT, FakeGitLab
from kodo.client.retry import RetryPolicy

PATCH = "@@ -1,3 +1,4 @@\n a = 1\n+b = 2\n c = 3\n d = 4"
BASE, HEAD = "a" * 40, "b" * 40
QUICK = RetryPolicy(max_retries=3, base_delay=0.01, max_delay=0.02, max_server_delay=5.0)


@dataclass
class GitHubCase:
    """Pull request 7 with one file, on GitHub."""

    fake: FakeGitHub

    def __post_init__(self) -> None:
        self.fake.open_pull(7, base=BASE, head=HEAD, owner="stranger", labels=["x"])
        rows = self.fake.rows
        rows.patches[7] = {"src/a b.py": PATCH, "image.png": ""}
        rows.files["pyproject.toml"] = "[tool.kodo.ci]\n"
        rows.labels = ["bug", "good first issue"]
        rows.permissions = {"ann": "write", "bob": "read", "root": "admin"}
        rows.issues = {1: self.issue("One"), 2: self.issue("Two", state="closed", labels=["bug"])}

    @staticmethod
    def issue(title: str, *, state: str = "open", labels: list[str] | None = None) -> dict[str, Any]:
        return {"title": title, "body": "text", "state": state, "labels": labels or [], "author": "ann"}

    def connect(self, token: str = "job-2") -> Forge:
        environ = {"GITHUB_TOKEN": token, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": self.fake.url}
        return connect(System.GITHUB, environ, retry=QUICK)

    def finish(self, run: int, data: bytes | None) -> None:
        self.fake.finish_run(run, 7, data)

    def say(self, body: str, *, ours: bool, number: int = 7) -> None:
        self.fake.say(number, "github-actions[bot]" if ours else "ann", body)

    def move_head(self) -> None:
        self.fake.rows.pulls[7]["head"] = "c" * 40

    def line_state(self) -> list[tuple[str, int, str]]:
        return [(row["path"], row["line"], row["body"]) for row in self.fake.rows.line_comments]

    def closed(self) -> list[bool]:
        return [row["resolved"] for row in self.fake.rows.line_comments]

    def runs_again(self) -> int:
        return len(self.fake.rows.reruns)

    def check(self) -> tuple[str, str]:
        row = self.fake.rows.checks[-1]
        return row["head_sha"], row["conclusion"]


@dataclass
class GitLabCase:
    """The same on GitLab."""

    fake: FakeGitLab

    def __post_init__(self) -> None:
        self.fake.open_request(7, base=BASE, head=HEAD, source=99, labels=["x"])
        rows = self.fake.rows
        rows.patches[7] = {"src/a b.py": PATCH, "image.png": ""}
        rows.files["pyproject.toml"] = "[tool.kodo.ci]\n"
        rows.labels = ["bug", "good first issue"]
        for name, level in (("ann", 30), ("bob", 20), ("root", 50)):
            rows.members[self.fake.account(name)] = level
        rows.issues = {1: GitHubCase.issue("One"), 2: GitHubCase.issue("Two", state="closed", labels=["bug"])}

    def connect(self, token: str = "job-2") -> Forge:
        environ = {"KODO_GITLAB_TOKEN": token, "CI_PROJECT_ID": str(PROJECT), "CI_API_V4_URL": self.fake.url}
        return connect(System.GITLAB, environ, retry=QUICK)

    def finish(self, run: int, data: bytes | None) -> None:
        self.fake.finish_pipeline(run, 7, data)

    def say(self, body: str, *, ours: bool, number: int = 7) -> None:
        self.fake.say(number, "kodo_bot" if ours else "ann", body, on_issue=number != 7)

    def move_head(self) -> None:
        self.fake.rows.requests[7]["head"] = "c" * 40

    def line_state(self) -> list[tuple[str, int, str]]:
        rows = [row for row in self.fake.rows.notes if "position" in row]
        return [(row["position"]["new_path"], row["position"]["new_line"], row["body"]) for row in rows]

    def closed(self) -> list[bool]:
        return [row["resolved"] for row in self.fake.rows.notes if "position" in row]

    def runs_again(self) -> int:
        return len(self.fake.rows.pipelines) - 1

    def check(self) -> tuple[str, str]:
        row = self.fake.rows.statuses[-1]
        return row["sha"], {"success": "success", "failed": "failure", "skipped": "neutral"}[row["state"]]


ForgeCase = GitHubCase | GitLabCase
