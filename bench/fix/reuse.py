"""Equal work is done once: runs in the sandbox of the same command and files, and reviews of the same patch.

Fifty-eight models work on each fault and all begin with the same run of its tests, so most of what a bench runs it has
run before. Names that are other ones each time do not count: those of temporary folders, and the random one of a file of
counter-tests, which is put back into what is taken from here. Only commands that came to their own end in a quarter of
their time are kept; what a run says about its seconds is not that of a run alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import msgspec

import kodo
from kodo.jobs.fix import proof
from kodo.jobs.report.model import ReviewReport
from kodo.jobs.review import DiffSource, ReviewOptions, review
from kodo.sandbox import ProcessResult, ResourceLimits, Sandbox

_PLACE = re.compile(r"kodo-(?:fix-bench|near|tests|review)-[A-Za-z0-9_]+")
"""Temporary folders, whose names are other ones each time."""
_COUNTER_TESTS = re.compile(r"test_([0-9a-f]{12})\.py")
"""The file of the counter-tests; the letters are in the names of its functions too."""
_MARK = "mark-of-counter-tests"
_UNFINISHED = ".unfinished"
"""A file that a review is writing for a run that has begun: it gets its name when it is whole."""
_WORKING = ("sandbox", "jobs/execution", "jobs/review", "jobs/report")
"""The folders of kodo whose code runs in the sandbox or makes a review; the rules of a fix are not among them."""


def reuse_results(folder: Path) -> None:
    """Let this process, and those forked from it, take results of the sandbox and reviews from ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    code = source_digest(*(Path(kodo.__file__).parent / name for name in _WORKING))
    _reuse_runs(folder, code)
    _reuse_reviews(folder, code)


def _reuse_runs(folder: Path, code: str) -> None:
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
        given = (sorted((files or {}).items()), sorted((env or {}).items()), limits, sorted(more.items()))
        found = _COUNTER_TESTS.search(repr(argv))
        mark = found[1] if found else _MARK
        kept = folder / f"{digest(project, repr((code, argv, given)), mark)}.json"
        if kept.exists():
            result = msgspec.json.decode(kept.read_bytes(), type=ProcessResult)
            return replace(result, stdout=result.stdout.replace(_MARK, mark))
        result = run(sandbox, argv, project=project, files=files, limits=limits, env=env, **more)  # type: ignore[arg-type]  # as they came
        if not (result.timed_out or result.truncated) and result.seconds < limits.wall_seconds / 4:
            unmarked = replace(result, stdout=result.stdout.replace(mark, _MARK))
            _keep(kept, msgspec.json.encode(asdict(unmarked)))
        return result

    Sandbox.run = remembered  # type: ignore[method-assign,assignment]  # that is what this module is for


def _reuse_reviews(folder: Path, code: str) -> None:
    def remembered(source: DiffSource, options: ReviewOptions, _: None) -> ReviewReport:
        named = repr((code, source.diff, options.run, options.run_seconds, options.fixes))
        kept = folder / f"{digest(source.root, named)}.review.json"
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=ReviewReport)
        report = review(source, options, None)
        _keep(kept, msgspec.json.encode(report))
        return report

    proof.review = remembered  # type: ignore[attr-defined,assignment]  # that is what this module is for


def _keep(path: Path, content: bytes) -> None:
    """Write a file that is there at once with all of its content; several processes may do so."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(content)
    fresh.rename(path)


def digest(project: Path | None, named: str, mark: str = _MARK) -> str:
    """A name for a run: of all files of its project, their modes, and of what else it is given, each without the mark."""
    found = hashlib.sha256(_PLACE.sub("", named).replace(mark, _MARK).encode())
    if project is not None:
        whole = (path for path in project.rglob("*") if path.suffix != _UNFINISHED)
        for row in sorted(_row(project, path, mark) for path in whole):
            found.update(row)
    return found.hexdigest()


def _row(project: Path, path: Path, mark: str) -> bytes:
    kind = b"l" if path.is_symlink() else b"f" if path.is_file() else b"d"
    content = str(path.readlink()).encode() if kind == b"l" else path.read_bytes() if kind == b"f" else b""
    name = path.relative_to(project).as_posix().replace(mark, _MARK)
    content = content.replace(mark.encode(), _MARK.encode())
    return f"{name}\0{path.lstat().st_mode}\0{len(content)}\0".encode() + kind + content


def source_digest(*folders: Path) -> str:
    """Which code that is: the beginning of a digest of all Python files in some folders."""
    found = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:8]
