"""The installed `kodo` command as the end-to-end tests run it: a process of its own, a home of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import warm_command
from tests.warm_command import KODO


@dataclass(frozen=True)
class Kodo:
    """Runs `kodo` with a KODO_HOME in `home`, talking to `base_url`; the caller's own settings are kept out."""

    home: Path
    base_url: str

    @property
    def env(self) -> dict[str, str]:
        """The environment of the process."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KODO_", "OPENAI_", "LC_"))
        }
        return {
            **kept,
            "KODO_HOME": str(self.home),
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": "sk-test",
            "LANG": "C.UTF-8",
        }

    def run(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return warm_command.run(*arguments, env={**self.env, **(env or {})}, stdin=stdin)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [KODO, *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
