"""The kinds of issues that most repositories have labels for: how such labels are called, and the words of such issues.

Words are compared after :func:`kodo.ci.triage.words.readable`: English ones as whole words (a ``*`` stands for any ending), Japanese
ones anywhere. A word in the title counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bug": ("bug", "defect", "crash", "regression", "バグ", "不具合", "障害"),
        "enhancement": ("enhancement", "feature", "feature request", "feature-request", "improvement", "proposal", "機能要望", "要望", "機能追加", "改善"),
        "documentation": ("documentation", "docs", "doc", "ドキュメント", "文書"),
        "question": ("question", "support", "help", "usage", "discussion", "質問", "サポート"),
        "performance": ("performance", "perf", "slow", "speed", "パフォーマンス", "性能"),
        "security": ("security", "vulnerability", "cve", "セキュリティ", "脆弱性"),
    }
)  # fmt: skip  # a table
"""Kind to the names of labels for it; also after a prefix, as in ``type: bug`` or ``kind/bug``."""

KEYWORDS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "bug": {
            "abort*": 2, "stops": 2, "anyway": 2, "no effect": 2.5, "although": 1.5, "even with": 1.5, "disappear*": 2, "negative": 1.5, "reject*": 2, "too many": 1.5, "forever": 2, "empty": 1, "closes itself": 2.5, "twice": 1, "still": 1, "since the upgrade": 2, "garbled": 2.5, "中断": 2.5, "止ま": 2, "しまいます": 1.2, "ままです": 1.2, "効かな": 2.5, "終わらな": 2.5, "勝手に": 2.5, "化け": 2.5, "残ってしま": 2, "マイナス": 1.5, "読めな": 2, "になりません": 1.5, "超える": 1, "空のまま": 2,
            "crash*": 3, "traceback": 3, "exception*": 2, "error*": 1.5, "fail*": 2, "broken": 3, "breaks": 2, "wrong*": 2,
            "incorrect*": 2, "unexpected*": 2, "regression": 3, "no longer": 2.5, "does not work": 2.5, "doesn't work": 2.5,
            "not working": 2.5, "stopped working": 3, "hang*": 2, "freez*": 2, "lost": 1.5, "missing": 1, "instead of": 1.5,
            "expected": 1.5, "segfault*": 3, "corrupt*": 2.5, "duplicated": 1.5, "typeerror": 3, "keyerror": 3, "500": 1.5, "ignored": 2,
            "クラッシュ": 3, "エラー": 1.5, "失敗": 2, "落ち": 2.5, "動かな": 2.5, "動作しな": 2.5, "できなくな": 2.5, "おかし": 2, "壊れ": 2.5,
            "例外": 2, "不具合": 3, "バグ": 2.5, "再現": 2, "フリーズ": 2.5, "固ま": 2, "消え": 2, "文字化け": 3, "誤っ": 2, "間違っ": 1.5,
            "表示されな": 2, "反映されな": 2, "ずれ": 1.5, "のに": 0.8, "無視され": 2, "重複し": 1.5, "期待": 1.5,
        },
        "enhancement": {
            "would love": 3, "would be lovely": 3, "should have": 2, "as an alternative": 1.5,
            "would be nice": 3, "would be great": 3, "feature request": 3, "please add": 2.5, "support for": 1.5, "add support": 3, "allow": 1.5,
            "option to": 2, "option for": 2, "ability to": 2.5, "it would": 1.5, "wish": 2, "suggest*": 2, "propos*": 2, "could we": 2, "i would like": 2, "we would like": 2,
            "could you add": 3, "enhancement": 3, "implement": 1.5, "new command": 2, "configurable": 2, "add a": 1.5, "add an": 1.5, "let us": 1.5, "let me": 1.5,
            "ほしい": 3, "欲しい": 3, "追加して": 2.5, "対応して": 2, "できると": 2, "できるように": 2.5, "要望": 3, "提案": 2.5, "機能追加": 3, "サポートして": 2,
            "あると便利": 3, "希望": 2, "改善": 1, "オプションを": 1.5, "嬉しい": 2.5, "助かり": 1.5, "選べる": 2, "たいです": 1,
        },
        "documentation": {
            "documentation": 3, "docs": 3, "readme": 3, "typo*": 3, "tutorial": 2.5, "guide": 2, "docstring*": 3, "example in": 2, "changelog": 2, "outdated": 1.5,
            "undocumented": 3, "manual": 1.5, "broken link": 3, "documented": 2, "reference page": 3, "page says": 2.5, "spelling": 2,
            "ドキュメント": 3, "誤字": 3, "脱字": 3, "説明が": 2, "記載": 2.5, "マニュアル": 2.5, "チュートリアル": 2.5, "リンク切れ": 3, "翻訳": 2, "書かれて": 2, "サンプルコード": 1.5, "手順書": 3, "解説": 2,
        },
        "question": {
            "how do i": 3, "how can i": 3, "how to": 2, "is it possible": 2.5, "is there a way": 2.5, "what is the": 1.5, "question": 2.5, "what does": 2, "which": 0.8, "should i": 2, "can someone": 2.5,
            "wondering": 2.5, "recommended way": 2.5, "difference between": 2.5, "confused": 2, "understand": 1, "help me": 2, "any advice": 2.5, "best practice": 2, "does anyone": 2.5, "am i": 1.5, "where can i": 2.5, "where do": 2,
            "教えて": 3, "質問": 3, "方法は": 2.5, "でしょうか": 1.5, "ですか": 1.2, "どうすれば": 3, "どのように": 2.5, "可能ですか": 2.5, "違いは": 2.5, "ありますか": 2, "わかりません": 2, "分かりません": 2, "よいですか": 2.5, "推奨": 1.5, "知りたい": 3,
        },
        "performance": {
            "slow*": 3, "performance": 3, "latency": 3, "memory usage": 2.5, "memory leak": 2.5, "cpu": 2, "takes minutes": 3, "takes seconds": 2.5, "speed": 2.5, "faster": 2.5, "quadratic": 3, "o(n": 2.5, "bottleneck": 3,
            "throughput": 3, "seconds": 1.2, "minutes": 1.2, "gb": 1.5, "profil*": 2, "n+1": 3, "timeout*": 0.8, "ram": 2, "grows": 1.5, "optimi*": 2, "cache": 0.8,
            "遅い": 3, "遅く": 3, "重い": 2.5, "重く": 2.5, "時間がかか": 3, "メモリ使用": 2.5, "メモリを": 2, "メモリリーク": 2.5, "性能": 3, "パフォーマンス": 3, "高速化": 3, "cpu使用率": 3, "秒かか": 3, "分かか": 2.5, "ボトルネック": 3, "倍": 1, "レイテンシ": 3, "スループット": 3,
        },
        "security": {
            "any user of the machine": 2.5, "other users can": 2.5, "ps shows": 1.5, "passphrase": 1.2, "パスフレーズ": 1.2, "見えてしま": 1.5,
            "security": 2.5, "vulnerab*": 3, "xss": 3, "csrf": 3, "sql injection": 3, "injection": 2.5, "cve*": 3, "exploit*": 3, "attacker*": 3, "malicious": 2.5, "sanitiz*": 2, "escap*": 1, "plain text": 1.5, "plaintext": 2, "leak*": 0.8,
            "credential*": 2, "password*": 1.2, "token*": 1, "unauthenticated": 3, "authoriz*": 1.5, "privilege*": 2, "path traversal": 3, "arbitrary code": 3, "hardcoded": 1.5, "permission check": 2, "other users'": 1.5, "secret*": 1.5, "without authentication": 3, "ssrf": 3, "open redirect": 3,
            "セキュリティ": 2.5, "脆弱性": 3, "インジェクション": 3, "攻撃": 3, "悪意": 2.5, "平文": 2.5, "漏洩": 3, "漏れ": 1.5, "認証なし": 3, "権限": 1.5, "他人の": 2, "他のユーザー": 1.5, "パスワード": 1.2, "秘密": 1.5, "トラバーサル": 3, "任意のコード": 3, "認証を": 1,
        },
    }
)  # fmt: skip  # a table
"""Kind to its words and how much each says."""


def kind_of_label(label: str) -> str | None:
    """The kind that a label is for, by its name; None where that is not known."""
    name = label.strip().lower()
    last = re.split(r"[:/]\s*", name)[-1].strip()
    for kind, names in NAMES.items():
        if name in names or last in names:
            return kind
    return None


def compiled(words: Mapping[str, float]) -> list[tuple[re.Pattern[str], float]]:
    """The patterns of a row of keywords with their weights."""
    return [(_pattern(word), weight) for word, weight in words.items()]


def _pattern(word: str) -> re.Pattern[str]:
    if not word.isascii():
        return re.compile(re.escape(word))
    stem = re.escape(word.removesuffix("*"))
    return re.compile(rf"(?<![a-z0-9]){stem}" + (r"[a-z]*" if word.endswith("*") else r"(?![a-z0-9])"))
