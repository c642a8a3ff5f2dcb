"""What reports say in Japanese that jobs build in English: every reason and note of the source has a row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.paths import REPOSITORY

from kodo.jobs.report.reasons import in_lang, phrases

SINKS = {
    "leave": 1,
    "Unreviewed": 1,
    "_unreviewed": 3,
    "TestsError": 0,
    "TreeError": 0,
    "SandboxError": 0,
    "TestgenError": 0,
    "Unusable": 0,
    "append": 0,
    "Judged": 4,
}
"""Calls that say why, and which argument does; ``append`` where it is that of ``notes`` or ``not_run``."""
PLACES = (
    "jobs/review",
    "jobs/testgen",
    "jobs/execution/worker/call.py",
    "sandbox",
    "ci/test_proposals.py",
)
OBJECTIONS = ("proof", "policy", "counter_tests", "cross_check", "generality", "runner_signs", "allowed_paths", "own_values", "findings", "job", "certain")  # fmt: skip
"""Modules of ``jobs/fix`` that say what is against a patch, or how it is made: they yield, return or list it."""
VARIABLES = {"reason", "why", "NO_TIME"}
"""Names that a reason is given before it is handed on."""
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def built(node: ast.AST) -> Iterator[str]:
    """The texts that an expression may be, with ``X1`` and so on where something is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else f"X{number}"
                for number, part in enumerate(parts)
            )
        case ast.IfExp(body=one, orelse=other):
            yield from built(one)
            yield from built(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from built(value)


def said(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The reasons and notes of a module, by their line."""
    for node in ast.walk(tree):
        found: list[ast.AST] = []
        if isinstance(node, ast.Call):
            target = ast.unparse(node.func)
            name = target.rpartition(".")[2]
            at = SINKS.get(name)
            is_list = name != "append" or target.endswith(("notes.append", "not_run.append"))
            if at is not None and is_list and len(node.args) > at:
                found = [node.args[at]]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {ast.unparse(each).partition("[")[0] for each in targets}
            if names & (VARIABLES | {"rejected_calls", "failures", "out"}):
                found = [node.value]
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            found = [node.value.elts[-1]] if len(node.value.elts) == 2 else []
        for each in found:
            for text in built(each):
                if " " in text.strip() and not _JAPANESE.search(text):
                    yield node.lineno, text


def objected(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What a module of ``jobs/fix`` says against a patch, by its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Yield(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
                found = [value]
            case ast.Call(func=ast.Attribute(attr="append"), args=[value]):
                found = [value]
            case ast.Call(func=ast.Name(id="Proposal"), args=[_, value]):
                found = [value]
            case ast.ListComp(elt=value) | ast.GeneratorExp(elt=value):
                found = [value]
            case ast.List(elts=values) | ast.Tuple(elts=values):
                found = values
            case _:
                continue
        for value in found:
            for text in built(value):
                if re.search(r"[a-z]{2,} [a-z]{2,}", text):
                    yield node.lineno, text


def modules() -> Iterator[Path]:
    """The modules that build reasons and notes."""
    for place in PLACES:
        path = REPOSITORY / "src/kodo" / place
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def reasons() -> list[tuple[str, str]]:
    """Every reason and note, by its place."""
    folder = REPOSITORY / "src/kodo/jobs/fix"
    found = [(path, said) for path in modules()] + [(folder / f"{name}.py", objected) for name in OBJECTIONS]
    return sorted(
        {
            (f"{path.relative_to(REPOSITORY)}:{line}", text)
            for path, read in found
            for line, text in read(ast.parse(path.read_text(encoding="utf-8")))
        }
    )


def test_every_reason_of_the_source_is_said_in_japanese() -> None:
    """However it is put together; a new one without a row is named here."""
    found = reasons()
    assert len(found) > 60
    english = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")
    assert [(place, text) for place, text in found if english.search(in_lang(text, "ja"))] == []


def test_every_row_is_japanese() -> None:
    """Japanese words stand on the right; that the holes are as many, the table checks itself."""
    assert all(_JAPANESE.search(japanese) for japanese in phrases().rows.values())


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        ("binary", "バイナリファイル"),
        ("larger than 1000 bytes", "1000 バイトを超えています"),
        ("ruff could not run: the time of the review was up", "ruff を実行できませんでした: レビューの制限時間に達しました"),
        ("a/b.py: the budget ran out before f, g", "a/b.py: f, g の前に実行時間の上限に達しました"),
        ("the model: Error code: 500 - broken", "モデル: Error code: 500 - broken"),
        ("tests: 3 passed, 0 failed", "テスト: 成功 3 件、失敗 0 件"),
        (
            "isolation: partial (none; 3 escape probes blocked; open: files, tcp); bubblewrap does not start here: no",
            "隔離: partial（none、脱出の試行 3 件を遮断、開放: files, tcp）。bubblewrap をここでは起動できません: no",
        ),
        (
            "a.py: chooses by x % 2 == 0, with 7, which neither the code before nor the issue names",
            "a.py: x % 2 == 0 で場合を分け、7 を持ち込んでいます（修正前のコードにも課題の説明にもない値です）",
        ),
        (
            "the patch is for the test's own call only: with 12 other arguments all is as before",
            "パッチはテスト自身の呼び出しにしか効きません: 別の引数 12 通りでは元のままです",
        ),
        ('the documentation shows "mean([]) is binary"', "文書の記述は「mean([]) is binary」です"),
        ("KeyError is never meant", "KeyError が意図されることはありません"),
        ("somebody's own words", "somebody's own words"),
    ],
)  # fmt: skip
def test_parts_are_said_in_their_place(english: str, japanese: str) -> None:
    """Whole, by parts, and with what is filled in; what has no row stays, and English stays English."""
    assert in_lang(english, "ja") == japanese
    assert in_lang(english, "en") == english
