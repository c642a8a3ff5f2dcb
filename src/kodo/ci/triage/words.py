"""From an issue's text to the words it is compared by, in English and Japanese.

English words are cut to a stem by their most common endings; runs of Japanese letters become pairs of letters, since
Japanese has no spaces. Code blocks, quotes, headings (a template's), HTML and lines that give orders to whoever labels issues are left out:
an order is not a description.
"""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS = 20_000
"""Of an issue, as far as it is read."""

_FENCE = re.compile(r"^(`{3,}|~{3,}).*?(?:^\1|\Z)", re.MULTILINE | re.DOTALL)
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|<[a-zA-Z/][^>]{0,400}>", re.DOTALL)
_LINK = re.compile(r"https?://\S+")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")
_ORDER = re.compile(
    r"""(?ix)
    \b(?:add|apply|set|use|assign|give|put|attach|tag|mark|remove|change|choose|select|force|ensure|treat|classify|categori[sz]e|triage)\b.{0,60}\b(?:labels?|labell?ed|tags?|priority|severity|assignees?|as\s+(?:a\s+)?(?:bug|security|critical|urgent|p0|documentation|enhancement|question|performance))\b
    |\b(?:labels?|labell?ed|tags?|priority|severity|categor(?:y|ies)|type)\b\s*(?:this|it|as|:|=|=>|->|must|should|is|to)
    |^\s*/(?:label|assign|priority|severity|kind|area|close|triage|kodo)\b
    |\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|earlier|all|instructions?|rules?|text)\b
    |\b(?:system\s*prompt|you\s+are\s+(?:a|an|now)|as\s+an?\s+(?:ai|assistant|bot)|note\s+to\s+(?:the\s+)?(?:bot|ai|triage|maintainer\s*bot))\b
    |(?:bot|triager?|classifier|ai|assistant)\s*[:,]
    |ラベル|タグを|優先度|重要度|担当者を|(?:分類|トリアージ)(?:して|せよ|する|に)|(?:無視|従っ)て|指示(?:に|を)
    """
)
_TOKEN = re.compile(
    r"[a-z][a-z0-9+#_.'-]*[a-z0-9+#]|[a-z]|[\u3041-\u3096]+|[\u30a1-\u30fa\u30fc]+|[\u4e00-\u9fff々]+"
)
_STOP = frozenset(
    ["a", "about", "above", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "before", "being", "but", "by", "can", "could", "did", "do", "does", "doing", "for", "from", "get", "got", "had", "has", "have", "having", "he", "her", "here", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "like", "me", "more", "most", "my", "no", "nor", "not", "now", "of", "off", "on", "once", "one", "only", "or", "other", "our", "out", "over", "own", "please", "same", "she", "should", "so", "some", "such", "than", "thanks", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "us", "use", "used", "using", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who", "why", "will", "with", "would", "you", "your"]
)  # fmt: skip  # a table
_ENDINGS = ("ations", "ation", "ingly", "ing", "edly", "ies", "ied", "ed", "es", "ly", "s")
_HIRAGANA = re.compile(r"[\u3041-\u3096]+")


def readable(text: str) -> str:
    """The part of a text that describes something, in one normal form."""
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text[:MAX_CHARACTERS])).lower()
    text = _LINK.sub(" ", _HIDDEN.sub(" ", _FENCE.sub(" ", text)))
    sentences = re.split(r"(?<=[.!?。！？])\s*|\n", text)
    return "\n".join(
        one for one in sentences if not one.lstrip().startswith((">", "#")) and not _ORDER.search(one)
    )


def words_of(text: str) -> list[str]:
    """The words of a text, in order: stems of English ones, pairs of letters of Japanese ones."""
    found: list[str] = []
    for match in _TOKEN.finditer(readable(text)):
        word = match[0]
        if word[0] < "\u3041":
            if word not in _STOP:
                found.append(stem(word))
        elif len(word) == 1 or (len(word) <= 2 and not _HIRAGANA.fullmatch(word)):
            found.append(word)
        else:
            found += [word[at : at + 2] for at in range(len(word) - 1)]
    return found


def stem(word: str) -> str:
    """An English word without its most common ending, at least three letters long."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            cut = word[: -len(ending)]
            cut = cut + "y" if ending in ("ies", "ied") else cut
            return (
                cut[:-1]
                if len(cut) > 3 and cut[-1] == cut[-2] and cut[-1] not in "ls"
                else cut.removesuffix("e")
            )
    return word.removesuffix("e") if len(word) > 4 else word
