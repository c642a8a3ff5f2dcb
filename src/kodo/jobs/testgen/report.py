"""The report as text, JSON and JUnit XML. Pure: a TestReport in, text out.

English and Japanese; what comes from the code, the interpreter or a docstring stays as it is.
"""

import re
from typing import Literal

import msgspec
from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from kodo.client.i18n import counted
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.testgen.model import Score, SuspectedBug, TestReport

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS = {
    "en": {
        "title": "Tests for {target} (functions and methods: {n})",
        "isolation": "isolation",
        "funnel": "funnel",
        "candidates": "candidates", "runs": "run to an end", "deterministic": "deterministic", "adds": "add something",
        "passes_alone": "pass alone", "passes_five_times": "pass five times in random order", "kept": "kept",
        "coverage": "lines {a} -> {b}, branches {c} -> {d}, mutants killed {e} -> {f} of {n}",
        "documented": "tests that rest on documentation: {n}; on what the code does (characterisation): {m}",
        "model": "model: {model}",
        "suspects": "possible bugs: {n} documented facts that the code does not hold",
        "expected": "documented", "got": "the code", "rests": "rests on", "shrunk": "made smaller from",
        "survived": "{n} mutants survived; the first:",
        "rejected": "rejected, by reason",
        "none": "no test was kept",
        "left_out": "no time was left for",
    },
    "ja": {
        "title": "{target} のテスト(関数・メソッド {n} 個)",
        "isolation": "隔離",
        "funnel": "候補の推移",
        "candidates": "候補", "runs": "実行完了", "deterministic": "決定的", "adds": "寄与あり",
        "passes_alone": "単独で成功", "passes_five_times": "順序を変えて5回成功", "kept": "採用",
        "coverage": "行 {a} -> {b}、分岐 {c} -> {d}、ミュータント {e} -> {f} / {n}",
        "documented": "文書に基づくテスト {n} 件、特性化テスト(値はコードから取得) {m} 件",
        "model": "モデル: {model}",
        "suspects": "文書と一致しない挙動 {n} 件(バグの可能性あり)",
        "expected": "文書", "got": "実際", "rests": "根拠", "shrunk": "縮小前",
        "survived": "生存ミュータント {n} 個。先頭:",
        "rejected": "不採用の理由",
        "none": "採用されたテストはありません",
        "left_out": "時間切れで行わなかった探索",
    },
}  # fmt: skip
_STEPS = ("candidates", "runs", "deterministic", "adds", "passes_alone", "passes_five_times", "kept")


def text(report: TestReport, lang: Literal["en", "ja"] = "en") -> str:
    """The report for a terminal: what was found first, then how."""
    words = _WORDS[lang]
    lines = [words["title"].format(target=report.target, n=len(report.functions))]
    seen = report.isolation
    lines.append(
        f"{words['isolation']}: {seen.level} ({seen.mechanism}"
        + (f"; open: {', '.join(seen.open)})" if seen.open else ")")
    )
    if report.suspects:
        lines += ["", counted(words["suspects"].format(n=len(report.suspects)))]
        for suspect in report.suspects:
            lines += _suspect_lines(suspect, words)
    counts = " > ".join(f"{getattr(report.funnel, step)} {words[step]}" for step in _STEPS)
    lines += ["", f"{words['funnel']}: {counts}", scores(report.before, report.after, lang)]
    rests = sum(not one.characterisation for one in report.kept)
    if report.kept:
        lines.append(words["documented"].format(n=rests, m=len(report.kept) - rests))
    else:
        lines.append(words["none"])
    lines.append(words["model"].format(model=report.model))
    if report.left_out:
        steps = ", ".join(in_lang(step, lang) for step in report.left_out)
        lines.append(f"{words['left_out']}: {steps}")
    if report.survived:
        lines.append(counted(words["survived"].format(n=len(report.survived))))
        lines += [f"  {place.line}: {place.change}" for place in report.survived[:5]]
    rejected_calls = [one for one in report.rejected if not one.reason.startswith("adds nothing")]
    if rejected_calls:
        lines.append(f"{words['rejected']}:")
        lines += [
            f"  {one.count} x {one.function}: {in_lang(one.reason, lang)} ({_short(one.example)})"
            for one in rejected_calls[:10]
        ]
    lines += [in_lang(note, lang) for note in report.notes]
    return "\n".join(lines) + "\n"


def scores(before: Score, after: Score, lang: Literal["en", "ja"] = "en") -> str:
    """Coverage and mutation score before and after, in one line."""
    return _WORDS[lang]["coverage"].format(
        a=_percent(before.line_rate), b=_percent(after.line_rate), c=_percent(before.branch_rate),
        d=_percent(after.branch_rate), e=before.mutants_killed, f=after.mutants_killed, n=after.mutants,
    )  # fmt: skip


def _suspect_lines(suspect: SuspectedBug, words: dict[str, str]) -> list[str]:
    lines = [
        f"  {suspect.function} (line {suspect.line}): {suspect.call}",
        f"    {words['expected']}: {suspect.expected}",
        f"    {words['got']}: {suspect.got}",
        f"    {words['rests']}: {suspect.basis}: {suspect.quote}",
    ]
    return [*lines, f"    {words['shrunk']}: {_short(suspect.shrunk_from)}"] if suspect.shrunk_from else lines


def json(report: TestReport) -> str:
    """The whole report as JSON, with the rates beside the counts."""
    data = msgspec.to_builtins(report)
    for name, score in (("before", report.before), ("after", report.after)):
        data[name] |= {
            "line_rate": score.line_rate,
            "branch_rate": score.branch_rate,
            "mutation_score": score.mutation_score,
        }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def junit(report: TestReport) -> str:
    """JUnit XML: kept tests pass, suspects fail, rejected groups are skipped with their reason."""
    xml = JUnitXml("kodo tests")
    suite = TestSuite(report.module)
    for test in report.kept:
        case = TestCase(test.name, classname=report.module, time=round(test.seconds, 3))
        suite.add_testcase(case)
    for suspect in report.suspects:
        case = TestCase(_clean(f"{suspect.function}: {suspect.call}"), classname=report.module)
        failure = Failure(
            _clean(f"this may be a bug: documented {suspect.expected}, the code: {suspect.got}"),
            suspect.basis,
        )
        failure.text = _clean(f"{suspect.quote}\n{suspect.source}")
        case.result = [failure]
        suite.add_testcase(case)
    for one in report.rejected:
        case = TestCase(_clean(f"{one.function}: {one.count} rejected"), classname=report.module)
        case.result = [Skipped(_clean(one.reason))]
        suite.add_testcase(case)
    xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call] # junitparser has few types
    return str(xml.tostring().decode()) + "\n"  # type: ignore[no-untyped-call] # as above


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _short(line: str) -> str:
    return line if len(line) <= 80 else line[:77] + "..."


def _clean(line: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", line)
