"""A real git repository, and both jobs of a pipeline run on it as a pipeline would: the installed command, by variables."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import warm_command

from kodo.ci.testing.github import BOT_ID, NAME, OWNER, REPOSITORY, FakeGitHub

MAIN = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
    "shop/cart.py": '"""A cart."""\n\n\ndef total(prices, amounts):\n    """The sum."""\n    if not prices:\n        return 0\n    return sum(price * amount for price, amount in zip(prices, amounts, strict=True))\n',
    "shop/text.py": '"""Texts."""\n\n\ndef title(text):\n    """In title case."""\n    return text.strip().title()\n',
}
BAD_CART = (
    MAIN["shop/cart.py"]
    + '\n\ndef add(item, cart=[]):\n    """Put an item in."""\n    cart.append(item)\n    return cart\n'
)
BAD_TEXT = MAIN["shop/text.py"] + '\n\ndef run(text):\n    """Evaluate."""\n    return eval(text)\n'


@dataclass
class Shop:
    """The repository of the project, with the branch ``work``."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, root: Path) -> Shop:
        """A repository with one commit on main, and work checked out."""
        root.mkdir(parents=True)
        made = cls(root)
        made.git("init", "-q", "-b", "main")
        made.commit("first", MAIN)
        made.git("checkout", "-q", "-b", "work")
        return made

    def git(self, *args: str) -> str:
        """One git command's output."""
        settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *settings, *args], cwd=self.root, capture_output=True, check=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str, files: dict[str, str | None]) -> str:
        """Write (or, for None, remove) files and commit; returns the commit's id."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    @property
    def base(self) -> str:
        """The tip of main."""
        return self.git("rev-parse", "main")

    @property
    def head(self) -> str:
        """The tip of work."""
        return self.git("rev-parse", "work")


def kodo(folder: Path, environ: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    """The kodo command with only these variables beside PATH and a home of its own."""
    home = (folder.parent if (folder / ".git").exists() else folder) / "home"  # never in what is reviewed
    home.mkdir(exist_ok=True)
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "KODO_HOME": str(home / "kodo"), "KODO_LANG": "en"}
    return warm_command.run(*args, cwd=folder, env={**base, **environ}, timeout=280)


@dataclass
class Pipeline:
    """Job 1 and job 2 for one pull request on a fake GitHub."""

    shop: Shop
    github: FakeGitHub
    folder: Path
    number: int = 7
    runs: int = 0

    def push(self, *, owner: str = OWNER, **more: Any) -> None:
        """Tell GitHub the present head of work."""
        self.github.open_pull(self.number, base=self.shop.base, head=self.shop.head, owner=owner, **more)

    def review(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Job 1, with a token that can only read, on the event as GitHub writes it."""
        pull = self.github._pull_body("pull-request", self.number)
        event = self.folder / "event.json"
        event.write_text(json.dumps({"action": "synchronize", "number": self.number, "pull_request": pull}))
        environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_API_URL": self.github.url,
            "GITHUB_TOKEN": "job-1",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            **variables,
        }
        return kodo(self.shop.root, environ, "ci", "review", "--artifact", str(self.folder / "artifact"))

    def report(self, *args: str, artifact: bytes | str | None = "") -> subprocess.CompletedProcess[str]:
        """The run ends with its artifact, and job 2 is started by it."""
        self.runs += 1
        data = self.zipped() if isinstance(artifact, str) else artifact
        self.github.finish_run(self.runs, self.number, data)
        event = self.folder / "run.json"
        event.write_text(json.dumps({"action": "completed", "workflow_run": {"id": self.runs}}))
        return kodo(self.folder, self.job_2(event), "ci", "report", *args)

    def job_2(self, event: Path) -> dict[str, str]:
        """The variables of job 2."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "workflow_run",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": f"{OWNER}/{NAME}",
            "GITHUB_API_URL": self.github.url,
            "GITHUB_TOKEN": "job-2",
        }

    def zipped(self) -> bytes:
        """The artifact's folder as GitHub zips it."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((self.folder / "artifact").iterdir()):
                archive.write(file, file.name)
        return buffer.getvalue()

    @property
    def sticky(self) -> str:
        """The text of the one comment on the change."""
        ours = [row for row in self.github.rows.comments if row["user"] == BOT_ID]
        [comment] = [row for row in ours if row["body"].startswith("<!-- kodo:review:v1 ")]
        return str(comment["body"])

    def written(self) -> list[str]:
        """What was written since the last time, as METHOD and the path's last words."""
        made = [
            f"{call.method} {call.path.removeprefix(f'/repos/{REPOSITORY}/')}"
            for call in self.github.writes()
        ]
        self.github.calls.clear()
        return made
