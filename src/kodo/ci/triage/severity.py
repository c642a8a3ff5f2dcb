"""Words that say how bad it is, in English and Japanese. They are quoted to people; no label is given for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kodo.ci.triage.kinds import compiled
from kodo.ci.triage.words import readable

WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "high": (
            "data loss", "lost all", "lose data", "corrupt*", "crash*", "segfault*", "vulnerab*", "remote code", "arbitrary code", "outage", "production is down",
            "cannot start", "won't start", "all users", "データ消失", "データが消え", "クラッシュ", "脆弱性", "破損", "起動しな", "起動できな", "本番", "全ユーザー", "情報漏洩", "漏洩",
        ),
        "low": ("typo*", "cosmetic", "minor", "nitpick", "small", "誤字", "脱字", "軽微", "細かい", "見た目"),
    }
)  # fmt: skip  # a table


def severity_words(text: str) -> tuple[str, tuple[str, ...]]:
    """``high``, ``low`` or (empty) neither, and the words of the text that say so. High words win."""
    clean = readable(text)
    for level, words in WORDS.items():
        found = [
            match[0] for pattern, _ in compiled(dict.fromkeys(words, 1.0)) if (match := pattern.search(clean))
        ]
        if found:
            return level, tuple(dict.fromkeys(found))
    return "", ()
