"""Results that outlive an interrupted run."""

from pathlib import Path

import pytest
from bench.scorecard.results import SCORECARD, Results, code_of, digest
from bench.scorecard.review_score import Reviewed

VALUE = Reviewed("c", (), (), "clean", 0.5)


def refuse() -> Reviewed:
    raise AssertionError("computed again")


def test_a_result_is_computed_once_also_by_the_next_run(tmp_path: Path):
    """The second run reads it from the file."""
    path = tmp_path / "deep" / "results.jsonl"
    assert Results(path).get("k", Reviewed, lambda: VALUE) == VALUE
    again = Results(path)
    assert "k" in again
    assert again.get("k", Reviewed, refuse) == VALUE


def test_a_line_cut_short_by_a_crash_is_computed_anew_and_spoils_nothing(tmp_path: Path):
    """What comes after the torn line is read too."""
    path = tmp_path / "results.jsonl"
    Results(path).get("a", Reviewed, lambda: VALUE)
    with path.open("ab") as stream:
        stream.write(b'\n{"key": "b", "value": {"case"')
    results = Results(path)
    assert "b" not in results
    results.get("c", Reviewed, lambda: VALUE)
    assert Results(path).get("a", Reviewed, refuse) == VALUE
    assert Results(path).get("c", Reviewed, refuse) == VALUE


def test_a_computation_that_fails_leaves_nothing_behind(tmp_path: Path):
    """A failure is not a result."""
    path = tmp_path / "results.jsonl"
    with pytest.raises(AssertionError):
        Results(path).get("a", Reviewed, refuse)
    assert "a" not in Results(path)


def test_keys_depend_on_every_part_and_on_the_borders_between_them():
    """ab + c is not a + bc."""
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a", "b") == digest("a", "b")


def test_code_of_tells_one_file_from_another_and_reads_folders():
    """Changed code makes new results."""
    assert code_of(SCORECARD / "mutants.py") != code_of(SCORECARD / "suites.py")
    assert code_of(SCORECARD / "inside") == code_of(SCORECARD / "inside")
