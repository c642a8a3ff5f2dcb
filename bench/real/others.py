"""ruff, bandit and mypy on the same changes: what each reports after the change and did not report before it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from kodo.jobs.review.changes import ChangedFile

_TIMEOUT = 180
RUFF_RULES = "E9,F,B,PLE,PLW,S,BLE,ASYNC,DTZ"


def reports(files: list[ChangedFile], root: Path, *, types: bool) -> dict[str, list[str]]:
    """Tool -> its new remarks on the changed Python files; ``types`` runs mypy too."""
    tools: dict[str, Callable[[Path, list[str]], list[str]]] = {"ruff": _ruff, "bandit": _bandit}
    if types:
        tools["mypy"] = _mypy
    changed = [file for file in files if file.language == "python" and file.before is not None]
    out: dict[str, list[str]] = {}
    for name, tool in tools.items():
        sides: list[Counter[str]] = []
        for side in ("before", "after"):
            with tempfile.TemporaryDirectory(prefix="kodo-real-") as folder:
                for file in changed:
                    path = Path(folder) / file.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(
                        (file.before or "") if side == "before" else file.after, errors="surrogateescape"
                    )
                sides.append(Counter(tool(Path(folder), [file.path for file in changed])))
        out[name] = sorted((sides[1] - sides[0]).elements())
    return out


def _ruff(folder: Path, paths: list[str]) -> list[str]:
    options = ["check", "--isolated", "--no-cache", "--exit-zero", "--select", RUFF_RULES, "--ignore", "S101"]
    return _lines(["ruff", *options, "--output-format", "concise", *paths], folder)


def _bandit(folder: Path, paths: list[str]) -> list[str]:
    template = "{relpath}:{line}: {test_id} {msg}"
    return _lines(
        ["bandit", "-q", "--exit-zero", "-s", "B101", "-f", "custom", "--msg-template", template, *paths],
        folder,
    )


def _mypy(folder: Path, paths: list[str]) -> list[str]:
    options = [
        "--ignore-missing-imports",
        "--follow-imports=silent",
        "--no-error-summary",
        "--check-untyped-defs",
    ]
    return _lines(["mypy", *options, "--cache-dir=/dev/null", *paths], folder)


def _lines(command: list[str], folder: Path) -> list[str]:
    """A tool's remarks without their line numbers, so that moved ones are no new ones."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return []
    return [
        re.sub(r":\d+(:\d+)?:", ":", line, count=1)
        for line in done.stdout.splitlines()
        if re.search(r":\d+", line)
    ]
