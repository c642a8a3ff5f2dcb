"""Review by a capable model: it fills a strict schema for each piece, and may correct itself once.

Every entry is held against the piece: the line must be one of its touched lines and the quote that line's code. What
does not fit is sent back once with the reasons; what still does not is dropped and counted.
"""

from collections.abc import Iterator, Sequence

import msgspec

from kodo.jobs.report.model import Category, EvidenceKind, Finding, Severity
from kodo.jobs.review.candidate import Candidate, Edit
from kodo.jobs.review.checks.prompt_injection import redact_injections
from kodo.jobs.review.chunks import Chunk
from kodo.jobs.review.languages import DISPLAY_NAMES
from kodo.jobs.review.model_asker import ModelAsker
from kodo.jobs.review.prompt_templates import LANGUAGE_NAMES, canary_for, prompt

OVERHEAD_TOKENS = 1800
"""Tokens of a request besides the piece: instructions, template, known findings, answer."""
MAX_REQUESTS_PER_CHUNK = 2
"""Requests about one piece: an answer and its repair."""
_ANSWER = 1200
SCHEMA: dict[str, object] = {
    "title": "findings",
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "line": {"type": "integer"},
                    "quote": {"type": "string"},
                    "class": {"type": "string", "enum": [category.value for category in Category]},
                    "severity": {"type": "string", "enum": [severity.value for severity in Severity]},
                    "message": {"type": "string"},
                    "replacement": {"type": ["string", "null"]},
                },
                "required": ["line", "quote", "class", "severity", "message", "replacement"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["findings"],
    "additionalProperties": False,
}


class _Entry(msgspec.Struct):
    line: int
    quote: str
    category: Category = msgspec.field(name="class")
    severity: Severity
    message: str
    replacement: str | None = None


class _Answer(msgspec.Struct):
    findings: list[_Entry]


def findings(
    chunks: Sequence[Chunk], found: Sequence[Finding], asker: ModelAsker
) -> Iterator[tuple[Chunk, list[Candidate]]]:
    """Each piece with the candidates the model has for it. Raises what ``ModelAsker.ask`` raises."""
    for chunk in chunks:
        yield chunk, _about(chunk, found, asker)


def _about(chunk: Chunk, found: Sequence[Finding], asker: ModelAsker) -> list[Candidate]:
    here = [
        item
        for item in found
        if item.place.path == chunk.file.path and chunk.start <= item.place.line <= chunk.end
    ]
    known = "\n".join(f"- line {item.place.line}: {_one_line(item.message)}" for item in here) or "- nothing"
    canary = canary_for(chunk.text)
    instructions = prompt("findings.md").format(
        language=DISPLAY_NAMES[chunk.file.language],
        path=_one_line(chunk.file.path),
        canary=canary,
        tongue=LANGUAGE_NAMES[asker.options.lang],
        known=known,
    )
    text = f"CODE\n{chunk.text}\n"
    candidates, reasons = _read(
        chunk, asker.ask(instructions, text, schema=SCHEMA, tokens=_ANSWER).text, canary, asker
    )
    if reasons:
        complaint = prompt("repair.md").format(reasons="\n".join(f"- {reason}" for reason in reasons))
        candidates, reasons = _read(
            chunk,
            asker.ask(f"{instructions}\n{complaint}", text, schema=SCHEMA, tokens=_ANSWER).text,
            canary,
            asker,
        )
        asker.rejected.update(reason.partition(":")[2].strip() for reason in reasons)
    known_at = {(item.place.line, item.category) for item in here}
    return [candidate for candidate in candidates if (candidate.line, candidate.category) not in known_at]


def _one_line(text: str) -> str:
    """Words that come from the code under review, as they may stand among instructions."""
    return redact_injections(" ".join(text.split()))[:300]


def _read(chunk: Chunk, text: str, canary: str, asker: ModelAsker) -> tuple[list[Candidate], list[str]]:
    """The entries that hold, and why the others do not (``where: why``)."""
    try:
        entries = msgspec.json.decode(text, type=_Answer).findings
    except msgspec.MsgspecError:
        return [], ["answer: not in the form of the schema"]
    candidates: list[Candidate] = []
    reasons: list[str] = []
    for entry in entries:
        line = _line(chunk, entry)
        if line is None:
            reasons.append(f"line {entry.line}: quote and line are not in the change")
        elif canary in entry.message or canary in (entry.replacement or "") or not entry.message.strip():
            reasons.append(f"line {entry.line}: the message repeats the instructions or is empty")
        else:
            candidates.append(_candidate(chunk, entry, line, asker.model))
    return candidates, reasons


def _line(chunk: Chunk, entry: _Entry) -> int | None:
    """The touched line that an entry means: by its number if the quote fits, else the one line with the quote."""
    quote = " ".join(entry.quote.split()).lstrip("+ ").strip()
    same = [line for line in chunk.touched if " ".join(chunk.file.lines[line - 1].split()) == quote]
    if entry.line in same:
        return entry.line
    return same[0] if len(same) == 1 and quote else None


def _candidate(chunk: Chunk, entry: _Entry, line: int, model: str) -> Candidate:
    edits: tuple[Edit, ...] = ()
    if entry.replacement is not None:
        text = entry.replacement.rstrip("\n")
        edits = (Edit(line, 1, line + 1, 1, f"{text}\n" if text else ""),)
    return Candidate(
        rule=f"model/{entry.category}",
        category=entry.category,
        severity=entry.severity,
        line=line,
        message=" ".join(entry.message.split())[:600],
        source=model,
        detail="filled in by the model; its quote was found on this line",
        kind=EvidenceKind.OPINION,
        edits=edits,
    )
