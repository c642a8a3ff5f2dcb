"""Reading a batch's input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kodo.jobs.batch.lines import BatchInputError, read_requests, scan_input

GOOD = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "hi"}}


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_a_good_file_is_read_in_order_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    """Order and line numbers are the file's."""
    path = write(tmp_path / "in.jsonl", GOOD, "", {**GOOD, "custom_id": "ひ"})
    assert [(number, line.custom_id) for number, line in read_requests(path)] == [(1, "a"), (3, "ひ")]
    assert scan_input(path).requests == 2


def test_a_model_given_outside_fills_only_bodies_without_one(tmp_path: Path) -> None:
    """A line's own model wins."""
    path = write(tmp_path / "in.jsonl", GOOD, {"custom_id": "b", "body": {"input": "hi"}})
    assert [line.body["model"] for _, line in read_requests(path, "other")] == ["m", "other"]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("not json", ""),
        ('{"custom_id": "\\ud800", "body": {"model": "m"}}', ""),
        ("[]", ""),
        ({**GOOD, "custom_id": 3}, "custom_id"),
        ({**GOOD, "custom_id": ""}, "custom_id"),
        ({"body": {"model": "m"}}, ""),
        ({**GOOD, "body": {"model": "m"}}, "body.input"),
        ({**GOOD, "body": {"model": "m", "input": 5}}, "body.input"),
        ({**GOOD, "body": "hi"}, "body"),
        ({**GOOD, "method": "GET"}, "method"),
        ({**GOOD, "url": "/v1/embeddings"}, "url"),
        ({**GOOD, "body": {"input": "hi"}}, "body.model"),
        ({**GOOD, "body": {"model": "m", "input": "hi", "stream": True}}, "body.stream"),
        ({**GOOD, "body": {"model": "m", "input": "hi", "background": True}}, "body.background"),
        ({**GOOD}, "custom_id"),
    ],
)
def test_a_bad_line_is_named_by_number_and_field(tmp_path: Path, line: object, field: str) -> None:
    """The whole file is looked at before anything is sent, and the message says where the fault is."""
    path = write(tmp_path / "in.jsonl", GOOD, "", line)
    with pytest.raises(BatchInputError) as caught:
        scan_input(path)
    assert (caught.value.line, caught.value.field) == (3, field)
    assert str(caught.value).startswith(f"{path}:3: {field}")
