"""A change in pieces that fit a model's window: by definition where one fits, else by hunk, else by part of a hunk.

Lines carry their numbers after the change and a sign: ``+`` new, ``-`` removed, blank for context. Comments that instruct a
reviewer are taken out; the code beside them stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from kodo.client.request_plan import guess_tokens
from kodo.jobs.review import python
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks.prompt_injection import redact_injections


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of one file: ``text`` as a model reads it, and the lines that a finding may be on."""

    file: ChangedFile
    name: str
    start: int
    end: int
    text: str
    touched: frozenset[int]


def split_file(file: ChangedFile, tokens: int) -> tuple[list[Chunk], list[tuple[int, int]]]:
    """The pieces of a file, each of at most about ``tokens`` tokens, and the touched lines that fit in none."""
    chunks: list[Chunk] = []
    too_long: list[tuple[int, int]] = []
    for name, start, end in _spans(file):
        whole = _chunk(file, name, start, end)
        if not whole.touched:
            continue
        if _tokens(whole.text) <= tokens:
            chunks.append(whole)
            continue
        for part in _parts(file, name, start, end, tokens):
            if _tokens(part.text) <= tokens:
                chunks.append(part)
            else:
                too_long.append((part.start, part.end))
    return chunks, too_long


def _spans(file: ChangedFile) -> list[tuple[str, int, int]]:
    """The touched definitions of a file and the touched lines with text outside of them, with three lines around."""
    total = len(file.lines)
    module = python.parse(file.after) if file.language == "python" else None
    spans: list[tuple[str, int, int]] = []
    covered: set[int] = set()
    for name, node in _outermost(module) if module else []:
        start, end = python.first_line(node), node.end_lineno or node.lineno
        covered.update(range(start, end + 1))
        if file.touches(start, end):
            spans.append((name, start, end))
    rest = sorted(line for line in file.touched - covered if file.lines[line - 1].strip())
    at = 0
    while at < len(rest):
        start = end = rest[at]
        while at < len(rest) and rest[at] <= end + 4:
            end = rest[at]
            at += 1
        spans.append(("", max(1, start - 3), min(total, end + 3)))
    return sorted(spans, key=lambda span: span[1])


def _outermost(module: python.ParsedModule) -> list[tuple[str, python.Function]]:
    """Functions that are in no other function."""
    found = [(name, node) for name, node in module.functions.items() if module.function_of(node) is None]
    return sorted(found, key=lambda item: item[1].lineno)


def _parts(file: ChangedFile, name: str, start: int, end: int, tokens: int) -> Iterator[Chunk]:
    """A span in pieces, cut before the line that would be too much; untouched pieces are left out."""
    at = start
    while at <= end:
        stop = at
        used = sum(map(_tokens, _rows(file, at)))
        while stop < end and (used := used + sum(map(_tokens, _rows(file, stop + 1))) + 1) <= tokens:
            stop += 1
        piece = _chunk(file, name, at, stop)
        if piece.touched:
            yield piece
        at = stop + 1


def _chunk(file: ChangedFile, name: str, start: int, end: int) -> Chunk:
    rows = [row for number in range(start, end + 1) for row in _rows(file, number)]
    return Chunk(file, name, start, end, "\n".join(rows), frozenset(file.touched_between(start, end)))


def _tokens(text: str) -> int:
    """About how many tokens a text is. Many small models make one of each digit."""
    return guess_tokens(text) + sum(map(text.count, "0123456789")) * 7 // 10


def _rows(file: ChangedFile, number: int) -> list[str]:
    """A line as a model reads it, after the lines that were removed there."""
    rows = [
        f"     - {redact_injections(line)}"
        for removal in file.removals_at.get(number, [])
        for line in removal.lines
    ]
    sign = "+" if number in file.added and not file.whole else " "
    return [*rows, f"{number:4} {sign} {redact_injections(file.lines[number - 1])}"]
