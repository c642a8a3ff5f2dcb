"""``kodo ci describe``: a title, a summary, a walkthrough and a changelog line, from the diff and what execution showed.

Without a model: what is said is counted or was observed. Texts of commits and names of files are data and stand escaped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from kodo.jobs.report.markdown import code_span, escaped, fenced
from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport
from kodo.jobs.report.visible import one_line, visible
from kodo.jobs.review.changes import sections, split_lines
from kodo.jobs.review.git import Repository

MAX_FILES = 60
MAX_TITLE = 72
_FUNCTION = re.compile(r"^@@ [^@]* @@\s*(?:(?:async\s+)?def|class|function|func|fn)\s+([\w.]+)", re.MULTILINE)
_DEFINED = re.compile(
    r"^\+\s*(?:export\s+)?(?:async\s+)?(?:def|class|function|func|fn)\s+([\w.]+)", re.MULTILINE
)
_FIX = re.compile(r"\b(?:fix(?:e[sd])?|mend|repair|correct|bug|regression)\b|修正|不具合|バグ", re.IGNORECASE)
_ADD = re.compile(r"\b(?:add(?:s|ed)?|new|introduce[sd]?|support)\b|追加|新規|対応", re.IGNORECASE)
_REMOVE = re.compile(r"\b(?:remove[sd]?|delete[sd]?|drop(?:s|ped)?)\b|削除|廃止", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileSummary:
    """One changed file: its lines, and the definitions whose lines changed."""

    path: str
    status: str
    added: int
    removed: int
    definitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """What a change consists of."""

    files: tuple[FileSummary, ...]
    subjects: tuple[str, ...]


def summarise(repository: Repository, base: str, head: str) -> ChangeSummary:
    """Read the diff and the commits' subjects. Raises GitError."""
    start = repository.merge_base(repository.commit(base), repository.commit(head))
    end = repository.commit(head)
    entries = repository.entries(start, end)
    parts = sections(repository.diff(start, end))
    files = tuple(_file(entry.path, entry.status, part) for entry, part in zip(entries, parts, strict=True))
    log = repository.run(
        "log", "--no-show-signature", "--format=%s", "-z", "--max-count=200", f"{start}..{end}"
    )
    subjects = tuple(one_line(raw.decode("utf-8", "replace")) for raw in log.split(b"\0") if raw)
    return ChangeSummary(files, tuple(reversed(subjects)))


def title_of(change: ChangeSummary) -> str:
    """One line of at most 72 characters: the only commit's subject, else what changed where."""
    if len(change.subjects) == 1:
        return _short(change.subjects[0])
    names = list(dict.fromkeys(name for file in change.files for name in file.definitions))
    if names:
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return _short(f"Change {', '.join(names[:2])}{more}")
    folders = Counter(str(PurePosixPath(file.path).parent) for file in change.files)
    where = folders.most_common(1)[0][0] if folders else "."
    return _short(f"Change {len(change.files)} files" + (f" in {where}" if where != "." else ""))


def changelog_line(change: ChangeSummary, number: int = 0) -> str:
    """A line for a changelog, under one of its usual headings."""
    text = " ".join(change.subjects) or title_of(change)
    kinds = {"Fixed": _FIX, "Removed": _REMOVE, "Added": _ADD}
    kind = next((name for name, pattern in kinds.items() if pattern.search(text)), "Changed")
    return f"{kind}: {escaped(title_of(change))}{f' (#{number})' if number else ''}"


def render_description(change: ChangeSummary, report: ReviewReport | None = None, number: int = 0) -> str:
    """The description in Markdown."""
    added, removed = (sum(getattr(file, side) for file in change.files) for side in ("added", "removed"))
    lines = [f"# {escaped(title_of(change))}", ""]
    lines += [
        f"{len(change.files)} files, {added} lines added, {removed} removed, {len(change.subjects)} commits.",
        "",
    ]
    lines += ["## Walkthrough", "", "| file | | lines | definitions |", "|---|---|---|---|"]
    for file in change.files[:MAX_FILES]:
        names = ", ".join(code_span(name) for name in file.definitions[:6])
        path = code_span(one_line(file.path)).replace("|", "\\|")
        lines.append(f"| {path} | {file.status} | +{file.added} -{file.removed} | {names} |")
    if len(change.files) > MAX_FILES:
        lines += ["", f"{len(change.files) - MAX_FILES} more files."]
    lines += ["", *_observed(report)]
    lines += ["## Changelog", "", f"- {changelog_line(change, number)}", ""]
    return "\n".join(lines)


def _observed(report: ReviewReport | None) -> list[str]:
    """What running both versions showed."""
    if report is None or report.executed is None:
        return []
    run = report.executed
    lines = ["## What execution showed", ""]
    lines += [
        f"{len(run.functions)} functions were run in both versions on {run.inputs} inputs; {run.differences} calls differ.",
        "",
    ]
    for finding in _by_execution(report.findings):
        place = code_span(f"{finding.place.path}:{finding.place.line}")
        lines += [f"- {place} {escaped(finding.message)}", ""]
        if finding.evidence.detail:
            lines += [fenced(visible(finding.evidence.detail)[:2_000], ""), ""]
    return lines


def _by_execution(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.evidence.kind is EvidenceKind.EXECUTION][:20]


_STATUSES: Mapping[str, str] = {
    "A": "new",
    "M": "changed",
    "D": "removed",
    "R": "renamed",
    "C": "copied",
    "T": "another type",
}


def _file(path: str, status: str, part: str) -> FileSummary:
    lines = split_lines(part)
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    names = dict.fromkeys([*_FUNCTION.findall(part), *_DEFINED.findall(part)])
    return FileSummary(one_line(path), _STATUSES.get(status, "changed"), added, removed, tuple(names))


def _short(text: str) -> str:
    text = " ".join(one_line(text).split())
    return text if len(text) <= MAX_TITLE else text[: MAX_TITLE - 1].rstrip() + "…"
