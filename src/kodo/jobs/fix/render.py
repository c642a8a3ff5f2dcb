"""The report of a fix as text, Markdown, JSON and as the patch alone. English and Japanese; pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from kodo.client.i18n import Catalogue, Lang
from kodo.jobs.fix.model import NO_MODEL, NOT_COMPARED, FixReport
from kodo.jobs.report.markdown import escaped
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.report.visible import json_text, one_line, visible

_WORDS = Catalogue(
    {
        "proven": (
            "proven: the failing test passes with the patch, and no other test is worse",
            "証明済み: 失敗していたテストがパッチで成功し、他のテストに悪化はありません",
        ),
        "proven_finding": (
            "proven: the finding is gone with the patch, and no test is worse",
            "証明済み: パッチにより指摘が解消し、テストに悪化はありません",
        ),
        "unproven": (
            "unproven: there is a patch, but it is not shown to be a fix",
            "未証明: パッチはありますが、修正であると示せていません",
        ),
        "none": ("no patch", "パッチなし"),
        "how": ("made by: {how}", "作成方法: {how}"),
        "model": ("the model", "モデル"),
        "test": ("test: {name} (sha256 {digest})", "テスト: {name}(sha256 {digest})"),
        "written": ("the test was written by the agent", "このテストはエージェントが作成しました"),
        "suite": (
            "tests passed: {before} before, {after} with the patch",
            "成功したテスト: 修正前 {before} 件、修正後 {after} 件",
        ),
        "behaviour": ("what else the patch changes:", "パッチによるその他の変化:"),
        "refused": ("refused calls of the model: {n}", "拒否したモデルの呼び出し: {n} 件"),
        "work": (
            "model: {steps} answers, {calls} tool calls, {input:,} + {output:,} tokens, ${cost}; ended: {stop}",
            "モデル: 応答 {steps} 回、ツール呼び出し {calls} 回、{input:,} + {output:,} トークン、${cost}、終了理由: {stop}",
        ),
        "run": ("run: {run}", "実行 ID: {run}"),
        "title": ("kodo fix", "kodo fix"),
        "patch": ("Patch", "パッチ"),
        "no_model": (
            NO_MODEL,
            "モデルには問い合わせていません(--no-model)。モデルなしで証明できる修正はありませんでした",
        ),
        "not_compared": (
            NOT_COMPARED,
            "テストがループ内で検査するか、置き換えられる値を持たないため、pytest の外や別の値ではパッチを実行していません",
        ),
        "failure": ("The test before", "修正前のテスト結果"),
    }
)
_MARKS = {"proven": "✅", "unproven": "⚠️", "none": "❌"}
_NOTES = {NO_MODEL: "no_model", NOT_COMPARED: "not_compared"}
MAX_FENCED = 60_000


def text(report: FixReport, lang: Lang = "en") -> str:
    """For a terminal: the verdict, why, what was run, and the patch."""
    lines = [one_line(line) for line in _facts(report, lang)]
    if report.patch:
        lines += ["", visible(report.patch).rstrip("\n")]
    return "\n".join(lines) + "\n"


def markdown(report: FixReport, lang: Lang = "en") -> str:
    """GitHub-flavoured Markdown, for a comment or a pull request."""
    verdict, *facts = _facts(report, lang)
    lines = [f"## {_WORDS.say(lang, 'title')}: {_MARKS[report.verdict]} {escaped(one_line(verdict))}", ""]
    lines += [f"- {escaped(one_line(fact.removeprefix('  ')))}" for fact in facts]
    if report.test is not None:
        lines += ["", f"### {_WORDS.say(lang, 'failure')}", "", _fenced(report.test.failure_before, "")]
    if report.patch:
        lines += ["", f"### {_WORDS.say(lang, 'patch')}", "", _fenced(report.patch, "diff")]
    return "\n".join(lines) + "\n"


def json(report: FixReport, lang: Lang = "en") -> str:
    """The report's values; ``lang`` changes nothing."""
    return json_text(report)


def patch(report: FixReport, lang: Lang = "en") -> str:
    """The patch alone, for ``git apply``; empty without one."""
    return report.patch


FORMATS: dict[str, Callable[[FixReport, Lang], str]] = {
    "text": text,
    "markdown": markdown,
    "json": json,
    "patch": patch,
}


def _facts(report: FixReport, lang: Lang) -> list[str]:
    """The lines of the report, the verdict first."""
    say = _WORDS.say
    key: Literal["proven", "proven_finding"] | str = str(report.verdict)
    lines = [say(lang, "proven_finding" if key == "proven" and report.test is None else key)]
    lines += [f"  {_note(why, lang)}" for why in report.reasons]
    if report.how:
        lines.append(
            say(lang, "how", how=say(lang, "model") if report.how == "model" else in_lang(report.how, lang))
        )
    if report.test is not None:
        lines.append(say(lang, "test", name=report.test.name, digest=report.test.sha256[:12]))
        if report.test.written:
            lines.append(say(lang, "written"))
    if report.suite is not None:
        lines.append(say(lang, "suite", before=report.suite.passed_before, after=report.suite.passed_after))
    if report.behaviour:
        lines.append(say(lang, "behaviour"))
        lines += [f"  {change}" for change in report.behaviour]
    if report.work is not None:
        work = report.work
        lines.append(
            say(
                lang, "work", steps=work.steps, calls=work.calls, input=work.input_tokens,
                output=work.output_tokens, cost=work.cost, stop=work.stop,
            )
        )  # fmt: skip  # one row of figures
        if work.refused:
            lines.append(say(lang, "refused", n=len(work.refused)))
            lines += [f"  {in_lang(why, lang)}" for why in work.refused[:10]]
    lines += [_note(note, lang) for note in report.notes]
    lines += [in_lang(report.isolation, lang), say(lang, "run", run=report.run)]
    return lines


def _note(text: str, lang: Lang) -> str:
    """A reason or a note of a report, which has them in English."""
    return _WORDS.say(lang, _NOTES[text]) if text in _NOTES else in_lang(text, lang)


def _fenced(content: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    shown = visible(content[:MAX_FENCED]).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"
