"""Codex CLI as a user sets it up for a local server: configurations, a run, its events."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.environments import WAIT, Environments

MODEL = "codex-mini-latest"
TRIMMED = """
model_instructions_file = "{folder}/instructions.md"
web_search = "disabled"
model_context_window = 8192
model_auto_compact_token_limit = 7000
[features]
multi_agent = false
goals = false
view_image = false
[skills.bundled]
enabled = false
"""
"""What makes the base prompt fit a window of 8,192 tokens; docs/guides/clients.md shows the same lines."""


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of ``--json``."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Completed items of a type."""
        return [
            event["item"]
            for event in self.events
            if event["type"] == "item.completed" and event["item"]["type"] == kind
        ]


class Codex:
    """One user of Codex CLI: a home folder and a folder to work in."""

    def __init__(
        self, clients: Environments, folder: Path, url: str, top: str = "", provider: str = "", more: str = ""
    ) -> None:
        self._clients = clients
        self._home = folder / "codex"
        self._home.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        (self._home / "instructions.md").write_text("You are a helpful assistant.\n")
        (self._home / "config.toml").write_text(
            f'model = "{MODEL}"\nmodel_provider = "kodo"\n'
            + top.replace("{folder}", str(self._home))
            + f'\n[model_providers.kodo]\nname = "kodo"\nbase_url = "{url}/v1"\nenv_key = "OPENAI_API_KEY"\n'
            + f'wire_api = "responses"\n{provider}\n{more}'
        )

    def sessions(self) -> list[Path]:
        """The histories it keeps."""
        return list(self._home.rglob("rollout-*.jsonl"))

    def exec(self, *arguments: str) -> Ran:
        """``codex exec`` in the work folder, without a sandbox: scripts decide what it runs, and they only write there."""
        done = subprocess.run(
            [
                self._clients.bin / "codex",
                "exec",
                "--skip-git-repo-check",
                "--dangerously-bypass-approvals-and-sandbox",
                *arguments,
            ],
            cwd=self.work,
            env={**self._clients.environment(self._home), "CODEX_HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)
