"""One run: every contestant over every case, and on where it stopped."""

import json
from pathlib import Path

import pytest
from bench.scorecard import runner
from bench.scorecard.__main__ import main as cli
from bench.scorecard.cases import ReviewCase
from bench.scorecard.results import Results
from bench.scorecard.review_score import Reviewed

from kodo.cli.exit_codes import ExitCode
from kodo.jobs.review import ReviewOptions
from kodo.jobs.testgen import Options

SETUP = runner.Setup(None, "", ReviewOptions(), Options(), ("review",), 1)


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, runner.Scorecard, list[tuple[str, int, int]]]:
    """One real run over a seeded and a clean case: its results file, its card, the progress it told."""
    path = tmp_path_factory.mktemp("card") / "r.jsonl"
    told: list[tuple[str, int, int]] = []
    return path, runner.run(SETUP, Results(path), lambda *step: told.append(step)), told


def test_without_a_model_the_static_pipeline_and_the_linters_take_part(first):
    """A seeded and a clean case each, nothing said of a model."""
    _, got, _ = first
    assert list(got.reviews) == [runner.WITHOUT_MODEL, "ruff and bandit alone"]
    assert [len(items) for items in got.reviews.values()] == [2, 2]
    assert (got.model, got.tests, got.isolation) == ("", {}, "")


def test_a_second_run_computes_nothing_and_is_the_same(first, monkeypatch: pytest.MonkeyPatch):
    """Results are found by what they depend on."""
    path, got, _ = first

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("bench.scorecard.reviewers.review", refuse)
    monkeypatch.setattr("bench.scorecard.linters.lint", refuse)
    assert runner.run(SETUP, Results(path), lambda *_: None) == got


def test_progress_tells_the_contestant_and_ends_at_the_total(first):
    """From 0 to the number of cases, for each."""
    _, _, told = first
    assert told[0] == (runner.WITHOUT_MODEL, 0, 2)
    assert told[-1] == ("ruff and bandit alone", 2, 2)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_command_prints_the_table_and_writes_the_page(home: Path, capsys: pytest.CaptureFixture[str]):
    """The page names the command that makes it."""
    page = home / "card.md"
    assert cli(["--no-model", "--jobs", "review", "--limit", "1", "--out", str(page)]) == ExitCode.DONE
    assert "kodo without a model" in capsys.readouterr().out
    assert "python -m bench.scorecard --jobs review --no-model --limit 1" in page.read_text(encoding="utf-8")
    lines = (home / "home" / "scorecard.jsonl").read_text(encoding="utf-8").split()
    assert all(json.loads(line)["key"] for line in lines)
    assert len(lines) == 4


@pytest.mark.parametrize("jobs", ["", "reviews", "review,x"])
def test_a_job_that_does_not_exist_is_refused_in_one_line(
    home: Path, jobs: str, capsys: pytest.CaptureFixture[str]
):
    """Bad input, and nothing is run."""
    assert cli(["--no-model", "--jobs", jobs]) == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == f"kodo: --jobs {jobs}: there are review, tests\n"


def test_a_dry_run_counts_and_runs_nothing(home: Path, capsys: pytest.CaptureFixture[str]):
    """No results file appears."""
    assert cli(["--dry-run", "--limit", "3"]) == ExitCode.DONE
    assert capsys.readouterr().err.startswith("6 reviews, each pushed twice, and 3 modules")
    assert not (home / "home").exists()


class Losing:
    """A reviewer whose server fails while it reviews; its session's ledger knows."""

    name = "losing"
    version = "1"

    def __init__(self) -> None:
        self.session = self
        self.ledger = self
        self.run_id = "r"
        self.failed: list[tuple[str]] = []

    def query(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[str]]:
        assert "failed" in sql
        assert parameters == ("r",)
        return self.failed

    def review(self, case: ReviewCase) -> Reviewed:
        self.failed = [*self.failed, ("call",)]
        return Reviewed(case.name, (), (), "partial", 0.1)


def test_a_case_in_which_the_models_server_failed_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Both jobs go on without a model that is lost; a score must stop and leave the case to the next run."""
    monkeypatch.setattr(runner, "_reviewers", lambda setup: [Losing()])
    path = tmp_path / "r.jsonl"
    with pytest.raises(runner.ModelLostError):
        runner.run(SETUP, Results(path), lambda *_: None)
    assert not path.exists()
