"""Both jobs on GitHub, end to end in a real repository: each with the calls made and the comment's text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.ci.pipeline import BAD_CART, BAD_TEXT, MAIN, Pipeline, Shop, kodo

from kodo.ci.testing.github import FakeGitHub


@pytest.fixture
def pipeline(shop: Shop, github: FakeGitHub, tmp_path: Path) -> Pipeline:
    return Pipeline(shop, github, tmp_path)


def test_a_change_with_findings(pipeline: Pipeline) -> None:
    """One comment, comments on lines of the diff, a check that fails; job 1 prints annotations and exits with 1."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART, "shop/text.py": BAD_TEXT})
    pipeline.push()
    done = pipeline.review()
    assert done.returncode == 1, done.stderr
    assert "::warning file=shop/cart.py,line=11" in done.stdout
    assert "## Code review" in (pipeline.folder / "summary.md").read_text()
    assert {file.name for file in (pipeline.folder / "artifact").iterdir()} == {
        "report.json", "run.json", "kodo.sarif", "rdjson.json", "codequality.json", "junit.xml", "annotations.txt",
        "summary.md",
    }  # fmt: skip  # one row
    assert pipeline.written() == [], "job 1 writes nothing"

    assert pipeline.report().returncode == 0
    assert pipeline.written() == ["POST pulls/7/reviews", "POST check-runs", "POST issues/7/comments"]
    assert re.search(r"## kodo review: \d open findings?", pipeline.sticky)
    assert "| `shop/cart.py:11` |" in pipeline.sticky
    posted = {row["path"]: row for row in pipeline.github.rows.line_comments}
    assert posted.keys() == {"shop/cart.py", "shop/text.py"}
    assert posted["shop/cart.py"]["start_line"] == 11
    assert "```suggestion\ndef add(item, cart=None):" in posted["shop/cart.py"]["body"]
    [check] = pipeline.github.rows.checks
    assert (check["conclusion"], check["head_sha"]) == ("failure", pipeline.shop.head)


def test_a_rerun_writes_nothing_new(pipeline: Pipeline) -> None:
    """The same run again: the comment is as it was, and no line comment is made twice."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    pipeline.written()
    pipeline.report()
    assert pipeline.written() == []
    done = pipeline.review()
    assert "incremental" not in done.stderr, "a re-run of job 1 on the same head looks at everything"
    pipeline.report()
    assert [line.partition("/")[0] for line in pipeline.written()] == ["POST check-runs", "PATCH issues"]
    assert "Full review, because it was run again" in pipeline.sticky


def test_a_push_of_nothing_to_review(pipeline: Pipeline) -> None:
    """Only a picture changed since: the other findings stand, and the new head gets its check."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    pipeline.shop.commit("picture", {"logo.png": "\0"})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    assert "| `shop/cart.py:11` |" in pipeline.sticky
    check = pipeline.github.rows.checks[-1]
    assert (check["head_sha"], check["conclusion"]) == (pipeline.shop.head, "failure")


def test_a_push_is_reviewed_incrementally(pipeline: Pipeline) -> None:
    """Only what changed since; the finding that was mended is resolved, the other one stays, none is posted twice."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART, "shop/text.py": BAD_TEXT})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    pipeline.written()
    pipeline.shop.commit("mend", {"shop/cart.py": MAIN["shop/cart.py"] + "\n\nLIMIT = 3\n"})
    pipeline.push()
    done = pipeline.review()
    assert "incremental since" in done.stderr
    run = json.loads((pipeline.folder / "artifact" / "run.json").read_text())
    assert run["paths"] == ["shop/cart.py"]
    pipeline.report()
    written = pipeline.written()
    assert all(
        line.startswith(
            ("POST /graphql", "PATCH pulls/comments/", "PATCH issues/comments/", "POST check-runs")
        )
        for line in written
    )
    assert "PATCH issues/comments/" in " ".join(written)
    by_path = {row["path"]: row["body"] for row in pipeline.github.rows.line_comments}
    assert "**Resolved**" in by_path["shop/cart.py"]
    assert "**Resolved**" not in by_path["shop/text.py"]
    closed = {row["path"]: row["resolved"] for row in pipeline.github.rows.line_comments}
    assert closed == {"shop/cart.py": True, "shop/text.py": False}
    assert "shop/text.py" in pipeline.sticky
    assert "shop/cart.py:11" not in pipeline.sticky
    assert "(files looked at: 1)" in pipeline.sticky


def test_a_force_push_is_reviewed_in_full(pipeline: Pipeline) -> None:
    """The history was rewritten, so nothing of before is relied on; line comments are still not made twice."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    pipeline.shop.git("reset", "-q", "--hard", "main")
    pipeline.shop.commit("again", {"shop/cart.py": BAD_CART, "shop/text.py": BAD_TEXT})
    pipeline.push()
    done = pipeline.review()
    assert "incremental" not in done.stderr
    count = len(pipeline.github.rows.line_comments)
    pipeline.report()
    assert "Full review, because the history was rewritten" in pipeline.sticky
    new = pipeline.github.rows.line_comments[count:]
    assert {row["path"] for row in new} == {"shop/text.py"}


def test_a_changed_base_is_reviewed_in_full(pipeline: Pipeline) -> None:
    """After main was merged into the branch, the change leaves its base elsewhere."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    pipeline.shop.git("checkout", "-q", "main")
    pipeline.shop.commit("other", {"shop/other.py": "X = 1\n"})
    pipeline.shop.git("checkout", "-q", "work")
    pipeline.shop.git("merge", "-q", "main", "-m", "merge")
    pipeline.push()
    pipeline.review()
    pipeline.report()
    assert "Full review, because the base is another one" in pipeline.sticky


def test_a_fork_is_reviewed_and_reported(pipeline: Pipeline) -> None:
    """The run of a fork names no pull request; it is found by the head's owner and commit."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push(owner="stranger", author="stranger")
    pipeline.review()
    pipeline.report()
    assert "| `shop/cart.py:11` |" in pipeline.sticky
    assert any(call.query.get("head") == "stranger:work" for call in pipeline.github.calls)


def test_a_run_of_an_older_head_writes_nothing(pipeline: Pipeline) -> None:
    """A push came in between: the newer run will publish."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    data = pipeline.zipped()
    pipeline.github.finish_run(99, 7, data)
    pipeline.shop.commit("more", {"shop/text.py": BAD_TEXT})
    pipeline.push()
    event = pipeline.folder / "run.json"
    event.write_text('{"workflow_run": {"id": 99}}')
    done = kodo(pipeline.folder, pipeline.job_2(event), "ci", "report")
    assert (done.returncode, pipeline.written()) == (0, [])
    assert "nothing to publish" in done.stderr


@pytest.mark.parametrize("artifact", [None, b"not a zip"])
def test_a_run_without_a_report_is_never_green(pipeline: Pipeline, artifact: bytes | None) -> None:
    """No artifact, or one that is refused: the comment says so, and the check fails."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.report(artifact=artifact)
    assert "## kodo review: could not review this change" in pipeline.sticky
    assert [check["conclusion"] for check in pipeline.github.rows.checks] == ["failure"]


def test_a_failed_review_keeps_what_was_open(pipeline: Pipeline) -> None:
    """Nothing is resolved by a run that could not review."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    pipeline.report()
    pipeline.written()
    pipeline.report(artifact=None)
    assert pipeline.written() == [
        "POST check-runs",
        "PATCH issues/comments/" + str(pipeline.github.rows.comments[0]["id"]),
    ]
    assert "could not review" in pipeline.sticky
    assert "| `shop/cart.py:11` |" in pipeline.sticky


def test_a_clean_change_is_green(pipeline: Pipeline) -> None:
    """No finding, everything looked at: the check passes."""
    pipeline.shop.commit("fine", {"shop/text.py": MAIN["shop/text.py"] + "\n\nLIMIT = 3\n"})
    pipeline.push()
    assert pipeline.review().returncode == 0
    pipeline.report()
    assert "## kodo review: no findings" in pipeline.sticky
    assert [check["conclusion"] for check in pipeline.github.rows.checks] == ["success"]


def test_the_policy_is_the_bases(pipeline: Pipeline) -> None:
    """A change that writes a laxer policy is judged by the base's; a draft is skipped if the base says so."""
    lax = MAIN["pyproject.toml"] + '\n[tool.kodo.ci]\nfail_on = "never"\ndrafts = "skip"\n'
    pipeline.shop.commit("lax", {"pyproject.toml": lax, "shop/cart.py": BAD_CART})
    pipeline.push(draft=True)
    assert pipeline.review().returncode == 1
    pipeline.report()
    assert pipeline.github.rows.checks[-1]["conclusion"] == "failure"


def test_a_skipped_draft_is_not_green(pipeline: Pipeline) -> None:
    """The check is neutral and says why; no comment is written for it."""
    pipeline.shop.git("checkout", "-q", "main")
    pipeline.shop.commit(
        "policy", {"pyproject.toml": MAIN["pyproject.toml"] + '\n[tool.kodo.ci]\ndrafts = "skip"\n'}
    )
    pipeline.shop.git("checkout", "-q", "-B", "work", "main")
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push(draft=True)
    done = pipeline.review()
    assert "not reviewed: the change is a draft" in done.stderr
    pipeline.report()
    assert pipeline.written() == ["POST check-runs"]
    [check] = pipeline.github.rows.checks
    assert (check["conclusion"], check["output"]["summary"]) == (
        "neutral",
        "not reviewed: the change is a draft",
    )


def test_a_change_of_its_own_pipeline_is_said(pipeline: Pipeline) -> None:
    """Such a change could write any report, so the reader is warned and the check is not green."""
    workflow = {".github/workflows/kodo-review.yml": "on: push\njobs: {}\n"}
    pipeline.shop.commit("workflow", workflow)
    pipeline.push()
    pipeline.review()
    pipeline.report()
    assert (
        "This change touches the pipeline that reviews it (`.github/workflows/kodo-review.yml`)"
        in pipeline.sticky
    )
    assert pipeline.github.rows.checks[-1]["conclusion"] != "success"


def test_a_dry_run_writes_nothing(pipeline: Pipeline) -> None:
    """It prints each write as one line of JSON instead."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.review()
    done = pipeline.report("--dry-run")
    assert pipeline.written() == []
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == [
        "AddLineComments",
        "SetCheck",
        "CreateComment",
    ]


def test_job_1_needs_no_token(pipeline: Pipeline) -> None:
    """Without one, the whole change is reviewed and nothing is asked."""
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push()
    pipeline.github.calls.clear()
    assert pipeline.review(GITHUB_TOKEN="").returncode == 1
    assert pipeline.github.calls == []
