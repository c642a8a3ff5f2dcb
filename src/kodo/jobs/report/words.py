"""The fixed words of reports in English and Japanese."""

from collections.abc import Sequence

from kodo.client.i18n import counted
from kodo.jobs.report.model import Category, EvidenceKind, Executed, Severity, State

_JA: dict[str, str] = {
    Category.BUG: "バグ",
    Category.SECURITY: "セキュリティ",
    Category.PERFORMANCE: "パフォーマンス",
    Category.READABILITY: "可読性",
    Category.PRACTICE: "ベストプラクティス",
    Severity.ERROR: "エラー",
    Severity.WARNING: "警告",
    Severity.INFO: "情報",
    EvidenceKind.RULE: "ルール",
    EvidenceKind.EXECUTION: "実行結果",
    EvidenceKind.OPINION: "意見",
    State.CLEAN: "問題なし",
    State.FINDINGS: "指摘あり",
    State.PARTIAL: "一部のみレビュー済み",
    State.SKIPPED: "対象なし",
    State.FAILED: "失敗",
    "title": "コードレビュー",
    "count": "件の指摘",
    "not reviewed": "レビューできなかったもの",
    "suppressed": "件はコメントで抑制",
    "suppressed here": "この変更で追加されたコメントによる抑制",
    "refused comments": "この変更で追加されたコメントでは、この変更の指摘を抑制できません",
    "known": "件は既知",
    "fix": "修正案",
    "see": "関連箇所",
    "reviewed": "件のファイルをレビュー",
    "nothing": "指摘はありません。",
    "checked by": "確認済み",
    "parses": "構文",
    "analysers": "静的解析",
    "tests": "テスト",
    "run": "変更前後で実行: 関数 {functions} 個、入力 {inputs} 個（うちテストの実行から記録 {recorded} 個）、相違 {differences} 件、{seconds:.1f} 秒（上限 {budget:g} 秒）",
    "not run": "実行できなかったもの",
}
_EN: dict[str, str] = {
    State.CLEAN: "clean",
    State.FINDINGS: "findings",
    State.PARTIAL: "partial: not everything was reviewed",
    State.SKIPPED: "skipped: nothing to review",
    State.FAILED: "failed",
    "title": "Code review",
    "count": "findings",
    "not reviewed": "Not reviewed",
    "suppressed": "suppressed by comments",
    "suppressed here": "suppressed by a comment added in this change",
    "refused comments": "comments that this change adds do not suppress its findings",
    "known": "known findings",
    "fix": "fix",
    "see": "see",
    "reviewed": "reviewed",
    "nothing": "No findings.",
    "checked by": "checked",
    "run": "run in both versions: {functions} functions, {inputs} inputs ({recorded} recorded from running tests), {differences} differences, {seconds:.1f} s of {budget:g} s",
    "not run": "not run",
}

_DETAIL = {
    "before: ": "変更前: ",
    "after:  ": "変更後: ",
    "repeat in both versions: ": "変更前後のそれぞれで再現: ",
    "it is called inside this, there with ": "この中で次の値で呼ばれます: ",
}
"""How the lines begin that say what execution showed."""


def word(key: str, lang: str) -> str:
    """One fixed word or phrase in ``lang`` (``en`` or ``ja``)."""
    return (_JA if lang == "ja" else _EN).get(key, str(key))


def checked_words(checked: Sequence[str], lang: str) -> str:
    """What a fix has passed, as a list in words."""
    return ("、" if lang == "ja" else ", ").join(word(item, lang) for item in checked)


def detail_text(detail: str, lang: str) -> str:
    """What execution showed: the words of its lines in ``lang``, what was run and what came out as it is."""
    return "\n".join(_detail_line(line) if lang == "ja" else line for line in detail.split("\n"))


def _detail_line(line: str) -> str:
    for english, japanese in _DETAIL.items():
        if line.startswith(english):
            return japanese + line.removeprefix(english)
    return line


def run_line(executed: Executed, lang: str) -> str:
    """One line on what was run in both versions."""
    return counted(
        word("run", lang).format(
            functions=len(executed.functions),
            inputs=executed.inputs,
            recorded=executed.recorded,
            differences=executed.differences,
            seconds=executed.seconds,
            budget=executed.budget,
        )
    )
