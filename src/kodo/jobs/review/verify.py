"""From a draft to a finding, or to the reason why it is none. The only place that makes a `Finding`.

A finding stands on a line that the change touched, its columns are in that line, and its fingerprint is the same
after a re-push and when lines above it come or go: it is made of the path, the rule, the enclosing definition, the
text of the line without its spacing, and a count among equals, but of no line number and no wording.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kodo.jobs.report.model import Evidence, Finding, Place
from kodo.jobs.review import python
from kodo.jobs.review.changes import ChangedFile, split_lines
from kodo.jobs.review.draft import Draft
from kodo.jobs.review.messages import localised

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Verified:
    """A draft that holds."""

    finding: Finding
    draft: Draft


@dataclass(frozen=True, slots=True)
class Rejected:
    """A draft that does not, and why (a short reason that can be counted)."""

    draft: Draft
    reason: str


def introduced(file: ChangedFile, after: Sequence[Draft], before: Sequence[Draft]) -> list[Draft]:
    """The drafts that the change brought: those on the text before it, by rule and line, are taken away.

    Of several equal ones, those on untouched lines are the old ones. A draft outside of every touched line that
    is nevertheless new (an import was removed, its use is further down) is kept.
    """
    if file.before is None:
        return list(after)
    old_lines = split_lines(file.before)
    old = Counter((draft.rule, _line(old_lines, draft.line)) for draft in before)
    kept: list[Draft] = []
    for draft in sorted(after, key=lambda draft: file.touches(draft.line, draft.last)):
        key = (draft.rule, _line(file.lines, draft.line))
        if old[key]:
            old[key] -= 1
        else:
            kept.append(draft)
    return sorted(kept, key=lambda draft: (draft.line, draft.column, draft.rule))


def verify(file: ChangedFile, drafts: Iterable[Draft], lang: str) -> list[Verified | Rejected]:
    """Judge the drafts of one file, in order."""
    module = python.parse(file.after) if file.language == "python" else None
    seen: Counter[str] = Counter()
    results: list[Verified | Rejected] = []
    for draft in drafts:
        placed = _placed(file, draft)
        if isinstance(placed, Rejected):
            results.append(placed)
            continue
        place, related = placed
        definition = module.definition_at(place.line) if module else ""
        text = file.lines[place.line - 1]
        identity = "\0".join((file.path, draft.rule, definition, _SPACE.sub(" ", text).strip()))
        seen[identity] += 1
        digest = hashlib.blake2b(f"kodo 1\0{identity}\0{seen[identity]}".encode("utf-8", "surrogateescape"))
        finding = Finding(
            fingerprint=digest.hexdigest()[:32],
            rule=draft.rule,
            category=draft.category,
            severity=draft.severity,
            place=place,
            message=localised(draft, lang),
            evidence=Evidence(draft.kind, draft.source, draft.detail),
            code=_printable("\n".join(file.lines[place.line - 1 : min(place.end_line, place.line + 7)])),
            definition=definition,
            related=related,
        )
        results.append(Verified(finding, draft))
    return results


def _placed(file: ChangedFile, draft: Draft) -> tuple[Place, tuple[Place, ...]] | Rejected:
    """Where a draft's finding stands, and where else to look."""
    total = len(file.lines)
    if not 1 <= draft.line <= total:
        return Rejected(draft, "no such line")
    last = min(draft.last, total)
    if file.whole or draft.line in file.touched:
        return _exact(file, draft, last), ()
    inside = [line for line in file.touched if draft.line <= line <= last]
    line = min(inside) if inside else _cause(file, draft)
    if line is None:
        return Rejected(draft, "not in the change")
    return Place(file.path, line, line), (Place(file.path, draft.line, last),)


def _exact(file: ChangedFile, draft: Draft, last: int) -> Place:
    """The draft's own place, its columns held inside their lines and its end inside the touched lines."""
    while last > draft.line and last not in file.touched:
        last -= 1
    width = len(file.lines[draft.line - 1])
    column = draft.column if 1 <= draft.column <= width + 1 else 0
    end = draft.end_column if column and draft.end_column and last == draft.last else 0
    if end:
        end = min(end, len(file.lines[last - 1]) + 1)
    if end and last == draft.line and end <= column:
        end = 0
    return Place(file.path, draft.line, last, column, end)


def _cause(file: ChangedFile, draft: Draft) -> int | None:
    """The line in the change that a remark outside of it most likely comes from: where its name was removed."""
    if not draft.symbol:
        return None
    name = re.compile(rf"\b{re.escape(draft.symbol.split('.')[0])}\b")
    for removal in file.removals:
        if any(name.search(line) for line in removal.lines):
            return removal.anchor
    defines = re.compile(rf"\b(?:def|class)\s+{name.pattern}")
    return next((line for line in sorted(file.added) if defines.search(file.lines[line - 1])), None)


def without_twins(drafts: Sequence[Draft]) -> list[Draft]:
    """Drafts without those that say the same.

    They are bandit's where ruff or kodo speaks of those lines, the compiler's second word on a line, and one rule
    twice at one place.
    """
    kept: list[Draft] = []
    taken = {line for draft in drafts if draft.source != "bandit" and draft.category == "security"
             for line in range(draft.line, draft.last + 1)}  # fmt: skip  # reads as one set
    syntax = {draft.line for draft in drafts if draft.rule == "syntax"}
    seen: set[tuple[str, int, int]] = set()
    for draft in drafts:
        if draft.source == "bandit" and taken.intersection(range(draft.line, draft.last + 1)):
            continue
        key = (draft.rule, draft.line, 0 if draft.rule == "syntax" else draft.column)
        if key in seen or (syntax and draft.rule != "syntax" and draft.source == "ruff"):
            continue
        seen.add(key)
        kept.append(draft)
    return kept


def _line(lines: Sequence[str], number: int) -> str:
    return _SPACE.sub(" ", lines[number - 1]).strip() if 1 <= number <= len(lines) else ""


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
