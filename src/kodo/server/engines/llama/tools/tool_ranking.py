"""Which tools a text may be asking for, by the words they share.

For models that cannot be asked: SmolLM2-135M chooses right in 0.27 of cases by writing freely, word overlap (BM25) in
0.63 to 0.70. So overlap decides whether there is a call, and the model which, where that is close. A model whose chat
template knows tools decides for itself, and nothing here is used. `bench/bench_auto.py` measures the choice.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence

from kodo.server.engines.llama.tools.tools import OfferedTool

_WORD = re.compile(
    r"[\w.+-]+@[\w.-]+"  # an address is one word
    r"|[a-z0-9]+"
    r"|[\u30a1-\u30fa\u30fc]{2,}|[\u3400-\u9fff]+"  # katakana; kanji; what is written in hiragana is mostly grammar
    r"|[^\x00-\x7f\u3000-\u30ff\u3400-\u9fff\uff00-\uff65]+"
)
_JAPANESE = {
    "天気": "weather",
    "気温": "temperature",
    "検索": "search",
    "探": "find",
    "調": "search",
    "ファイル": "file",
    "フォルダ": "folder",
    "テスト": "test",
    "実行": "run",
    "メール": "email",
    "送": "send",
    "作成": "create",
    "作": "create",
    "課題": "issue",
    "不具合": "bug",
    "バグ": "bug",
    "翻訳": "translate",
    "予約": "book",
    "注文": "order",
    "価格": "price",
    "株価": "stock",
    "時刻": "time",
    "時間": "time",
    "日付": "date",
    "予定": "calendar",
    "計算": "calculate",
    "換算": "convert",
    "変換": "convert",
    "通貨": "currency",
    "為替": "currency",
    "読": "read",
    "開": "open",
    "削除": "delete",
    "更新": "update",
    "一覧": "list",
    "利用者": "user",
    "ユーザー": "user",
    "コード": "code",
    "コマンド": "command",
    "ニュース": "news",
    "地図": "map",
    "画像": "image",
    "都市": "city",
    "プロジェクト": "project",
    "データベース": "database",
    "問い合わせ": "query",
}
"""Japanese for words that tools are often described with in English; a model of this size does not read it."""
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "could",
        "do",
        "does",
        "for",
        "from",
        "get",
        "give",
        "has",
        "have",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "make",
        "me",
        "my",
        "of",
        "on",
        "or",
        "please",
        "put",
        "set",
        "show",
        "some",
        "tell",
        "that",
        "the",
        "their",
        "them",
        "there",
        "this",
        "to",
        "use",
        "using",
        "was",
        "we",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "write",
        "you",
        "your",
        "call",
        "run",
        "tool",
        "function",
        "string",
        "name",
        "value",
    ]
)
_GENERAL_QUESTION = re.compile(
    r"\s*(why|explain|define|how (do|does|did|can) (an?|the|you|i)\b|(what|who)('s| is| are| was) (an?|the difference)\b|is an?|are)\b",
    re.IGNORECASE,
)
"""Beginnings of questions about the world in general, which are answered in words."""
MIN_SCORE = 0.2
"""Share of a text's weight that a tool must have in common with it; below it the model answers in words."""
MIN_QUESTION_SCORE = 0.6
"""The same for a question about the world in general."""
CHOICE_SHARE = 0.7
"""Tools within this share of the best are left for the model to choose from."""
_MIN_AFFIX = 4
"""Letters from which on a word that begins or ends another counts as that: mail and email, import and imports."""


def rank_tools(text: str, offers: Sequence[OfferedTool], *, clearly: bool = False) -> tuple[OfferedTool, ...]:
    """The tools that a text may be asking for, best first; none: answer it in words.

    A word weighs the more, the fewer of the tools have it; one that none has weighs as one that a single tool has.

    ``clearly``: only tools that most of the text is about, for a turn that has a format to answer in.
    """
    query = meaningful_words(text)
    if not query or not offers:
        return ()
    documents = [
        meaningful_words(
            f"{offer.qualified_name} {offer.description} {json.dumps(offer.schema or {}, ensure_ascii=False)}"
        )
        for offer in offers
    ]
    shared = [{word for word in query if contains_word(document, word)} for document in documents]
    found_in = Counter(word for words in shared for word in words)
    weights = {word: math.log(1 + (len(offers) + 1) / (max(1, found_in[word]) + 0.5)) for word in query}
    total = sum(weights.values())
    scores = [sum(weights[word] for word in words) / total for words in shared]
    best = max(scores)
    if best < (MIN_QUESTION_SCORE if clearly or _GENERAL_QUESTION.match(text) else MIN_SCORE):
        return ()
    ranked = sorted(zip(scores, range(len(offers)), strict=True), key=lambda one: (-one[0], one[1]))
    return tuple(offers[index] for score, index in ranked if score >= CHOICE_SHARE * best)


def has_unused_words(text: str, offer: OfferedTool, arguments: Sequence[str]) -> bool:
    """Whether a text has a word that is neither of the tool's own nor in the ``arguments`` of its earlier calls.

    The values that a schema lists are not the tool's own: they are what may be asked for.
    """
    names = " ".join((offer.schema or {}).get("properties", {}))
    known = meaningful_words(f"{offer.qualified_name} {offer.description} {names} {' '.join(arguments)}")
    return any(not contains_word(known, word) for word in meaningful_words(text))


def contains_word(document: frozenset[str], word: str) -> bool:
    """Whether a text's words hold a word, or one that begins or ends it."""
    if word in document:
        return True
    if not word.isascii():
        return any(not other.isascii() and (other in word or word in other) for other in document)
    return len(word) >= _MIN_AFFIX and any(
        len(other) >= _MIN_AFFIX and (other.endswith(word) or word.endswith(other) or other.startswith(word))
        for other in document
    )


def meaningful_words(text: str) -> frozenset[str]:
    """Words of a text that mean something, without their plural; Japanese ones in English where they are known."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower().replace("_", " ")
    words: set[str] = set()
    for word in _WORD.findall(spaced):
        if word.isascii():
            if word not in STOP_WORDS:
                words.add(word[:-1] if len(word) > 3 and word.endswith("s") else word)
        elif known := {english for japanese, english in _JAPANESE.items() if japanese in word}:
            words |= known
        elif len(word) > 1:
            words.add(word)
    return frozenset(words)
