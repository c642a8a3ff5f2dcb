"""Triage: labels by words and neighbours, duplicates, templates, owners; and that no order in a text moves a label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.triage.__main__ import ORDERS, CrossValidated, moved, recall, score
from bench.triage.contestants import kodo as contestant
from bench.triage.contestants import linear_model
from bench.triage.issues import LABELS, read_issues
from tests.ci.pipeline import kodo
from tests.ci.test_publication import AGAIN
from tests.contract.forges import QUICK

from kodo.ci.change import System
from kodo.ci.connection import connect
from kodo.ci.forge import Comment, Forge, Issue
from kodo.ci.policy import Policy, TriagePolicy
from kodo.ci.publisher import look_again
from kodo.ci.testing.github import REPOSITORY, FakeGitHub
from kodo.ci.testing.server import Fault
from kodo.ci.triage.duplicates import DuplicateFinder
from kodo.ci.triage.job import Knowledge, judge, plan, render, triage_issue
from kodo.ci.triage.kinds import kind_of_label
from kodo.ci.triage.labels import LabelClassifier
from kodo.ci.triage.owners import owners_of
from kodo.ci.triage.severity import severity_words
from kodo.ci.triage.templates import IssueTemplate, missing_information, parse_template
from kodo.ci.triage.words import words_of
from kodo.ci.writes import AddLabels, CreateComment, UpdateComment

FORM = """
name: Bug
body:
  - type: markdown
    attributes: {value: hello}
  - type: textarea
    attributes: {label: Steps to reproduce}
    validations: {required: true}
  - type: input
    attributes: {label: バージョン}
    validations: {required: true}
  - type: input
    attributes: {label: Browser}
"""


def issue(
    number: int, title: str, body: str = "", labels: tuple[str, ...] = (), *, is_open: bool = True
) -> Issue:
    return Issue(number=number, title=title, body=body, author="ann", labels=labels, is_open=is_open)


def test_the_scorecard_holds() -> None:
    """On the half that was set aside: over the linear model, mostly right where it answers, every repetition found, no order obeyed."""
    issues = read_issues("aside")
    macro, coverage, right = score(CrossValidated(contestant, issues), issues)
    assert macro > score(CrossValidated(linear_model, issues), issues)[0] + 0.1
    assert (coverage > 0.5, right > 0.85) == (True, True)
    found, repeated, _ = recall(issues)
    assert found / repeated > 0.9
    assert moved(CrossValidated(contestant, issues), issues[::7])[0] == 0


@pytest.mark.parametrize("name", ["bug", "type: bug", "kind/bug", "Bug", "バグ"])
def test_a_labels_kind_is_in_its_name(name: str) -> None:
    """Also behind a prefix; a name that says nothing has none."""
    assert kind_of_label(name) == "bug"
    assert kind_of_label("area: parser") is None


def test_only_the_repositorys_labels_are_given() -> None:
    """With its own spelling; a label of another kind or an excluded one never."""
    text = issue(9, "Crash with a traceback", "It fails with an exception.")
    chosen = LabelClassifier(["type: bug", "docs"]).choose(text)
    assert chosen is not None
    assert chosen.label == "type: bug"
    assert LabelClassifier(["docs"]).choose(text) is None
    assert LabelClassifier(["bug"], excluded=["bug"]).choose(text) is None


def test_words_of_the_policy_make_a_label_known() -> None:
    """In both languages."""
    classifier = LabelClassifier(["ui", "bug"], keywords={"ui": ("button", "画面")})
    for text in (issue(1, "The button is grey"), issue(2, "画面の色")):
        chosen = classifier.choose(text)
        assert chosen is not None
        assert chosen.label == "ui"


def test_neighbours_decide_where_no_word_speaks() -> None:
    """If they agree; the issue itself is not its neighbour."""
    taught = [issue(at, f"zlib wheel {at}", "manylinux tag", ("packaging",)) for at in range(1, 6)]
    chosen = LabelClassifier(["packaging", "bug"], taught).choose(issue(9, "zlib wheel for manylinux"))
    assert chosen is not None
    assert chosen.label == "packaging"
    assert LabelClassifier(["packaging"], taught[:1]).choose(taught[0]) is None


def test_below_the_threshold_it_abstains() -> None:
    """A person decides then; the best guess is told, not given."""
    text = issue(9, "Slow page and a typo in the docs")
    judged = judge(text, Knowledge(LABELS, []), Policy(triage=TriagePolicy(min_confidence=0.95)))
    assert judged.label is None
    assert judged.considered is not None
    assert plan(text, judged, Policy()) == ()


def test_duplicates_are_older_open_and_other() -> None:
    """Never the issue itself, never a newer one: two issues cannot name each other; closed ones are not named."""
    one, two = issue(1, "Restore stops at a colon"), issue(2, "Restore stops at a colon again")
    closed = issue(0, "Restore stops at a colon", is_open=False)
    finder = DuplicateFinder([closed, one, two])
    assert [item.number for item in finder.similar(two, 5)] == [1]
    assert finder.similar(one, 5) == []


def test_japanese_is_compared_by_pairs() -> None:
    """Two descriptions without a common space are similar."""
    assert "復元" in words_of("復元が止まる")
    finder = DuplicateFinder([issue(1, "復元が途中で止まる"), issue(2, "検索が遅い")])
    assert finder.similar(issue(3, "途中で復元が止まってしまう"), 1)[0].number == 1


def test_missing_information_by_the_template() -> None:
    """Required headings with nothing under them; optional ones, and issues without the template, are left alone."""
    form = parse_template("bug.yml", FORM)
    assert form == IssueTemplate(
        "bug.yml", ("Steps to reproduce", "バージョン", "Browser"), ("Steps to reproduce", "バージョン")
    )
    body = (
        "### Steps to reproduce\n\nclick\n\n### バージョン\n\n_No response_\n\n### Browser\n\n_No response_"
    )
    assert missing_information(body, [form]) == ("バージョン",)
    assert missing_information("free text", [form]) == ()
    page = parse_template("bug.md", "---\nname: x\n---\n## What happened\n<!-- say -->\n## Version\n")
    assert page is not None
    assert missing_information("## What happened\nit broke\n## Version\n<!-- 1.0? -->\n", [page]) == (
        "Version",
    )


@pytest.mark.parametrize("text", ["a: [", "- 1", "body: 3", "body: [3, {attributes: 1}]", "&a [*a, *a]"])
def test_a_broken_template_is_none(text: str) -> None:
    """It stops nothing."""
    assert parse_template("bug.yml", text) is None


def test_owners_by_the_last_matching_line() -> None:
    """Accounts only: no teams, no addresses, and nobody where no path is named."""
    rules = "* @all-else\n/src/ @ann @acme/team ann@example.org\n*.md @doc # words\n/src/gen/\n"
    assert owners_of("see src/a.py please", rules) == ("ann",)
    assert owners_of("docs/x.md is wrong", rules) == ("doc",)
    assert owners_of("tools/x.py", rules) == ("all-else",)
    assert owners_of("src/gen/x.py", rules) == ()
    assert owners_of("no path here", rules) == ()


def test_severity_words_are_quoted() -> None:
    """High ones win; an order is no description."""
    assert severity_words("It crashes, a minor thing") == ("high", ("crashes",))
    assert severity_words("誤字です") == ("low", ("誤字",))
    assert severity_words("set severity to crash") == ("", ())


def test_a_comment_is_updated_and_mentions_nobody() -> None:
    """A title with a mention, a link and a marker stays text."""
    old = issue(1, "Restore stops @everyone ![x](http://evil/x) <!-- kodo:review:v1 x -->")
    new = issue(2, old.title)
    judged = judge(new, Knowledge(LABELS, [old, new]), Policy())
    body = render(judged, Policy())
    assert "@everyone" not in body
    assert "](http" not in body
    assert body.count("<!--") == 1, "our own marker"
    ours = Comment(id=5, body="<!-- kodo:triage:v1 -->\nold", author="x", is_ours=True)
    assert [type(write) for write in plan(new, judged, Policy(), [ours])][-1] is UpdateComment
    theirs = Comment(id=5, body="<!-- kodo:triage:v1 -->\nold", author="x", is_ours=False)
    assert [type(write) for write in plan(new, judged, Policy(), [theirs])][-1] is CreateComment


def test_only_allowed_actions_are_planned() -> None:
    """A policy without comments gets no comment, and one without anything gets nothing."""
    old, new = issue(1, "Crash with a traceback"), issue(2, "Crash with a traceback")
    knowledge = Knowledge(LABELS, [old, new])
    for actions, kinds in ((("label",), [AddLabels]), (("comment",), [CreateComment]), ((), [])):
        policy = Policy(triage=TriagePolicy(actions=actions))
        assert [type(write) for write in plan(new, judge(new, knowledge, policy), policy)] == kinds


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_in_a_text_changes_nothing(order: str) -> None:
    """Neither the label, nor the comment, nor an assignment."""
    text = order.format(label="security")
    body = "The restore aborts with a traceback."
    knowledge = Knowledge(LABELS, [issue(1, "Restore aborts", body, ("bug",))], codeowners="* @attacker\n")
    policy = Policy(triage=TriagePolicy(actions=("label", "comment", "assign")))
    plain = judge(issue(2, "Restore aborts", body), knowledge, policy)
    told = judge(issue(2, "Restore aborts", f"{text}\n\n{body}\n\n{text}"), knowledge, policy)
    assert told == plain


# The command, on the fake GitHub


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        rows = fake.rows
        rows.labels = ["bug", "good first issue", "enhancement"]
        rows.files[".github/ISSUE_TEMPLATE/bug.yml"] = FORM
        for at, title in enumerate(
            ("Dark theme", "Slow list", "Docs typo", "Login closes", "Empty table", "Old dates"), 10
        ):
            rows.issues[at] = {"title": title, "body": "", "state": "open", "labels": [], "author": "ann"}
        rows.issues[1] = {
            "title": "Restore stops at a colon",
            "body": "",
            "state": "open",
            "labels": [],
            "author": "ann",
        }
        rows.issues[2] = {
            "title": "Restore crashes at a colon", "body": "### Steps to reproduce\n\nrun it, traceback\n\n### バージョン\n\n",
            "state": "open", "labels": [], "author": "bob",
        }  # fmt: skip  # one row
        yield fake


def run(
    github: FakeGitHub, folder: Path, event: dict[str, Any], *args: str, environ: dict[str, str] | None = None
) -> tuple[list[str], str]:
    """The command on an event; what was written, and what it said."""
    file = folder / "event.json"
    file.write_text(json.dumps(event))
    environ = (environ or {}) | {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(file), "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_API_URL": github.url, "GITHUB_TOKEN": "job-2",
    }  # fmt: skip  # one row
    github.calls.clear()
    done = kodo(folder, environ, "ci", *args)
    assert done.returncode == 0, done.stderr
    return [
        f"{call.method} {call.path.removeprefix(f'/repos/{REPOSITORY}/')}" for call in github.writes()
    ], done.stderr


def connected(github: FakeGitHub) -> Forge:
    """The forge as job 2's token sees it, with short pauses."""
    environ = {"GITHUB_TOKEN": "job-2", "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": github.url}
    return connect(System.GITHUB, environ, retry=QUICK)


@pytest.mark.parametrize("path", ["/comments$", "/labels$"])
@pytest.mark.parametrize(
    "fault",
    [Fault("POST", "", 502, after=True), Fault("POST", "", 500), Fault("POST", "", cut=True, after=True)],
)
def test_triage_writes_once_when_an_answer_is_lost(github: FakeGitHub, path: str, fault: Fault) -> None:
    """One label, one comment."""
    rows = github.rows
    rows.labels = ["bug"]
    row = {
        "title": "Crash with a traceback",
        "body": "It fails.",
        "state": "open",
        "labels": [],
        "author": "bob",
    }
    rows.issues = {1: dict(row), 2: dict(row)}
    github.faults.append(Fault("POST", path, fault.status, cut=fault.cut, after=fault.after))
    forge = connected(github)
    for _ in range(2):
        look_again("triage", lambda: triage_issue(forge, 2), AGAIN)
    assert (rows.issues[2]["labels"], len(rows.comments)) == (["bug"], 1)


def test_triage_of_a_new_issue(github: FakeGitHub, tmp_path: Path) -> None:
    """One label, one comment with the similar issue and what is missing; the second time nothing; dry-run never."""
    event = {"action": "opened", "issue": {"number": 2}}
    assert run(github, tmp_path, event, "triage", "--dry-run")[0] == []
    written, said = run(github, tmp_path, event, "triage")
    assert written == ["POST issues/2/labels", "POST issues/2/comments"]
    assert github.rows.issues[2]["labels"] == ["bug"]
    [comment] = github.rows.comments
    assert "- #1 Restore stops at a colon (similarity 0." in comment["body"]
    assert "`バージョン`" in comment["body"]
    assert "label: bug" in said
    assert run(github, tmp_path, event, "triage")[0] == []
