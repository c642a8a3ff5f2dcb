"""What kodo writes into comments, in English and Japanese."""

from __future__ import annotations

from kodo.client.i18n import Catalogue

WORDS = Catalogue(
    {
        "title": ("kodo review", "kodo レビュー"),
        "count": ("{count} open findings", "未解決の指摘 {count} 件"),
        "one": ("1 open finding", "未解決の指摘 1 件"),
        "clean": ("no findings", "指摘なし"),
        "partial": ("not everything was reviewed", "一部はレビューできませんでした"),
        "failed": ("could not review this change", "この変更をレビューできませんでした"),
        "skipped": ("not reviewed", "レビュー対象外"),
        "intro": (
            "Reviewed `{head}` against `{target}` (from `{base}`).",
            "`{head}` を `{target}`（`{base}` から分岐）に対してレビューしました。",
        ),
        "incremental": (
            "Incremental since `{since}` (files looked at: {count}); the other findings stand as they were.",
            "`{since}` 以降の差分レビュー（対象ファイル: {count}）。他の指摘は前回のままです。",
        ),
        "full_again": ("Full review, because {reason}.", "全体を再レビューしました（{reason}）。"),
        "where": ("where", "場所"),
        "what": ("what", "内容"),
        "kind": ("class", "分類"),
        "rule": ("rule", "ルール"),
        "more": ("{count} more findings are in the artifact.", "他の {count} 件は成果物にあります。"),
        "details": ("Code and evidence", "コードと根拠"),
        "gaps": ("Not reviewed ({count})", "レビューできなかったもの（{count}）"),
        "notes": ("Notes", "備考"),
        "executed": ("What was run", "実行内容"),
        "pipeline": (
            "This change touches the pipeline that reviews it ({paths}); read the result with that in mind.",
            "この変更はレビューを行うパイプライン自体（{paths}）を変更しています。結果の解釈にご注意ください。",
        ),
        "unlisted": (
            "The forge does not list {count} of the changed files, so it is not known whether this change touches the pipeline that reviews it.",
            "変更ファイルのうち {count} 件が一覧に含まれないため、レビューを行うパイプライン自体が変更されたかどうか確認できません。",
        ),
        "left_out": (
            "{count} of {all} findings are left out, the least severe ones",
            "指摘 {all} 件のうち、重大度の低い {count} 件を省きました",
        ),
        "paths_left_out": (
            "{count} files are left out of the lists of what was reviewed",
            "レビュー対象の一覧から {count} ファイルを省きました",
        ),
        "no_artifact": (
            "the run left no report (see its log)",
            "レポートが残されていません（実行ログを参照してください）",
        ),
        "bad_artifact": (
            "the run's report was refused: {reason}",
            "レポートを受け付けられませんでした: {reason}",
        ),
        "stale": (
            "the run's report is about another commit",
            "レポートは別のコミットに対するものです",
        ),
        "twice": (
            "This review was written twice; the other comment on this change is the one that is kept up to date.",
            "このレビューは二重に書き込まれました。更新されるのは、この変更のもう一方のコメントです。",
        ),
        "tests_title": ("kodo tests", "kodo テスト"),
        "tests_intro": (
            "Tests for `{head}`; each passed five times in the sandbox and adds coverage or kills a mutant. Nothing was committed.",
            "`{head}` に対するテストです。サンドボックスで 5 回ずつ合格し、網羅率を上げるかミュータントを検出します。コミットはしていません。",
        ),
        "ignored": (
            "{count} findings of ignored rules are not shown ({rules})",
            "無視するよう指定されたルールの指摘 {count} 件は表示していません（{rules}）",
        ),
        "opinion": ("opinion", "意見"),
        "execution": ("shown by execution", "実行で確認"),
        "checked": ("Fix, checked: {how}", "修正案（確認済み: {how}）"),
        "resolved": (
            "**Resolved** in `{head}`: no longer found.",
            "**解決済み**: `{head}` では検出されません。",
        ),
        "footer": (
            "kodo {version} · no secret was used for this review · `/kodo ignore RULE` in a reply, by people with write access",
            "kodo {version} · このレビューではシークレットを使用していません · 書き込み権限のある方は `/kodo ignore RULE` と返信できます",
        ),
        "check_findings": (
            "{count} findings count, {open} are open",
            "判定対象の指摘 {count} 件、未解決 {open} 件",
        ),
    }
)
