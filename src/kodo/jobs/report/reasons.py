"""Reasons and notes of reports in the reader's language.

They are built in English where something happens: deep in a job, or in the sandbox, where nobody knows who will read
them. Japanese comes from ``reasons_ja.toml``, by the English with its filled-in parts; a text without a row stays as it is.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

_HOLE = "{}"
_JOINED = ": "


def in_lang(text: str, lang: str) -> str:
    """A reason or a note, as it was built in English, in ``lang`` (``en`` or ``ja``)."""
    return _japanese(text) if lang == "ja" else text


def _japanese(text: str) -> str:
    exact, patterns = _table()
    if text in exact:
        return exact[text]
    for pattern, translation in patterns:
        if match := pattern.fullmatch(text):
            return translation.format(*map(_japanese, match.groups()))
    head, joined, tail = text.partition(_JOINED)
    return f"{exact.get(head) or _by_pattern(head)}{joined}{_japanese(tail)}" if joined else text


def _by_pattern(text: str) -> str:
    """A part of a text by a row with holes, else as it is."""
    for pattern, translation in _table()[1]:
        if match := pattern.fullmatch(text):
            return translation.format(*match.groups())
    return text


def _pattern(row: str) -> re.Pattern[str]:
    """A row with holes; the first one stands for no more than a part, so that the parts in front of a row are looked up."""
    first, *others = map(re.escape, row.split(_HOLE))
    return re.compile(f"{first}((?:(?!{_JOINED}).)+?)" + "(.+?)".join(others))


@cache
def _table() -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """The rows without holes, and those with some, the ones with most words of their own first."""
    text = files("kodo.jobs.report").joinpath("reasons_ja.toml").read_text(encoding="utf-8")
    rows: dict[str, str] = tomllib.loads(text)
    holed = sorted(
        (row for row in rows if _HOLE in row), key=lambda row: len(row.replace(_HOLE, "")), reverse=True
    )
    return (
        {row: rows[row] for row in rows if _HOLE not in row},
        [(_pattern(row), rows[row]) for row in holed],
    )
