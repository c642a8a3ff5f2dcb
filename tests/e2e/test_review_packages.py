"""Review of other people's packages as read-only input: nothing crashes, and every position is right."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from kodo.jobs.report.formats import FORMATS
from kodo.jobs.review import PathsSource, ReviewOptions, VersionsSource, review


def folder_of(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.mark.parametrize("package", ["starlette", "click", "junitparser", "unidiff", "filelock"])
def test_a_whole_package_is_reviewed(package: str) -> None:
    """Its files are read and not written, each finding quotes its own line, each format renders."""
    folder = folder_of(package)
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}
    report = review(PathsSource((folder,), folder.parent), ReviewOptions(fixes=False), None)
    assert report.state in {"clean", "findings"}, report.gaps
    assert {item.path for item in report.reviewed} >= {
        path.relative_to(folder.parent).as_posix() for path in stamps
    }
    for finding in report.findings:
        lines = (folder.parent / finding.place.path).read_text(encoding="utf-8").split("\n")
        assert finding.code.split("\n")[0] == lines[finding.place.line - 1]
        assert finding.place.line <= finding.place.end_line <= len(lines)
        assert finding.place.column <= len(lines[finding.place.line - 1]) + 1
    assert len({item.fingerprint for item in report.findings}) == len(report.findings)
    assert all(render(report) for render in FORMATS.values())
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}


def test_real_files_changed_at_random_places() -> None:
    """Lines taken out of real modules at regular places: every finding is on a line of that change."""
    folder = folder_of("starlette")
    before = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    after = {
        name: "".join(line for number, line in enumerate(text.splitlines(keepends=True)) if number % 37 != 5)
        for name, text in before.items()
    }
    report = review(VersionsSource(before, after), ReviewOptions(fixes=False), None)
    assert report.findings
    for finding in report.findings:
        lines = after[finding.place.path].split("\n")
        gone = [
            line for number, line in enumerate(before[finding.place.path].splitlines()) if number % 37 == 5
        ]
        assert gone
        assert finding.code.split("\n")[0] == lines[finding.place.line - 1]
