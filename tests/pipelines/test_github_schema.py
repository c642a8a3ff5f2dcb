"""The fake GitHub's schema is GitHub's own, and real webhook examples are read as events."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.paths import REPOSITORY

from kodo.ci.environment import read_change, read_comment, read_issue_number, read_run_id
from kodo.ci.github.threads import CLOSE, THREADS
from kodo.ci.testing.openapi import SCHEMA_FILE

pytestmark = [pytest.mark.pipelines, pytest.mark.timeout(900)]  # the first one installs the tools


def test_the_schema_is_cut_from_githubs_openapi(npm: Path) -> None:
    """Made anew from the whole document, it is the same."""
    whole = npm / "node_modules/@octokit/openapi/generated/api.github.com.json"
    made = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/github_schema", whole], capture_output=True, check=True
    )
    assert json.loads(made.stdout) == json.loads(SCHEMA_FILE.read_text())


def test_the_graphql_documents_are_githubs(npm: Path, node: Path) -> None:
    """Fields, arguments and types by GitHub's own schema; the fake GitHub cannot know them."""

    def problems(*documents: str) -> list[str]:
        script = Path(__file__).with_name("graphql.mjs")
        asked = json.dumps(documents)
        done = subprocess.run(
            [node, script], cwd=npm, input=asked, capture_output=True, text=True, check=True
        )
        return list(json.loads(done.stdout))

    assert problems(THREADS, CLOSE) == []
    assert problems(CLOSE.replace("threadId", "thread")), "it finds what is wrong"


def test_every_recorded_pull_request_event_is_read(npm: Path, tmp_path: Path) -> None:
    """All of GitHub's example payloads of pull requests become changes with full commit ids."""
    index = npm / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
    examples = next(
        hook["examples"] for hook in json.loads(index.read_text()) if hook["name"] == "pull_request"
    )
    assert len(examples) > 10
    for example in examples:
        file = tmp_path / "event.json"
        file.write_text(json.dumps(example))
        environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(file),
        }
        pull = example["pull_request"]
        change = read_change(environ)
        assert (change.number, change.head, change.draft) == (
            pull["number"],
            pull["head"]["sha"],
            pull["draft"],
        )


def examples_of(npm: Path, name: str, tmp_path: Path) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """GitHub's example payloads of an event, each with the variables of its run."""
    index = npm / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
    for example in next(hook["examples"] for hook in json.loads(index.read_text()) if hook["name"] == name):
        file = tmp_path / "event.json"
        file.write_text(json.dumps(example))
        yield example, {"GITHUB_EVENT_PATH": str(file)}


def test_every_other_recorded_event_is_read(npm: Path, tmp_path: Path) -> None:
    """Issues and finished runs by number; comments only where they are new and a person's."""
    for example, environ in examples_of(npm, "issues", tmp_path):
        assert read_issue_number(environ) == example["issue"]["number"]
    for example, environ in examples_of(npm, "workflow_run", tmp_path):
        assert read_run_id(environ) == example["workflow_run"]["id"]
    for example, environ in examples_of(npm, "issue_comment", tmp_path):
        new = example["action"] == "created" and example["comment"]["user"]["type"] == "User"
        found = read_comment(environ)
        assert (found is not None) == new
        assert found is None or found.account == example["comment"]["user"]["login"]
        assert found is None or found.on_issue == ("pull_request" not in example["issue"])
