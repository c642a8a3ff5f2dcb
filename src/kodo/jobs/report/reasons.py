"""Reasons and notes of reports in the reader's language.

They are built in English where something happens: deep in a job, or in the sandbox, where nobody knows who will read
them. Japanese comes from ``reasons_ja.toml``, by the English with its filled-in parts; a text without a row stays as it is.
"""

from __future__ import annotations

from functools import cache

from kodo.client.phrases import Phrases


def in_lang(text: str, lang: str) -> str:
    """A reason or a note, as it was built in English, in ``lang`` (``en`` or ``ja``)."""
    return phrases().in_japanese(text) if lang == "ja" else text


@cache
def phrases() -> Phrases:
    """The English of each reason and note, ``{}`` where something is filled in, and the same in Japanese."""
    return Phrases.from_package("kodo.jobs.report", "reasons_ja.toml")
