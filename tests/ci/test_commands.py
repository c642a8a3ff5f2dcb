"""/kodo commands: who may give them, what they do, and what is no command."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ci.pipeline import Pipeline
from tests.ci.test_publication import AGAIN
from tests.ci.test_triage import connected, run

from kodo.ci.artifact import read_artifact
from kodo.ci.commands import CommentCommand, Verb, obey, parse_command
from kodo.ci.environment import CommentEvent
from kodo.ci.forge import ForgeError
from kodo.ci.marker import read_review_marker
from kodo.ci.publication import plan, read_state
from kodo.ci.publisher import look_again
from kodo.ci.testing.github import BOT_ID
from kodo.ci.testing.server import Fault

COMMENT = 501
"""The id of the comment with the command."""


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
        "comment": {"id": COMMENT, "body": body, "user": {"login": login, "type": "User"}},
    }


def test_a_writer_has_the_review_run_again(pipeline: Pipeline, tmp_path: Path) -> None:
    """The newest run of job 1 on the head."""
    written, _ = run(pipeline.github, tmp_path, comment("/kodo review", "ann"), "command")
    assert written == ["POST actions/runs/1/rerun"]
    assert pipeline.github.rows.reruns == [1]


def test_a_writer_has_a_rule_ignored(pipeline: Pipeline, tmp_path: Path) -> None:
    """From the next report on: its findings are gone, its line comment is resolved, the check passes, a note says so."""
    written, _ = run(pipeline.github, tmp_path, comment("/kodo ignore B006", "ann"), "command")
    assert [line.split("/")[0] for line in written] == ["POST issues", "POST actions"]
    pipeline.review()
    pipeline.report()
    assert "## kodo review: no findings" in pipeline.sticky
    assert "1 finding of ignored rules is not shown" in pipeline.sticky
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


LOST = [Fault("POST", "", 502, after=True), Fault("POST", "", 500), Fault("POST", "", cut=True, after=True)]
"""A write that was made and whose answer is lost; one that was not made; a connection that broke after it."""


def again(pipeline: Pipeline, body: str) -> None:
    """The command, with short pauses, as ``kodo ci command`` obeys it."""
    forge = connected(pipeline.github)
    look_again("command", lambda: obey(forge, CommentEvent(7, "ann", body, id=COMMENT)), AGAIN)


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("path", ["/comments$", "/rerun$"])
def test_no_command_is_obeyed_twice_when_an_answer_is_lost(
    pipeline: Pipeline, path: str, fault: Fault
) -> None:
    """Whether the write had happened or not: one answer, one run, one state. The comment's event again adds nothing."""
    rows = pipeline.github.rows
    before = len(rows.comments)
    pipeline.github.faults.append(Fault("POST", path, fault.status, cut=fault.cut, after=fault.after))
    again(pipeline, "/kodo ignore B006")
    assert (len(rows.comments) - before, rows.reruns) == (1, [1])
    assert rows.comments[-1]["body"].startswith(f"<!-- kodo:answer:v1 {COMMENT} B006 -->\n")
    again(pipeline, "/kodo ignore B006")
    assert (len(rows.comments) - before, rows.reruns) == (1, [1])
    assert read_state(connected(pipeline.github), 7).ignored == ("B006",)


def test_two_commands_at_once_are_both_obeyed(pipeline: Pipeline) -> None:
    """Each rule stands in its own answer, so neither overwrites the other's, nor a publication that is under way either."""
    forge = connected(pipeline.github)
    planned = plan(read_state(forge, 7), read_artifact(pipeline.zipped()))
    for at, rule in enumerate(("B006", "S307")):
        obey(forge, CommentEvent(7, "ann", f"/kodo ignore {rule}", id=COMMENT + at))
    for write in planned:
        forge.write(write)
    assert read_state(forge, 7).ignored == ("B006", "S307")


@pytest.mark.parametrize("fault", LOST)
def test_a_fix_is_started_once_when_an_answer_is_lost(pipeline: Pipeline, fault: Fault) -> None:
    """A run says in its title which comment started it; another comment starts another."""
    marker = read_review_marker(pipeline.sticky)
    assert marker is not None
    body = f"/kodo fix {marker.open[0].fingerprint[:8]}"
    path = "/dispatches$"
    pipeline.github.faults.append(Fault("POST", path, fault.status, cut=fault.cut, after=fault.after))
    again(pipeline, body)
    assert len(pipeline.github.rows.dispatches) == 1


def test_an_answer_by_somebody_else_is_none(pipeline: Pipeline) -> None:
    """A comment that copies our marker keeps nobody from an answer."""
    pipeline.github.say(7, "mallory", f"<!-- kodo:answer:v1 {COMMENT} S307 -->\nIgnored.")
    assert read_state(connected(pipeline.github), 7).ignored == ()
    again(pipeline, "/kodo ignore B006")
    ours = [row["body"] for row in pipeline.github.rows.comments if row["user"] == BOT_ID]
    assert any(body.startswith(f"<!-- kodo:answer:v1 {COMMENT} B006 -->") for body in ours)


def test_an_answer_that_stays_lost_is_an_error(pipeline: Pipeline) -> None:
    """After the last look; nothing is acknowledged."""
    pipeline.github.faults.append(Fault("POST", "/rerun$", 500, times=99))
    with pytest.raises(ForgeError):
        again(pipeline, "/kodo review")
    assert pipeline.github.rows.reruns == []
