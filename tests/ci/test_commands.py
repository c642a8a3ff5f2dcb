"""/kodo commands: who may give them, what they do, and what is no command."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ci.pipeline import Pipeline
from tests.ci.test_triage import run

from kodo.ci.commands import CommentCommand, Verb, parse_command
from kodo.ci.marker import read_review_marker


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("/kodo review", CommentCommand(Verb.REVIEW)),
        ("/kodo ignore B006\r\nbecause", CommentCommand(Verb.IGNORE, "B006")),
        ("/kodo ignore kodo/behaviour-changed", CommentCommand(Verb.IGNORE, "kodo/behaviour-changed")),
        ("/kodo tests", CommentCommand(Verb.TESTS)),
        ("/kodo ignore", None),
        ("/kodo review now", None),
        ("/kodo merge", None),
        ("/kodo fix", CommentCommand(Verb.FIX)),
        ("/kodo fix 1a2b3c4d", CommentCommand(Verb.FIX, finding="1a2b3c4d")),
        ("/kodo fix 1a2b", None),
        ("/kodo fix everything", None),
        ("please /kodo review", None),
        ("> /kodo review", None),
        ("text\n/kodo review", None),
        ("/kodo ignore B006; rm -rf /", None),
        ("/kodo ignore $(id)", None),
        ("/kodo ignore -->", None),
        ("/kodo ignore B006\u202e", None),
        ("/kodo\u00a0review", None),
        ("", None),
    ],
)
def test_a_command_is_a_whole_first_line(body: str, command: CommentCommand | None) -> None:
    """From a closed list, with at most the name of a rule."""
    assert parse_command(body) == command


def comment(body: str, login: str, action: str = "created", *, pull: bool = True) -> dict[str, object]:
    """The event of a comment, as far as it is read."""
    issue = {"number": 7, **({"pull_request": {}} if pull else {})}
    return {
        "action": action,
        "issue": issue,
        "comment": {"body": body, "user": {"login": login, "type": "User"}},
    }


def test_a_writer_has_the_review_run_again(pipeline: Pipeline, tmp_path: Path) -> None:
    """The newest run of job 1 on the head."""
    written, _ = run(pipeline.github, tmp_path, comment("/kodo review", "ann"), "command")
    assert written == ["POST actions/runs/1/rerun"]
    assert pipeline.github.rows.reruns == [1]


def test_a_writer_has_a_rule_ignored(pipeline: Pipeline, tmp_path: Path) -> None:
    """From the next report on: its findings are gone, its line comment is resolved, the check passes, a note says so."""
    written, _ = run(pipeline.github, tmp_path, comment("/kodo ignore B006", "ann"), "command")
    assert [line.split("/")[0] for line in written] == ["PATCH issues", "POST issues", "POST actions"]
    pipeline.review()
    pipeline.report()
    assert "## kodo review: no findings" in pipeline.sticky
    assert "findings of ignored rules are not shown" in pipeline.sticky
    assert "**Resolved**" in pipeline.github.rows.line_comments[0]["body"]
    assert pipeline.github.rows.checks[-1]["conclusion"] == "success"


def test_a_writer_has_tests_written(pipeline: Pipeline, tmp_path: Path) -> None:
    """The next run writes them, once, into a comment of their own; nothing is committed."""
    written, _ = run(pipeline.github, tmp_path, comment("/kodo tests", "ann"), "command")
    assert [line.split("/")[0] for line in written] == ["PATCH issues", "POST actions"]
    pipeline.review()
    pipeline.report()
    [tests] = [
        row["body"]
        for row in pipeline.github.rows.comments
        if row["body"].startswith("<!-- kodo:tests:v1 -->")
    ]
    assert "```python\n# shop/cart.py\n" in tests
    assert "def test_" in tests
    assert pipeline.shop.git("status", "--porcelain") == ""
    pipeline.written()
    pipeline.review()
    pipeline.report()
    assert "tests" not in " ".join(pipeline.written()), "once"
    assert read_review_marker(pipeline.sticky).tests_wanted is False


@pytest.mark.parametrize(
    ("event"),
    [
        comment("/kodo ignore B006", "bob"),
        comment("/kodo review", "stranger"),
        comment("/kodo review", "github-actions[bot]"),
        comment("/kodo review", "ann", "edited"),
        comment("/kodo review", "ann", pull=False),
        comment("/kodo tests", "ann", pull=False),
        comment("nice\n/kodo review", "ann"),
    ],
    ids=["reader", "stranger", "bot", "edited", "issue", "tests-on-issue", "second-line"],
)
def test_anybody_else_moves_nothing(pipeline: Pipeline, tmp_path: Path, event: dict[str, object]) -> None:
    """By GitHub's word on the account, not by its name, and only for new comments on changes."""
    written, said = run(pipeline.github, tmp_path, event, "command")
    assert written == []
    assert "not obeyed" in said
