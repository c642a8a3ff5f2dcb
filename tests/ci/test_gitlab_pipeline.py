"""Both jobs on GitLab, and job 1 on Jenkins and any other pipeline, in a real repository."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ci.pipeline import BAD_CART, BAD_TEXT, MAIN, Shop, kodo

from kodo.ci.testing.gitlab import PROJECT, FakeGitLab
from kodo.ci.testing.server import GitTree


@pytest.fixture
def gitlab(shop: Shop) -> Iterator[FakeGitLab]:
    with FakeGitLab(GitTree(shop.root)) as fake:
        yield fake


JOB_2 = {"GITLAB_CI": "true", "CI_PROJECT_ID": str(PROJECT), "KODO_GITLAB_TOKEN": "job-2"}


def archive(folder: Path) -> bytes:
    """GitLab's archive keeps the artifact's path."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for file in sorted(folder.iterdir()):
            made.write(file, f"kodo-review/{file.name}")
    return buffer.getvalue()


def variables(shop: Shop, gitlab: FakeGitLab) -> dict[str, str]:
    """Those of a merge request's pipeline; there is no token."""
    return {
        "GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_DIFF_BASE_SHA": shop.base,
        "CI_COMMIT_SHA": shop.head, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_API_V4_URL": gitlab.url,
        "CI_MERGE_REQUEST_PROJECT_ID": str(PROJECT), "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "99",
    }  # fmt: skip  # one row


def test_a_merge_request(shop: Shop, gitlab: FakeGitLab, tmp_path: Path) -> None:
    """Reviewed without a token, published by a scheduled job, mended, and its thread resolved; published once only."""
    shop.commit("add", {"shop/cart.py": BAD_CART})
    gitlab.open_request(7, base=shop.base, head=shop.head)
    folder = tmp_path / "kodo-review"
    done = kodo(shop.root, variables(shop, gitlab), "ci", "review", "--artifact", str(folder))
    assert (done.returncode, "shop/cart.py:11" in done.stdout) == (1, True)
    assert json.loads((folder / "codequality.json").read_text())[0]["location"]["path"] == "shop/cart.py"
    assert gitlab.calls == [], "job 1 asks nothing"

    gitlab.finish_pipeline(1, 7, archive(folder))
    job_2 = {
        "GITLAB_CI": "true",
        "CI_PROJECT_ID": str(PROJECT),
        "CI_API_V4_URL": gitlab.url,
        "KODO_GITLAB_TOKEN": "job-2",
    }
    kodo(tmp_path, job_2, "ci", "report", "--newest", "5")
    assert [f"{call.method} {call.path.rpartition('/')[2]}" for call in gitlab.writes()] == [
        "POST discussions", f"POST {shop.head}", "POST notes",
    ]  # fmt: skip  # one row
    [thread] = [row for row in gitlab.rows.notes if "position" in row]
    assert "```suggestion:-" in thread["body"]
    assert gitlab.rows.statuses[-1]["state"] == "failed"
    gitlab.calls.clear()
    kodo(tmp_path, job_2, "ci", "report", "--newest", "5")
    assert gitlab.writes() == [], "nothing twice"

    shop.commit("more", {"shop/text.py": BAD_TEXT})
    gitlab.open_request(7, base=shop.base, head=shop.head)
    again = ("ci", "review", "--artifact", str(folder), "--previous", str(folder))
    done = kodo(shop.root, variables(shop, gitlab), *again)
    assert "incremental since" in done.stderr
    shown = {row["location"]["path"] for row in json.loads((folder / "codequality.json").read_text())}
    assert shown == {"shop/cart.py", "shop/text.py"}, "GitLab's widget would show the others as mended"
    # This pipeline is never published: the schedule comes after the next push.
    mended = MAIN["shop/cart.py"] + "\n\nLIMIT = 3\n"
    shop.commit("mend", {"shop/cart.py": mended})
    gitlab.open_request(7, base=shop.base, head=shop.head)
    kodo(shop.root, variables(shop, gitlab), *again)
    gitlab.finish_pipeline(2, 7, archive(folder))
    kodo(tmp_path, job_2, "ci", "report", "--newest", "5")
    assert (thread["resolved"], "**Resolved**" in thread["body"]) == (True, True)
    [second] = [row for row in gitlab.rows.notes if "position" in row and row is not thread]
    assert (second["position"]["new_path"], second["resolved"]) == ("shop/text.py", False)
    [sticky] = [row["body"] for row in gitlab.rows.notes if row["body"].startswith("<!-- kodo:review:v1 ")]
    assert ("shop/text.py" in sticky, "shop/cart.py" in sticky) == (True, False)
    assert "(files looked at: 1)" in sticky


def test_the_pipeline_of_a_fork_is_published(shop: Shop, gitlab: FakeGitLab, tmp_path: Path) -> None:
    """It ran in the fork, where its artifact can be read if the fork is public; the number is the merge request's."""
    shop.commit("add", {"shop/cart.py": BAD_CART})
    gitlab.open_request(7, base=shop.base, head=shop.head, source=99)
    folder = tmp_path / "kodo-review"
    kodo(shop.root, variables(shop, gitlab), "ci", "review", "--artifact", str(folder))
    gitlab.finish_pipeline(3, 7, archive(folder), project=99)
    gitlab.readable_forks = set()
    done = kodo(tmp_path, JOB_2 | {"CI_API_V4_URL": gitlab.url}, "ci", "report", "--newest", "5")
    assert (done.returncode, gitlab.writes()) == (0, []), "a private fork"
    assert "merge request 7: the fork's pipeline cannot be read" in done.stderr
    gitlab.readable_forks = {99}
    kodo(tmp_path, JOB_2 | {"CI_API_V4_URL": gitlab.url}, "ci", "report", "--newest", "5")
    assert gitlab.rows.statuses[-1]["state"] == "failed"
    assert any("shop/cart.py:11" in row["body"] for row in gitlab.rows.notes)
    assert all("/projects/99/" not in call.path for call in gitlab.calls if call.writes)


def test_a_broken_run_does_not_end_the_others(shop: Shop, gitlab: FakeGitLab, tmp_path: Path) -> None:
    """One pipeline's merge request is gone; the next is published all the same, and the status says that one failed."""
    shop.commit("add", {"shop/cart.py": BAD_CART})
    gitlab.open_request(7, base=shop.base, head=shop.head)
    gitlab.finish_pipeline(1, 7, None)
    gitlab.rows.pipelines[2] = {"sha": shop.head, "request": 99}
    job_2 = {
        "GITLAB_CI": "true",
        "CI_PROJECT_ID": str(PROJECT),
        "CI_API_V4_URL": gitlab.url,
        "KODO_GITLAB_TOKEN": "job-2",
    }
    done = kodo(tmp_path, job_2, "ci", "report", "--newest", "5")
    assert (done.returncode, "run 2: " in done.stderr) == (5, True)
    assert gitlab.rows.statuses[-1]["state"] == "failed"


def test_jenkins_and_any_other_pipeline(shop: Shop, tmp_path: Path) -> None:
    """By the variables of a multibranch build, and by two of kodo's own."""
    shop.commit("add", {"shop/cart.py": BAD_CART})
    shop.git("update-ref", "refs/remotes/origin/main", "main")
    jenkins = {
        "JENKINS_URL": "https://ci.example.org/",
        "CHANGE_ID": "7",
        "CHANGE_TARGET": "main",
        "GIT_COMMIT": shop.head,
    }
    for environ in (jenkins, {"KODO_CI_BASE": "main"}):
        folder = tmp_path / "artifact"
        done = kodo(shop.root, environ, "ci", "review", "--artifact", str(folder))
        assert (done.returncode, "shop/cart.py:11" in done.stdout) == (1, True)
        assert 'failures="1"' in (folder / "junit.xml").read_text()
    missing = kodo(shop.root, {}, "ci", "review")
    assert (missing.returncode, missing.stderr.startswith("kodo: KODO_CI_BASE: not set")) == (2, True)
    assert "--base" in missing.stderr
