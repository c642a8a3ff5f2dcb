"""What the toolkit says to people, in English and Japanese. A catalogue is checked when it is created."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from typing import Literal, get_args

Lang = Literal["en", "ja"]


def pick_lang(asked: str | None = None) -> Lang:
    """The language to speak: what was asked for, else ``KODO_LANG``, else Japanese in a Japanese locale, else English.

    Raises:
        ValueError: a language that is not ``en`` or ``ja`` was asked for.
    """
    chosen = asked or os.environ.get("KODO_LANG")
    if chosen:
        if chosen not in get_args(Lang):
            raise ValueError(f"lang: {chosen!r} is not one of {', '.join(get_args(Lang))}")
        return "ja" if chosen == "ja" else "en"
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "ja" if locale.startswith("ja") else "en"


_ONE = re.compile(
    r"(?<![\d.,])1 (documented fact|known finding|call|difference|file|finding|function|input|model|mutant|request|test|write)s\b"
    r"(?:((?: of(?: \w+){1,2})?) (are|were|have|count)\b)?"
)
_OF_ONE = {"are": "is", "were": "was", "have": "has", "count": "counts"}


def counted(text: str) -> str:
    """English text in which a count of one has its noun, and the verb of it, in the singular: ``1 finding is``. Japanese has no plural."""
    return _ONE.sub(_singular, text)


def _singular(found: re.Match[str]) -> str:
    noun, of, verb = found.groups()
    return f"1 {noun}{of} {_OF_ONE[verb]}" if verb else f"1 {noun}"


class Catalogue:
    """Messages by key in both languages, with ``{named}`` fields.

    Raises:
        ValueError: a key or a field is missing in one of the languages.
    """

    def __init__(self, messages: Mapping[str, tuple[str, str]]) -> None:
        for key, (english, japanese) in messages.items():
            if _fields(english) != _fields(japanese):
                raise ValueError(f"message {key!r}: the languages have different fields")
        self._messages = dict(messages)

    def say(self, lang: Lang, key: str, **values: object) -> str:
        """The message, filled in. A key that is not there is a KeyError: a fault of the program, not of the user."""
        english, japanese = self._messages[key]
        return japanese.format(**values) if lang == "ja" else counted(english.format(**values))


class LocalizedError(Exception):
    """An error in both languages: ``str()`` is the English, which libraries and logs read, ``ja`` the Japanese."""

    def __init__(self, english: str, japanese: str) -> None:
        super().__init__(english)
        self.ja = japanese


def words_of(error: BaseException, lang: str) -> str:
    """What an error says, in the language of the reader (``en`` or ``ja``); in English where it has no other words."""
    japanese = getattr(error, "ja", None) if lang == "ja" else None
    return japanese or str(error)


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


CLIENT = Catalogue(
    {
        "masked": (
            "masked before sending: {kinds}",
            "送信前にマスクしました: {kinds}",
        ),
        "starting": (
            "no server is configured or running; starting kodo for this command",
            "設定済みまたは起動中のサーバーがないため、このコマンドの実行中だけ kodo を起動します",
        ),
        "unknown_price": (
            "no price for model {model}; its cost is counted as 0",
            "モデル {model} の価格が不明なため、費用を 0 として計上します",
        ),
        "output_cap": (
            "a budget is set; the answer is limited to {tokens} tokens",
            "予算が設定されているため、回答は {tokens} トークンまでに制限されます",
        ),
        "recovered": (
            "counted at maximum cost (${usd}): {count} calls of a terminated process",
            "終了したプロセスの {count} 件の呼び出しを最大費用（${usd}）で計上しました",
        ),
        "retry": (
            "attempt {attempt} of {attempts} at {address} failed ({error}); retrying in {delay:.1f} s",
            "{address} への {attempts} 回中 {attempt} 回目の試行が失敗しました（{error}）。{delay:.1f} 秒後に再試行します",
        ),
    }
)
