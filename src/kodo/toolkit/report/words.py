"""The fixed words of reports in English and Japanese."""

from kodo.toolkit.report.model import Category, EvidenceKind, Severity, State

_JA: dict[str, str] = {
    Category.BUG: "バグ",
    Category.SECURITY: "セキュリティ",
    Category.PERFORMANCE: "性能",
    Category.READABILITY: "読みやすさ",
    Category.PRACTICE: "作法",
    Severity.ERROR: "エラー",
    Severity.WARNING: "警告",
    Severity.INFO: "情報",
    EvidenceKind.RULE: "規則",
    EvidenceKind.EXECUTION: "実行結果",
    EvidenceKind.OPINION: "意見",
    State.CLEAN: "問題なし",
    State.FINDINGS: "指摘あり",
    State.PARTIAL: "一部のみ確認",
    State.SKIPPED: "対象なし",
    State.FAILED: "失敗",
    "title": "コードレビュー",
    "findings": "指摘",
    "not reviewed": "確認していないもの",
    "suppressed": "コメントで抑制された指摘",
    "suppressed here": "この変更で追加されたコメントによる抑制",
    "known": "既知の指摘",
    "fix": "修正案",
    "see": "関連箇所",
    "reviewed": "確認したファイル",
    "nothing": "指摘はありません。",
    "other files": "レビュー対象外のファイル",
    "model": "モデル",
    "checked by": "確認済み",
}
_EN: dict[str, str] = {
    State.CLEAN: "clean",
    State.FINDINGS: "findings",
    State.PARTIAL: "partial: not everything was reviewed",
    State.SKIPPED: "skipped: nothing to review",
    State.FAILED: "failed",
    "title": "Code review",
    "findings": "findings",
    "not reviewed": "Not reviewed",
    "suppressed": "Silenced by comments",
    "suppressed here": "silenced by a comment of this change",
    "known": "known findings",
    "fix": "fix",
    "see": "see",
    "reviewed": "reviewed",
    "nothing": "Nothing was found.",
    "other files": "files that are not reviewed",
    "model": "model",
    "checked by": "checked",
}


def word(key: str, lang: str) -> str:
    """One fixed word or phrase in `lang` (`en` or `ja`)."""
    return (_JA if lang == "ja" else _EN).get(key, str(key))
