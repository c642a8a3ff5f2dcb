"""Events and variables of a pipeline as hostile or strange input: what cannot be read names the variable, and nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kodo.ci.change import EventError
from kodo.ci.environment import (
    MAX_EVENT_BYTES,
    read_change,
    read_comment,
    read_fix_event,
    read_issue_number,
    read_run_id,
)

Reader = Callable[[Mapping[str, str]], object]
READERS: list[Reader] = [read_change, read_comment, read_fix_event, read_issue_number, read_run_id]
STRANGE: list[bytes] = [
    b"", b"null", b"[]", b'"x"', b"{}", b"{", b"\xff\xfe", b"[" * 200_000, b'{"x":' * 200_000, b"1e999",
    b'{"pull_request": 7}', b'{"issue": {"number": "7"}}', b'{"issue": {"number": 1e400}}', b'{"workflow_run": {"id": null}}',
    b'{"comment": {"body": null, "user": null}, "issue": {"number": "7"}, "action": "created"}', b'{"inputs": {"number": 7}}',
    b'{"inputs": {"number": "7", "finding": "--upload-pack=x"}}', b'{"inputs": null}',
]  # fmt: skip  # a few rows


def environ_of(folder: Path, data: bytes) -> dict[str, str]:
    file = folder / "event.json"
    file.write_bytes(data)
    return {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(file),
        "GITHUB_RUN_ID": "1", "GITHUB_SHA": "a" * 40,
    }  # fmt: skip  # one row


@pytest.mark.parametrize("reader", READERS)
def test_a_strange_event_is_an_error_that_names_its_variable(reader: Reader, tmp_path: Path) -> None:
    """Other JSON, no JSON, bytes that are no text, nesting without end, numbers that are none."""
    for data in STRANGE:
        with pytest.raises(EventError, match="GITHUB_EVENT_PATH"):
            reader(environ_of(tmp_path, data))
    with pytest.raises(EventError, match="GITHUB_EVENT_PATH"):
        reader({**environ_of(tmp_path, b"{}"), "GITHUB_EVENT_PATH": str(tmp_path)})
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(MAX_EVENT_BYTES + 1)
    with pytest.raises(EventError, match="larger than"):
        reader({**environ_of(tmp_path, b"{}"), "GITHUB_EVENT_PATH": str(huge)})


@pytest.mark.parametrize("name", ["push", "merge_group", "schedule", "workflow_call", "", "\x1b[31mpush"])
def test_an_event_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    """By the name of the event, before its file is read."""
    environ = {**environ_of(tmp_path, b"{}"), "GITHUB_EVENT_NAME": name}
    with pytest.raises(EventError, match="GITHUB_EVENT_NAME"):
        read_change(environ)


def comment(**changes: Any) -> bytes:
    event: dict[str, Any] = {
        "action": "created", "issue": {"number": 7, "pull_request": {}},
        "comment": {"id": 501, "body": "/kodo review", "user": {"login": "ann", "type": "User"}},
    }  # fmt: skip  # one row
    for key, value in changes.items():
        target = event["comment"] if key in ("user", "body") else event
        target[key] = value
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "edited"},
        {"action": "deleted"},
        {"user": None},
        {"user": {"login": "ann[bot]", "type": "Bot"}},
        {"user": {"login": "ann", "type": "Organization"}},
        {"user": {"login": "ann", "type": "Mannequin"}},
    ],
)
def test_only_a_persons_new_comment_is_a_command(changes: dict[str, Any], tmp_path: Path) -> None:
    """Not one that was edited later, nor that of a bot, an organisation or a deleted account."""
    assert read_comment(environ_of(tmp_path, comment())) is not None
    assert read_comment(environ_of(tmp_path, comment(**changes))) is None


@pytest.mark.parametrize("name", ["GITHUB_RUN_ID", "GITHUB_SHA"])
@pytest.mark.parametrize("value", ["", "x", "../1", "-1"])
def test_a_run_without_number_or_commit_is_refused(name: str, value: str, tmp_path: Path) -> None:
    """Both become part of what is written."""
    environ = environ_of(tmp_path, b'{"inputs": {"number": "7"}}')
    assert read_fix_event(environ).number == 7
    with pytest.raises(EventError, match=name):
        read_fix_event({**environ, name: value})
