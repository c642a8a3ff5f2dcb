"""A change in pieces that fit a model's window: by definition where one fits, else by hunk, else by part of a hunk.

Lines carry their numbers after the change and a sign: ``+`` new, ``-`` removed, blank for context. Comments that instruct a
reviewer are taken out; the code beside them stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from kodo.client.request_plan import guess_tokens
from kodo.jobs.review import python
from kodo.jobs.review.changes import ChangedFile, Removal
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
        if guess_tokens(whole.text) <= tokens:
            chunks.append(whole)
            continue
        for part in _parts(file, name, start, end, tokens):
            if guess_tokens(part.text) <= tokens:
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
    while rest:
        start = end = rest[0]
        while rest and rest[0] <= end + 4:
            end = rest.pop(0)
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
        while stop < end and guess_tokens(_chunk(file, name, at, stop + 1).text) <= tokens:
            stop += 1
        piece = _chunk(file, name, at, stop)
        if piece.touched:
            yield piece
        at = stop + 1


def _chunk(file: ChangedFile, name: str, start: int, end: int) -> Chunk:
    removals: dict[int, list[Removal]] = {}
    for removal in file.removals:
        removals.setdefault(removal.anchor, []).append(removal)
    rows: list[str] = []
    for number in range(start, end + 1):
        for removal in removals.get(number, []):
            rows += [f"     - {redact_injections(line)}" for line in removal.lines]
        sign = "+" if number in file.added and not file.whole else " "
        rows.append(f"{number:4} {sign} {redact_injections(file.lines[number - 1])}")
    touched = frozenset(line for line in file.touched if start <= line <= end)
    return Chunk(file, name, start, end, "\n".join(rows), touched)
