"""Finds secrets in text that is about to leave, and masks them. Patterns only; nothing is sent anywhere to check.

Only forms with a fixed mark (a prefix, a PEM armour, the name of a setting before the value) are looked for, so
ordinary code, hashes and UUIDs are never masked. A password without a mark is not found. The forms are in
:mod:`kodo.client.secret_forms`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kodo.client.secret_forms import NAMED, TOKENS, Form

_RARE = 200
"""Characters for each occurrence of a mark, above which single occurrences are looked at one by one."""
_SMALL_LETTERS = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Masked:
    """Text (or a JSON value) with its secrets replaced, and the kind of each that was found, in order."""

    value: object
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """A secret: characters ``start`` to ``end``, the end excluded."""

    start: int
    end: int
    kind: str


def mask_text(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace each secret by ``[masked KIND]``; line numbers stay as they are.

    Returns:
        The text and the kinds found, one entry a secret. Masking twice changes nothing more.
    """
    masked, found = mask_pieces([text])
    return masked[0], found


def mask_pieces(pieces: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """As :func:`mask_text` for a text in pieces, such as the deltas of a stream; a secret may go over several.

    The mask stands in the piece where the secret begins.
    """
    text = "".join(pieces)
    spans = _find(text)
    if not spans:
        return list(pieces), ()
    masked: list[str] = []
    begin = at = 0  # at: the first span that ends behind the piece's begin
    for piece in pieces:
        end = begin + len(piece)
        parts: list[str] = []
        here = begin
        while at < len(spans) and spans[at].start < end:
            span = spans[at]
            if span.start >= begin:
                parts.append(text[here : span.start])
                parts.append(f"[masked {span.kind}]" + "\n" * text.count("\n", span.start, span.end))
            here = min(span.end, end)
            if span.end > end:
                break
            at += 1
        parts.append(text[here:end])
        masked.append("".join(parts))
        begin = end
    return masked, tuple(span.kind for span in spans)


def mask(value: object) -> Masked:
    """Mask every string inside a JSON value. Keys of objects stay."""
    found: list[str] = []

    def walk(part: object) -> object:
        if isinstance(part, str):
            text, kinds = mask_text(part)
            found.extend(kinds)
            return text
        if isinstance(part, Mapping):
            return {key: walk(item) for key, item in part.items()}
        if isinstance(part, (list, tuple)):
            return [walk(item) for item in part]
        return part

    return Masked(walk(value), tuple(found))


def _find(text: str) -> list[_Span]:
    """The secrets of a text, in order, without overlaps; a token counts before the name that stands before it."""
    tokens = _without_overlaps([span for form in TOKENS for span in _matches(form, text)])
    small = (
        text.lower() if text.isascii() else text.translate(_SMALL_LETTERS)
    )  # lower() may change the length
    starts = [span.start for span in tokens]

    def is_free(span: _Span) -> bool:
        before = bisect_right(starts, span.end - 1) - 1
        return before < 0 or tokens[before].end <= span.start

    named = [span for form in NAMED for span in _matches(form, small) if is_free(span)]
    return _without_overlaps([*tokens, *named]) if named else tokens


def _matches(form: Form, text: str) -> Iterator[_Span]:
    """All matches of one form. Most texts hold few marks, and ``str.find`` is many times faster than a pattern."""
    count = text.count(form.mark)
    if count == 0:
        return
    group = "v" if "v" in form.pattern.groupindex else 0
    found = form.pattern.finditer(text) if count > len(text) // _RARE else _at_marks(form, text)
    for match in found:
        if text[match.end() : match.end() + 1] != "(":  # a call, such as api_key = settings.load_key_2(...)
            yield _Span(*match.span(group), form.kind)


def _at_marks(form: Form, text: str) -> Iterator[re.Match[str]]:
    at = text.find(form.mark)
    while at >= 0:
        match = form.pattern.match(text, at)
        if match:
            yield match
        at = text.find(form.mark, match.end() if match else at + 1)


def _without_overlaps(spans: list[_Span]) -> list[_Span]:
    """The spans in order; of two that overlap, the one that begins first, or else is longer."""
    kept: list[_Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept
