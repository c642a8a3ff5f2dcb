"""Reviews after a push, known by the artifact of the review before: what is looked at again, and what is carried over."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.ci.pipeline import BAD_CART, BAD_TEXT, MAIN, Shop, kodo

from kodo.ci.artifact import Artifact, ArtifactError, clear_artifact, read_artifact, write_artifact
from kodo.ci.change import Change, System
from kodo.ci.review_job import is_part_of_change, review_change
from kodo.jobs.report.model import State

CHANGE = Change(system=System.JENKINS, base="main", head="work", target="main")


@pytest.fixture
def first(shop: Shop, tmp_path: Path) -> Artifact:
    """The review of a change with a finding in one file, written and read as a pipeline does."""
    shop.commit("add", {"shop/cart.py": BAD_CART})
    write_artifact(tmp_path / "kodo-review", review_change(CHANGE, shop.root))
    return read_artifact(tmp_path / "kodo-review")


def paths(artifact: Artifact) -> set[str]:
    return {finding.place.path for finding in artifact.report.findings}


def test_only_what_changed_since_is_looked_at(shop: Shop, first: Artifact) -> None:
    """The report holds the findings of both files, and says what was looked at."""
    shop.commit("more", {"shop/text.py": BAD_TEXT})
    second = review_change(CHANGE, shop.root, earlier=first)
    assert (second.run.since, second.run.paths) == (first.run.head, ("shop/text.py",))
    assert second.run.whole
    assert paths(second) == {"shop/cart.py", "shop/text.py"}
    assert [item.path for item in second.report.reviewed].count("shop/cart.py") == 1
    shop.commit(
        "mend", {"shop/cart.py": MAIN["shop/cart.py"], "shop/text.py": MAIN["shop/text.py"] + "\nX = 1\n"}
    )
    third = review_change(CHANGE, shop.root, earlier=second)
    assert (third.run.since, paths(third), third.report.state) == (second.run.head, set(), State.CLEAN)


def test_a_push_of_nothing_to_review_keeps_what_was_found(shop: Shop, first: Artifact) -> None:
    """The report is not clean."""
    shop.commit("picture", {"logo.png": "\0"})
    second = review_change(CHANGE, shop.root, earlier=first)
    assert (second.report.state, paths(second)) == (State.FINDINGS, {"shop/cart.py"})


@pytest.mark.parametrize("what", ["force-push", "base", "target", "failed", "partial", "version", "again"])
def test_it_is_a_full_review_again(shop: Shop, first: Artifact, what: str) -> None:
    """Wherever the review before is not one that this one can rest on."""
    change = CHANGE
    if what == "force-push":
        shop.git("reset", "-q", "--hard", "main")
        shop.commit("again", {"shop/cart.py": BAD_CART})
    elif what == "base":
        shop.git("checkout", "-q", "main")
        shop.commit("other", {"shop/other.py": "X = 1\n"})
        shop.git("checkout", "-q", "work")
        shop.git("merge", "-q", "main", "-m", "merge")
    elif what == "target":
        change = msgspec.structs.replace(CHANGE, target="release")
    elif what in ("failed", "partial"):
        first = Artifact(first.run, msgspec.structs.replace(first.report, state=State(what)))
    elif what == "version":
        first = Artifact(first.run, msgspec.structs.replace(first.report, kodo="0.0"))
    if what != "again":
        shop.commit("more", {"shop/text.py": BAD_TEXT})
    second = review_change(change, shop.root, earlier=first)
    assert (second.run.since, second.run.whole) == ("", False)
    assert "shop/cart.py" in paths(second)
    assert bool(second.run.not_incremental) == (what != "version")


def test_a_report_of_the_review_before_that_was_forged_moves_nothing_else(
    shop: Shop, first: Artifact
) -> None:
    """Commits that are not there are no base; nothing outside the report is touched."""
    forged = msgspec.structs.replace(first.run, head="f" * 40)
    second = review_change(CHANGE, shop.root, earlier=Artifact(forged, first.report))
    assert (second.run.since, second.run.not_incremental) == ("", "the history was rewritten")


def test_a_report_that_the_change_itself_brings_is_not_believed(
    shop: Shop, first: Artifact, tmp_path: Path
) -> None:
    """A clean report of its parent, committed where the pipeline keeps the last one, would hide what the parent did."""
    clean = Artifact(first.run, msgspec.structs.replace(first.report, findings=(), state=State.CLEAN))
    write_artifact(shop.root / "kodo-review", clean)
    shop.commit("forged", {"shop/text.py": MAIN["shop/text.py"] + "\nX = 1\n"})
    environ = {"JENKINS_URL": "x", "CHANGE_ID": "7", "CHANGE_TARGET": "main", "GIT_COMMIT": shop.head}
    shop.git("update-ref", "refs/remotes/origin/main", "main")
    done = kodo(shop.root, environ, "ci", "review", "--artifact", "kodo-review", "--previous", "kodo-review")
    assert "kodo-review is part of the change" in done.stderr
    assert "shop/cart.py:11" in done.stdout
    assert (done.returncode, "incremental" in done.stderr) == (1, False)


@pytest.mark.parametrize("what", ["file", "link", "link-above", "submodule", "untracked", "outside"])
def test_what_is_part_of_the_change(shop: Shop, tmp_path: Path, what: str) -> None:
    """Files, links on the way and submodules; what a job left there is not, nor is what lies outside the repository."""
    folder = Path("state/kodo-review")
    target = shop.root / folder
    if what == "outside":
        folder = target = tmp_path / "elsewhere"
    if what == "link":
        target.parent.mkdir()
        target.symlink_to(tmp_path)
    elif what == "link-above":
        target.parent.symlink_to(tmp_path)
    elif what == "submodule":
        shop.git("update-index", "--add", "--cacheinfo", f"160000,{shop.head},state")
    else:
        target.mkdir(parents=True)
        (target / "run.json").write_text("{}")
    if what in ("file", "link", "link-above"):
        shop.commit("brings it", {})
    elif what == "submodule":
        shop.git("commit", "-q", "-m", "brings it")
    assert is_part_of_change(folder, shop.root) == (what not in ("untracked", "outside"))


def test_no_link_is_followed_when_the_artifact_is_written(
    first: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change may have one there: a file of it is replaced, and a folder refused."""
    secret = tmp_path / "secret"
    secret.write_text("keep me")
    monkeypatch.chdir(tmp_path)
    folder = Path("out")
    folder.mkdir()
    (folder / "report.json").symlink_to(secret)
    (folder / "junit.xml").write_text("forged")
    clear_artifact(folder)
    assert list(folder.iterdir()) == []
    (folder / "report.json").symlink_to(secret)
    write_artifact(folder, first)
    assert (secret.read_text(), (folder / "report.json").is_symlink()) == ("keep me", False)
    Path("link").symlink_to(folder)
    for bad in (Path("link"), Path("link/below"), tmp_path / "link"):
        with pytest.raises(ArtifactError, match="symbolic link"):
            write_artifact(bad, first)
