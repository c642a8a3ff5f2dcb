"""Equal runs in the sandbox are made once: same command, same files, same environment, same limits.

Forty models work on each fault and all begin with the same run of its tests, so most of what a bench runs it has run
before. Only commands that came to their own end in a quarter of their time are kept; what a run says about its seconds
is not that of a run alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from kodo.sandbox import ProcessResult, ResourceLimits, Sandbox

_PLACE = re.compile(r"kodo-(?:fix-bench|near|tests|review)-[A-Za-z0-9_]+")
"""Temporary folders, whose names are other ones each time."""


def reuse_results(folder: Path) -> None:
    """Let :meth:`Sandbox.run` of this process, and of those forked from it, take results from ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Sandbox.run

    def remembered(
        sandbox: Sandbox,
        argv: Sequence[str],
        *,
        project: Path | None = None,
        files: Mapping[str, str | bytes] | None = None,
        limits: ResourceLimits | None = None,
        env: Mapping[str, str] | None = None,
        **more: object,
    ) -> ProcessResult:
        limits = limits or ResourceLimits()
        named = (
            argv,
            sorted((files or {}).items()),
            sorted((env or {}).items()),
            limits,
            sorted(more.items()),
        )
        kept = folder / f"{digest(project, repr(named))}.json"
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=ProcessResult)
        result = run(sandbox, argv, project=project, files=files, limits=limits, env=env, **more)  # type: ignore[arg-type]  # as they came
        if not (result.timed_out or result.truncated) and result.seconds < limits.wall_seconds / 4:
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(msgspec.json.encode(asdict(result)))
            fresh.rename(kept)
        return result

    Sandbox.run = remembered  # type: ignore[method-assign,assignment]  # that is what this module is for


def digest(project: Path | None, named: str) -> str:
    """A name for a run: of all files of its project, their modes, and of what else it is given."""
    found = hashlib.sha256(_PLACE.sub("", named).encode())
    for path in sorted(project.rglob("*")) if project is not None else ():
        kind = b"l" if path.is_symlink() else b"f" if path.is_file() else b"d"
        content = (
            str(path.readlink()).encode() if kind == b"l" else path.read_bytes() if kind == b"f" else b""
        )
        head = f"{path.relative_to(project or path)}\0{path.lstat().st_mode}\0{len(content)}\0".encode()
        found.update(kind + head + content)
    return found.hexdigest()
