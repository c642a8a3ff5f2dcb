"""The clients' own environments, apart from ours: a virtual environment and an npm prefix in a cache folder.

``$KODO_CLIENTS_HOME`` names the folder (default: the platform's cache folder for ``kodo-clients``). What is there is
brought to the newest versions once a day.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

import platformdirs

PROGRAMS = Path(__file__).with_name("programs")
PYTHON_PACKAGES = (
    "openai",
    "openai-agents",
    "langchain-openai",
    "pydantic-ai-slim[openai]",
    "llm",
    "anthropic",
)
NODE_PACKAGES = (
    "node",
    "openai",
    "@openai/codex",
    "ai",
    "@ai-sdk/openai",
    "zod",
    "@anthropic-ai/claude-code",
)
"""``node`` itself is among them: the newest clients need a newer one than many systems have."""
WAIT = 240
"""Seconds a client may take, on a busy machine."""


@dataclass(frozen=True)
class Environments:
    """Where the clients are installed."""

    home: Path

    @property
    def python(self) -> Path:
        """The interpreter that has the Python clients."""
        return self.home / "python" / "bin" / "python"

    @property
    def bin(self) -> Path:
        """The folder of node and the commands that npm installed."""
        return self.home / "node" / "node_modules" / ".bin"

    def version(self, package: str, folder: str) -> str:
        """The version that is installed; ``folder``: ``node`` or ``python``."""
        if folder == "node":
            manifest = self.home / "node" / "node_modules" / package / "package.json"
            return str(json.loads(manifest.read_text())["version"])
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        done = subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def program(self, name: str, check: str, url: str, folder: Path) -> object:
        """What a program of ``programs/`` prints for a check, as a value; its own words where it fails."""
        if name.endswith(".mjs"):
            here = self.home / "node" / "programs"  # Node looks for packages beside the program
            here.mkdir(exist_ok=True)
            command = [self.bin / "node", shutil.copy(PROGRAMS / name, here)]
        else:
            command = [self.python, PROGRAMS / name]
        done = subprocess.run(
            [*command, check, url],
            env=self.environment(folder),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    def environment(self, folder: Path) -> dict[str, str]:
        """The surroundings of a client: nothing of ours, and a home folder of its own."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LLM_USER_PATH": str(folder),
            "OPENAI_API_KEY": "any",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def install() -> Environments:
    """Bring the clients to their newest versions, unless that was done today."""
    given = os.environ.get("KODO_CLIENTS_HOME")
    home = Path(given) if given else Path(platformdirs.user_cache_dir("kodo-clients", appauthor=False))
    home.mkdir(parents=True, exist_ok=True)
    made = Environments(home)
    note = home / "installed.json"
    wanted = json.dumps([datetime.date.today().isoformat(), PYTHON_PACKAGES, NODE_PACKAGES])
    if note.exists() and note.read_text() == wanted:
        return made
    if not made.python.exists():
        venv.create(home / "python", with_pip=True)
    subprocess.run(
        [made.python, "-m", "pip", "install", "--quiet", "--upgrade", *PYTHON_PACKAGES], check=True
    )
    newest = [f"{package}@latest" for package in NODE_PACKAGES]
    subprocess.run(["npm", "install", "--loglevel=error", "--prefix", home / "node", *newest], check=True)
    note.write_text(wanted)
    return made
