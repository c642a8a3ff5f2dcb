"""Errors of commands in the reader's language, wherever they were made.

An error that has both languages says the Japanese itself (``kodo.client.i18n``). The rest is built in English by the client
and the server's store, settings and models, whose Japanese comes from ``errors_ja.toml``, and by jobs and pipelines, which have
theirs in the table of a report's reasons.
"""

from __future__ import annotations

from functools import cache

from kodo.client.i18n import words_of
from kodo.client.phrases import Phrases
from kodo.jobs.report import reasons


def in_lang(text: str, lang: str) -> str:
    """One line about an error, as it was built in English, in ``lang`` (``en`` or ``ja``)."""
    return phrases().in_japanese(text) if lang == "ja" else text


def describe_error(error: BaseException, lang: str) -> str:
    """What an error says, in ``lang``; what nobody has translated, such as a server's own words, stays as it is."""
    return in_lang(words_of(error, lang), lang)


@cache
def phrases() -> Phrases:
    """The English of each error, ``{}`` where something is filled in, and the same in Japanese."""
    return reasons.phrases() | Phrases.from_package("kodo.cli", "errors_ja.toml")
