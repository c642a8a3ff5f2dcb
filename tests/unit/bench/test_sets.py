"""The sets that ship with kodo are what the scorecard takes them for, checked mechanically."""

import subprocess
import sys
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_c
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_rust
import tree_sitter_typescript
from bench.scorecard.cases import ModuleCase, ReviewCase, SourceFile, module_cases, review_cases
from bench.scorecard.linters import lint
from bench.scorecard.review_score import NEAR, hits
from bench.scorecard.revisions import added_lines

SEEDED = review_cases("seeded")
CLEAN = review_cases("clean")
MODULES = module_cases()
GRAMMARS = {
    ".c": tree_sitter_c.language(),
    ".go": tree_sitter_go.language(),
    ".java": tree_sitter_java.language(),
    ".js": tree_sitter_javascript.language(),
    ".rs": tree_sitter_rust.language(),
    ".ts": tree_sitter_typescript.language_typescript(),
}


def named(case: ReviewCase | ModuleCase) -> str:
    return case.name


def test_the_sets_have_the_sizes_that_are_promised():
    """40 seeded and 40 clean changes, 24 modules, and no title twice in a set."""
    assert (len(SEEDED), len(CLEAN), len(MODULES)) == (40, 40, 24)
    for cases in (SEEDED, CLEAN, MODULES):
        assert len({case.title for case in cases}) == len(cases)


def test_a_seeded_change_has_one_truth_and_a_clean_one_none():
    """Precision and recall count one bug a seeded change."""
    assert all(len(case.truth) == 1 for case in SEEDED)
    assert not any(case.truth or case.linter for case in CLEAN)


def test_most_seeded_bugs_are_of_a_kind_that_no_linter_finds():
    """The set is not tuned to what linters find."""
    assert sum(case.linter for case in SEEDED) <= len(SEEDED) / 2


@pytest.mark.parametrize("case", [*SEEDED, *CLEAN], ids=named)
def test_every_diff_applies_with_git_and_gives_the_after_side(case: ReviewCase, tmp_path: Path):
    """The diff is a diff, by git's own judgement."""
    for file in case.files:
        if file.before is not None:
            target = tmp_path / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.before, encoding="utf-8")
    subprocess.run(["git", "apply", "-"], input=case.diff, text=True, cwd=tmp_path, check=True)
    for file in case.files:
        target = tmp_path / file.path
        assert (target.read_text(encoding="utf-8") if target.exists() else None) == file.after


@pytest.mark.parametrize("case", [*SEEDED, *CLEAN], ids=named)
def test_both_sides_of_every_file_parse(case: ReviewCase):
    """No bug of the sets is a syntax error: Python compiles, tree-sitter finds no error in the rest."""
    for file in case.files:
        for text in filter(None, (file.before, file.after)):
            suffix = Path(file.path).suffix
            if suffix == ".py":
                compile(text, file.path, "exec")
            elif suffix != ".md":
                parser = tree_sitter.Parser(tree_sitter.Language(GRAMMARS[suffix]))
                assert not parser.parse(text.encode()).root_node.has_error, file.path


@pytest.mark.parametrize("case", SEEDED, ids=named)
def test_the_truth_is_within_three_lines_of_what_the_change_touched(case: ReviewCase):
    """A reviewer that looks at changed lines only can find every bug."""
    truth = case.truth[0]
    file = next(file for file in case.files if file.path == truth.path)
    assert any(abs(line - truth.line) <= NEAR for line in added_lines(file))


def test_a_case_is_marked_for_linters_exactly_where_ruff_or_bandit_hits_its_truth():
    """The mark is measured, not believed; other languages than Python they do not read."""
    together = tuple(
        SourceFile(f"{case.name}/{file.path}", file.before, file.after)
        for case in SEEDED
        for file in case.files
    )
    found: dict[str, bool] = dict.fromkeys((case.name for case in SEEDED), False)
    truths = {case.name: case.truth[0] for case in SEEDED}
    for remark in lint(together):
        name, _, path = remark.path.partition("/")
        found[name] |= hits(truths[name], type(remark)(path, *_rest(remark)))
    assert found == {case.name: case.linter for case in SEEDED}


def _rest(remark):
    return (remark.line, remark.end_line, remark.category, remark.severity, remark.rule)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder of its own."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("case", MODULES, ids=named)
def test_a_good_version_keeps_its_examples_and_its_oracle(case: ModuleCase, tmp_path: Path):
    """What is called good is good."""
    (tmp_path / case.filename).write_text(case.good, encoding="utf-8")
    (tmp_path / "hidden_oracle.py").write_text(case.oracle, encoding="utf-8")
    examples = run(tmp_path, "-m", "doctest", case.filename)
    assert examples.returncode == 0, examples.stdout
    assert ">>> " in case.good
    oracle = run(tmp_path, "hidden_oracle.py")
    assert oracle.returncode == 0, oracle.stderr


@pytest.mark.parametrize("case", MODULES, ids=named)
def test_a_bad_version_imports_and_breaks_its_oracle(case: ModuleCase, tmp_path: Path):
    """What is called bad is wrong on at least one input, and an example shows it exactly where the case says so."""
    (tmp_path / case.filename).write_text(case.bad, encoding="utf-8")
    (tmp_path / "hidden_oracle.py").write_text(case.oracle, encoding="utf-8")
    assert run(tmp_path, case.filename).returncode == 0
    oracle = run(tmp_path, "hidden_oracle.py")
    assert oracle.returncode == 1
    assert "AssertionError" in oracle.stderr
    examples_fail = run(tmp_path, "-m", "doctest", case.filename).returncode == 1
    assert examples_fail == (case.rests_on == "example")
