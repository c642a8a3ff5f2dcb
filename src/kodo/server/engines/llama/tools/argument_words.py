"""The words by which arguments and their values are known, in English and Japanese: tables, and nothing else."""

from __future__ import annotations

KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("email", frozenset({"email", "mail", "recipient"})),
    ("url", frozenset({"url", "uri", "link", "website"})),
    ("glob", frozenset({"glob"})),
    ("path", frozenset({"path", "file", "folder", "directory", "filename", "filepath"})),
    ("code", frozenset({"sql", "expression", "regex"})),
    ("command", frozenset({"command", "code", "script"})),
    ("date", frozenset({"date", "day", "deadline"})),
    ("time", frozenset({"time"})),
    ("place", frozenset({"city", "town", "place", "location", "country", "region", "address"})),
    (
        "text",
        frozenset({"text", "message", "title", "subject", "content", "body", "query", "note", "summary", "pattern", "description", "comment"}),
    ),
    (
        "name",
        frozenset({"name", "person", "artist", "language", "user", "username", "owner", "symbol", "branch", "channel", "currency", "restaurant", "author", "code", "company", "product", "word", "song"}),
    ),
)  # fmt: skip
"""What an argument is, by the words of its name, else of its description; the first that fits."""
SHAPE_SCORES: dict[str, dict[str, float]] = {
    "email": {"email": 4},
    "url": {"url": 4},
    "date": {"date": 4},
    "time": {"time": 4},
    "glob": {"glob": 4},
    "path": {"path": 3.5, "quoted": 2, "code": 2.5, "identifier": 1},
    "code": {"sql": 4, "expression": 4, "code": 3, "quoted": 3, "identifier": 1.5, "tail": 2},
    "command": {"code": 3.5},
    "place": {"proper": 3, "quoted": 2.5, "japanese": 2.5, "words": 1, "identifier": 1, "code": 1},
    "name": {"proper": 3, "quoted": 3, "code": 2, "channel": 3, "handle": 3, "identifier": 2.5, "japanese": 2.5, "path": 1, "words": 1, "marked": 2, "number": 1},
    "text": {"quoted": 3.5, "code": 3, "marked": 3, "tail": 3, "clause": 1.8, "identifier": 2, "proper": 1.7, "japanese": 1.5, "words": 1.5, "path": 1},
    "other": {"quoted": 3, "code": 2.5, "proper": 2.5, "identifier": 2.5, "channel": 2.5, "handle": 2.5, "japanese": 2, "path": 2, "words": 1},
}  # fmt: skip
PREPOSITIONS: dict[str, frozenset[str]] = {
    "from": frozenset({"from", "source", "origin", "start", "owner", "sender"}),
    "to": frozenset({"to", "destination", "target", "recipient", "channel"}),
    "into": frozenset({"to", "destination", "target"}),
    "in": frozenset({"city", "location", "place", "channel", "language", "path", "category", "to"}),
    "at": frozenset({"location", "place", "restaurant", "time"}),
    "on": frozenset({"date", "day", "channel"}),
    "by": frozenset({"artist", "author", "owner"}),
    "of": frozenset({"artist", "author", "owner"}),
    "about": frozenset({"query", "subject", "topic"}),
    "から": frozenset({"from", "source", "origin", "start"}),
    "まで": frozenset({"to", "destination", "target"}),
    "へ": frozenset({"to", "destination", "target", "recipient", "channel"}),
    "に": frozenset({"to", "destination", "target", "recipient", "channel", "language"}),
    "を": frozenset({"text", "query", "pattern", "from", "source", "word"}),
    "で": frozenset({"location", "place"}),
    "の": frozenset({"city", "location", "artist", "owner", "title", "source"}),
    "という": frozenset({"title", "name", "subject"}),
    "と": frozenset({"text", "message", "content", "body"}),
}
OBJECT_WORDS: dict[str, str] = {
    "件名": "subject", "タイトル": "title", "題名": "title", "内容": "content", "本文": "body", "場所": "location",
    "ブランチ": "branch", "ユーザー": "user", "チャンネル": "channel", "ラベル": "label", "コード": "code", "課題": "issue",
    "単語": "word", "文字": "characters", "件": "results", "行": "lines", "分": "minutes", "秒": "seconds", "時間": "hours",
    "日間": "days", "日": "days", "名": "people", "人": "people", "度": "temperature", "円": "price", "ドル": "price",
    "摂氏": "celsius", "華氏": "fahrenheit", "詳": "verbose", "新": "create", "リポジトリ": "repository", "言語": "language",
    "メモ": "note", "クエリ": "query", "予定": "event", "レストラン": "restaurant", "曲": "song", "最後": "last", "最初": "first",
}  # fmt: skip
"""Japanese for words that arguments are named and described with."""
UNITS: dict[str, str] = {"day": "days", "people": "people", "guests": "people", "persons": "people", "degrees": "temperature", "dollars": "price", "euros": "price"}  # fmt: skip
"""Words behind a number, and what they measure."""
