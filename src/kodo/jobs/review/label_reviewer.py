"""Review by a small model: it chooses among labels and phrases an explanation; code builds the candidate.

Such a model has favourite labels, whatever it reads, so each chunk is asked twice, the labels in opposite orders, and
only an agreement counts; and a label that it also gives to code known to be good (``prompts/calibration``) is not used
at all. Measured with SmolLM2-135M: yes-or-no questions about a defect are answered no better than by chance (0.47 to
0.66 of pairs), so silence is the usual outcome, and an opinion here is never more than ``info``.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from kodo.jobs.report.model import Category, EvidenceKind, Finding, Severity
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.chunks import Chunk
from kodo.jobs.review.languages import DISPLAY_NAMES
from kodo.jobs.review.model_asker import ModelAsker
from kodo.jobs.review.prompt_templates import LANGUAGE_NAMES, prompt

if TYPE_CHECKING:
    from kodo.client.session import Session

OVERHEAD_TOKENS = 400
"""Tokens of a request besides the piece: instructions, template, answer."""
MAX_REQUESTS_PER_CHUNK = 3
"""Requests about one piece: two labels and a sentence."""
UNTRUSTED_LABEL = "label also given to good code"
LABELS = {
    "fine": "fine: the change is right",
    "bug": "bug: a wrong result or a crash",
    "security": "security: a hole that an attacker can use",
    "performance": "performance: needlessly slow",
    "readability": "readability: hard to read",
}
MAX_SHARE_ON_GOOD_CODE = 1 / 3
_CALIBRATIONS: "WeakKeyDictionary[Session, dict[str, frozenset[str]]]" = WeakKeyDictionary()
"""The labels that are trusted, by session and model. The model does not change under a session, as far as it knows."""


def findings(
    chunks: Sequence[Chunk], found: Sequence[Finding], asker: ModelAsker
) -> Iterator[tuple[Chunk, list[Candidate]]]:
    """Each piece with the candidates the model has for it (mostly none). Raises what ``ModelAsker.ask`` raises."""
    if not chunks:
        return
    trusted = _calibrated(asker)
    for chunk in chunks:
        yield chunk, list(_about(chunk, found, trusted, asker)) if trusted else []


def _calibrated(asker: ModelAsker) -> frozenset[str]:
    """The labels to be believed; asked once a session and model, however many reviews there are in it."""
    known = _CALIBRATIONS.setdefault(asker.session, {})
    name = asker.options.model
    if name not in known:
        known[name] = _trusted(asker)
    if len(known[name]) < len(LABELS) - 1:
        asker.rejected[UNTRUSTED_LABEL] += 1
    return known[name]


def _trusted(asker: ModelAsker) -> frozenset[str]:
    """The labels that the model does not give to good code more than once in three."""
    good = _good_code()
    label_counts = Counter(_label(text, "python", list(LABELS), asker) for text in good)
    trusted = frozenset(
        name for name in LABELS if name != "fine" and label_counts[name] <= MAX_SHARE_ON_GOOD_CODE * len(good)
    )
    return trusted if label_counts["fine"] else frozenset()


def calibrations() -> int:
    """How many requests go to code that is known to be good."""
    return len(_good_code())


def _good_code() -> list[str]:
    return prompt("calibration/python.txt").split("====\n")


def _label(text: str, language: str, order: Sequence[str], asker: ModelAsker) -> str:
    """The label the model chooses, held to the list by a schema; "" where the server did not hold it."""
    rows = "\n".join(f"- {LABELS[name]}" for name in order)
    instructions = prompt("label.md").format(language=DISPLAY_NAMES[language], labels=rows)
    schema: dict[str, object] = {
        "title": "label",
        "type": "object",
        "properties": {"label": {"type": "string", "enum": list(order)}},
        "required": ["label"],
        "additionalProperties": False,
    }
    answer = asker.ask(instructions, text, schema=schema, tokens=24)
    try:
        label = json.loads(answer.text)["label"]
    except (ValueError, KeyError, TypeError):
        asker.rejected["not a label"] += 1
        return ""
    return label if label in LABELS else ""


def _about(
    chunk: Chunk, found: Sequence[Finding], trusted: frozenset[str], asker: ModelAsker
) -> Iterator[Candidate]:
    order = list(LABELS)
    label = _label(chunk.text, chunk.file.language, order, asker)
    if label not in trusted:
        return
    if _label(chunk.text, chunk.file.language, order[::-1], asker) != label:
        asker.rejected["labels disagree"] += 1
        return
    if any(
        item.place.path == chunk.file.path and chunk.start <= item.place.line <= chunk.end for item in found
    ):
        asker.rejected["known already"] += 1  # an analyser said more about this piece
        return
    instructions = prompt("explain.md").format(
        language=DISPLAY_NAMES[chunk.file.language], label=label, tongue=LANGUAGE_NAMES[asker.options.lang]
    )
    sentence = " ".join(asker.ask(instructions, chunk.text, schema=None, tokens=60).text.split())
    first = sentence.partition(". ")[0].strip()
    yield Candidate(
        rule=f"model/{label}",
        category=Category(label),
        severity=Severity.INFO,
        line=min(chunk.touched),
        message=first[:200] or LABELS[label],
        source=asker.model,
        detail=f"label {label!r}, twice, with the labels in opposite orders",
        kind=EvidenceKind.OPINION,
    )
