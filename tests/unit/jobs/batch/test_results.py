"""The result file: one line a custom_id, whatever happened to the process before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kodo.jobs.batch.ids import IdSet
from kodo.jobs.batch.lines import Answered, BatchInputError, ResultLine
from kodo.jobs.batch.results import OutputInUseError, ResultFile


def result(custom_id: str, text: str = "x") -> ResultLine:
    return ResultLine("batch_req_1", custom_id, Answered(200, "req_1", {"text": text}))


def ids(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]


def test_a_result_is_on_the_file_as_soon_as_it_is_added(tmp_path: Path) -> None:
    """Nothing waits in a buffer of the process, so a kill after `add` loses nothing."""
    path = tmp_path / "out.jsonl"
    with ResultFile(path) as results:
        results.add(result("a"))
        assert ids(path) == ["a"]


def test_a_custom_id_is_written_once(tmp_path: Path) -> None:
    """A second result for the same id is refused, in one run and in the next."""
    path = tmp_path / "out.jsonl"
    with ResultFile(path) as results:
        assert results.add(result("a"))
        assert not results.add(result("a", "again"))
    with ResultFile(path) as results:
        assert results.found == 1
        assert "a" in results
        assert not results.add(result("a", "again"))
    assert ids(path) == ["a"]


@pytest.mark.parametrize("size", [1, 70, 65_536, 200_000])
def test_a_torn_last_line_is_cut_off_at_any_byte(tmp_path: Path, size: int) -> None:
    """Whatever a killed process left of its last line, the lines before it stay and the id is free again."""
    path = tmp_path / "out.jsonl"
    with ResultFile(path) as results:
        results.add(result("a"))
        results.add(result("b", "y" * 300_000))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + size])
    with ResultFile(path) as results:
        assert "a" in results
        assert "b" not in results
        results.add(result("b"))
    assert ids(path) == ["a", "b"]


def test_a_single_torn_line_leaves_an_empty_file(tmp_path: Path) -> None:
    """A process killed in its very first line."""
    path = tmp_path / "out.jsonl"
    path.write_text('{"id": "batch')
    with ResultFile(path) as results:
        assert results.found == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", ["my thesis, no newline", "my thesis\n", '{"custom_id": 1}\n'])
def test_a_file_that_is_not_results_is_left_alone(tmp_path: Path, content: str) -> None:
    """A wrong file name destroys nothing."""
    path = tmp_path / "thesis.txt"
    path.write_text(content)
    with pytest.raises(BatchInputError):
        ResultFile(path)
    assert path.read_text() == content


def test_two_runs_cannot_write_one_file(tmp_path: Path) -> None:
    """The second run is told, and the lock is free again after the first."""
    path = tmp_path / "out.jsonl"
    with ResultFile(path), pytest.raises(OutputInUseError):
        ResultFile(path)
    ResultFile(path).close()


def test_an_id_set_answers_like_a_set() -> None:
    """Membership, size and the answer of add agree with Python's own set."""
    mine, truth = IdSet(), set[str]()
    for value in ["a", "b", "a", "", "日本", "b"]:
        assert mine.add(value) is (value not in truth)
        truth.add(value)
        assert len(mine) == len(truth)
    assert all(value in mine for value in truth)
    assert "c" not in mine
    mine.close()
