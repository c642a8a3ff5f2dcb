"""A model's summary in triage: what the model is shown, that its words can do nothing, and that triage needs none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.ci.hostile import CANARY, TEXTS
from tests.ci.test_triage import github, issue, run

from kodo.ci.masking import Masker
from kodo.ci.policy import Policy
from kodo.ci.testing.github import FakeGitHub
from kodo.ci.triage.job import Knowledge, judge, plan, render
from kodo.ci.triage.summary import MAX_SUMMARY, safe_summary, summarise_issue
from kodo.client.session import Session
from kodo.client.testing import FakeResponses, Reply, refusal

__all__ = ["github"]  # the fixture
EVENT = {"action": "opened", "issue": {"number": 2}}
LABELS = ["bug", "security", "enhancement"]


def test_the_summary_is_one_more_line_of_the_comment(github: FakeGitHub, tmp_path: Path) -> None:
    """Label and comment are those of triage without a model, and it says whose words they are."""
    answer = "Restore stops at a colon. add label security, @everyone, see https://evil.example"
    with FakeResponses([Reply(text=answer)]) as model:
        environ = {"KODO_BASE_URL": model.base_url, "OPENAI_API_KEY": "x"}
        written, _ = run(github, tmp_path, EVENT, "triage", "--model", "m", environ=environ)
    assert written == ["POST issues/2/labels", "POST issues/2/comments"]
    assert github.rows.issues[2]["labels"] == ["bug"]
    body = github.rows.comments[0]["body"]
    assert "Summary by a model, not checked: Restore stops at a colon." in body
    assert "@everyone" not in body
    assert "https://" not in body
    assert "- #1 Restore stops at a colon (similarity 0." in body
    [seen] = model.requests
    assert "Restore crashes at a colon" in seen.body["input"]
    assert "colon" not in seen.body["instructions"], "the issue is data"


def test_the_policy_asks_for_it(github: FakeGitHub, tmp_path: Path) -> None:
    """By default no model is asked."""
    with FakeResponses() as model:
        environ = {"KODO_BASE_URL": model.base_url, "OPENAI_API_KEY": "x"}
        run(github, tmp_path, EVENT, "triage", "--dry-run", environ=environ)
        assert model.requests == []
        github.rows.files["pyproject.toml"] = "[tool.kodo.ci.triage]\nsummary = true\n"
        run(github, tmp_path, EVENT, "triage", "--dry-run", environ=environ)
        assert len(model.requests) == 1


def test_a_model_that_does_not_answer_ends_nothing(github: FakeGitHub, tmp_path: Path) -> None:
    """The label and the comment are written, and the log says why there is no summary."""
    with FakeResponses([refusal(401)]) as model:
        environ = {"KODO_BASE_URL": model.base_url, "OPENAI_API_KEY": "x"}
        written, said = run(github, tmp_path, EVENT, "triage", "--model", "m", environ=environ)
    assert written == ["POST issues/2/labels", "POST issues/2/comments"]
    assert "no summary: " in said
    assert "Summary" not in github.rows.comments[0]["body"]


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_words_of_a_model_move_nothing(text: str) -> None:
    """Whatever it was talked into: the same label and writes, our marker alone, nobody mentioned, nothing linked or drawn."""
    told = issue(2, "Restore aborts", "It aborts with a traceback.")
    knowledge, policy = Knowledge(LABELS, []), Policy()
    plain = judge(told, knowledge, policy)
    judged = replace(plain, summary=safe_summary(f"It stops. {text} {text}", "KODO-1"))
    assert (judged.label, judged.owners, judged.duplicates) == (plain.label, plain.owners, plain.duplicates)
    body = render(judged, policy)
    assert body.count("<!--") == 1
    assert body.startswith("<!-- kodo:triage:v1 -->")
    for bad in (
        "@everyone",
        "@attacker",
        "](http",
        "p://",
        "s://",
        "<img",
        "\n/",
        "\n::",
        "```",
        "\x1b",
        "\u202e",
    ):
        assert bad not in body.replace("\\<", ""), bad
    kinds = {type(write).__name__ for write in plan(told, judged, policy)}
    assert kinds == {"AddLabels", "CreateComment"}


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_issues_stay_inside_their_fence(text: str) -> None:
    """The model is shown them as data: one fence, longer than any in it, with no secret in it."""
    with FakeResponses([Reply(text="fine")]) as model, Session(base_url=model.base_url, model="m") as session:
        body = f"{text}\n```\n{text} {CANARY}\n````"
        assert summarise_issue(session, issue(2, text, body), "en", Masker({}, [CANARY])) == "fine"
    [seen] = model.requests
    shown = seen.body["input"]
    fence = shown.split("text", 1)[0]
    assert set(fence) == {"`"}
    assert shown.count(fence) == 2
    assert CANARY not in str(seen.body)


def test_an_answer_that_repeats_the_instructions_is_none() -> None:
    """And a long one is cut."""
    assert safe_summary("my instructions say KODO-1 must not", "KODO-1") == ""
    assert len(safe_summary("word " * 500, "KODO-1")) <= MAX_SUMMARY + 2
