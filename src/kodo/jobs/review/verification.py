"""From a candidate to a finding, or to the reason for its rejection. The only place that makes a ``Finding``.

A finding stands on a line that the change touched, its columns are in that line, and its fingerprint is the same
after a re-push and when lines above it come or go: it is made of the path, the rule, the enclosing definition, the
text of the line without its spacing, and a count among equals, but of no line number and no wording.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kodo.jobs.job import Rejected, Result, Verified
from kodo.jobs.report.model import Category, Evidence, Finding, Place
from kodo.jobs.review import python
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile, split_lines
from kodo.jobs.review.messages import localised

_SPACE = re.compile(r"\s+")


HOW = "placed on a line of the change"


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding with its place, and the candidate it was made from (whose edits may become its fix)."""

    finding: Finding
    candidate: Candidate


def introduced(file: ChangedFile, after: Sequence[Candidate], before: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that the change brought: those on the text before it, by rule and line, are taken away.

    Of several equal ones, those on untouched lines are the old ones. A candidate outside of every touched line that
    is nevertheless new (an import was removed, its use is further down) is kept. A matter of style is also the old one where
    its line is another one and what it is about is not: the same words, such as the name of a definition.
    """
    if file.before is None:
        return list(after)
    old_lines = split_lines(file.before)
    old = Counter((candidate.rule, _line(old_lines, candidate.line)) for candidate in before)
    kept: list[Candidate] = []
    for candidate in sorted(after, key=lambda candidate: file.touches(candidate.line, candidate.last)):
        key = (candidate.rule, _line(file.lines, candidate.line))
        if old[key]:
            old[key] -= 1
        else:
            kept.append(candidate)
    style = Counter(
        (one.rule, words)
        for one in before
        if one.category is Category.READABILITY and (words := _words(old_lines, one))
    )
    same = Counter((one.rule, _words(file.lines, one)) for one in after)
    kept = [one for one in kept if same[key := (one.rule, _words(file.lines, one))] > style[key]]
    return sorted(kept, key=lambda candidate: (candidate.line, candidate.column, candidate.rule))


def verify(file: ChangedFile, candidates: Iterable[Candidate], lang: str) -> list[Result[PlacedFinding]]:
    """Judge the candidates of one file, in order; a rejection names its reason in a few words that can be counted."""
    module = python.parse(file.after) if file.language == "python" else None
    seen: Counter[str] = Counter()
    results: list[Result[PlacedFinding]] = []
    for candidate in candidates:
        placed = _placed(file, candidate)
        if isinstance(placed, Rejected):
            results.append(placed)
            continue
        place, related = placed
        definition = module.definition_at(place.line) if module else ""
        text = file.lines[place.line - 1]
        identity = "\0".join((file.path, candidate.rule, definition, _SPACE.sub(" ", text).strip()))
        seen[identity] += 1
        digest = hashlib.blake2b(f"kodo 1\0{identity}\0{seen[identity]}".encode("utf-8", "surrogateescape"))
        finding = Finding(
            fingerprint=digest.hexdigest()[:32],
            rule=candidate.rule,
            category=candidate.category,
            severity=candidate.severity,
            place=place,
            message=localised(candidate, lang),
            evidence=Evidence(candidate.kind, candidate.source, candidate.detail),
            code=_printable("\n".join(file.lines[place.line - 1 : min(place.end_line, place.line + 7)])),
            definition=definition,
            related=related,
        )
        results.append(Verified(PlacedFinding(finding, candidate), HOW))
    return results


def _placed(file: ChangedFile, candidate: Candidate) -> tuple[Place, tuple[Place, ...]] | Rejected:
    """Where a candidate's finding stands, and where else to look."""
    total = len(file.lines)
    if not 1 <= candidate.line <= total:
        return Rejected("no such line", candidate.message)
    last = min(candidate.last, total)
    if file.whole or candidate.line in file.touched:
        return _exact(file, candidate, last), ()
    inside = [line for line in file.touched if candidate.line <= line <= last]
    line = min(inside) if inside else _cause(file, candidate)
    if line is None:
        return Rejected("not in the change", candidate.message)
    return Place(file.path, line, line), (Place(file.path, candidate.line, last),)


def _exact(file: ChangedFile, candidate: Candidate, last: int) -> Place:
    """The candidate's own place, its columns held inside their lines and its end inside the touched lines."""
    while last > candidate.line and last not in file.touched:
        last -= 1
    width = len(file.lines[candidate.line - 1])
    column = candidate.column if 1 <= candidate.column <= width + 1 else 0
    end = candidate.end_column if column and candidate.end_column and last == candidate.last else 0
    if end:
        end = min(end, len(file.lines[last - 1]) + 1)
    if end and last == candidate.line and end <= column:
        end = 0
    return Place(file.path, candidate.line, last, column, end)


def _cause(file: ChangedFile, candidate: Candidate) -> int | None:
    """The line in the change that a remark outside of it most likely comes from: where its name was removed."""
    if not candidate.symbol:
        return None
    name = re.compile(rf"\b{re.escape(candidate.symbol.split('.')[0])}\b")
    for removal in file.removals:
        if any(name.search(line) for line in removal.lines):
            return removal.anchor
    defines = re.compile(rf"\b(?:def|class)\s+{name.pattern}")
    return next((line for line in sorted(file.added) if defines.search(file.lines[line - 1])), None)


def without_duplicates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Remove duplicate candidates.

    Duplicates are bandit's candidates on lines that have a security candidate of another analyser, ruff's on a file
    that does not parse, a second syntax error on a line, and a rule that is reported twice at one place.
    """
    kept: list[Candidate] = []
    taken = {line for candidate in candidates if candidate.source != "bandit" and candidate.category == "security"
             for line in range(candidate.line, candidate.last + 1)}  # fmt: skip  # reads as one set
    syntax = {candidate.line for candidate in candidates if candidate.rule == "syntax"}
    seen: set[tuple[str, int, int]] = set()
    for candidate in candidates:
        if candidate.source == "bandit" and taken.intersection(range(candidate.line, candidate.last + 1)):
            continue
        key = (candidate.rule, candidate.line, 0 if candidate.rule == "syntax" else candidate.column)
        if key in seen or (syntax and candidate.rule != "syntax" and candidate.source == "ruff"):
            continue
        seen.add(key)
        kept.append(candidate)
    return kept


def _words(lines: Sequence[str], candidate: Candidate) -> str:
    """What a candidate is about, where that is a part of one line; "" for all others."""
    if candidate.last != candidate.line or not 0 < candidate.column < candidate.end_column:
        return ""
    return lines[candidate.line - 1][candidate.column - 1 : candidate.end_column - 1]


def _line(lines: Sequence[str], number: int) -> str:
    return _SPACE.sub(" ", lines[number - 1]).strip() if 1 <= number <= len(lines) else ""


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
