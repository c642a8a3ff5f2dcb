"""Errors of commands in the reader's language, wherever they were made.

An error that has both languages says the Japanese itself (``kodo.client.i18n``). The rest is built in English by the client,
the jobs and the server's store, settings and models; Japanese comes from ``errors_ja.toml``.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from kodo.client.i18n import words_of
from kodo.client.phrases import Phrases


def in_lang(text: str, lang: str) -> str:
    """One line about an error, as it was built in English, in ``lang`` (``en`` or ``ja``)."""
    return _phrases().in_japanese(text) if lang == "ja" else text


def describe_error(error: BaseException, lang: str) -> str:
    """What an error says, in ``lang``; what nobody has translated, such as a server's own words, stays as it is."""
    return in_lang(words_of(error, lang), lang)


@cache
def _phrases() -> Phrases:
    return Phrases(rows())


def rows() -> dict[str, str]:
    """The English of each error, ``{}`` where something is filled in, and the same in Japanese."""
    text = files("kodo.cli").joinpath("errors_ja.toml").read_text(encoding="utf-8")
    found: dict[str, str] = tomllib.loads(text)
    return found
