"""What `kodo ci init` writes, as far as it can be seen without the systems' own checkers (tests/pipelines)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ci.pipeline import Shop, kodo

from kodo.ci.change import System
from kodo.ci.pipelines import FILES, PipelineDescription, render_pipeline

WORKFLOWS = render_pipeline(System.GITHUB, PipelineDescription())
UNTRUSTED = re.compile(
    r"\$\{\{[^}]*(?:title|body|head_ref|head\.ref|\.label|message|login|full_name)[^}]*\}\}"
)


def steps(text: str) -> list[dict[str, Any]]:
    """All steps of a workflow."""
    return [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_a_commit(name: str) -> None:
    """A tag can be moved."""
    used = [step["uses"] for step in steps(WORKFLOWS[name]) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_expression_in_a_shell_line(name: str) -> None:
    """Values reach a shell by the environment; and none that a stranger chooses is in an expression of a step at all."""
    for step in steps(WORKFLOWS[name]):
        assert "${{" not in step.get("run", "")
        assert not UNTRUSTED.search(str(step))


CHECKS_OUT = {"review", "fix"}
"""The jobs that have code; what they check out is the base or the default branch."""


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    """File, name and content of every job."""
    return [
        (file, name, job)
        for file, text in WORKFLOWS.items()
        for name, job in yaml.safe_load(text)["jobs"].items()
    ]


def test_only_the_publishing_jobs_may_write() -> None:
    """Nothing by default; a job with code reads, and has no secret; contents only to close threads and for a fix's branch."""
    for text in WORKFLOWS.values():
        assert yaml.safe_load(text)["permissions"] == {}
        assert "secrets." not in text
    for _, name, job in jobs():
        writes = {key for key, level in job["permissions"].items() if level == "write"}
        assert bool(writes) == (name not in CHECKS_OUT)
        assert ("contents" in writes) == (name in {"report", "open"})


def test_the_publishing_jobs_check_nothing_out() -> None:
    """And where something is checked out, no token stays on the disk; of a pull request it is the base."""
    for _, name, job in jobs():
        checkouts = [step for step in job["steps"] if "actions/checkout" in step.get("uses", "")]
        assert bool(checkouts) == (name in CHECKS_OUT)
        for step in checkouts:
            assert step["with"]["persist-credentials"] is False
            wanted = "${{ github.event.pull_request.base.sha }}" if name == "review" else None
            assert step["with"].get("ref") == wanted


def test_gitlab_and_jenkins_take_the_requirements_of_the_target() -> None:
    """A change cannot choose what is installed."""
    gitlab = render_pipeline(System.GITLAB, PipelineDescription())[".gitlab/kodo.yml"]
    assert 'git cat-file blob "${CI_MERGE_REQUEST_DIFF_BASE_SHA}:.kodo/requirements.txt"' in gitlab
    jenkins = render_pipeline(System.JENKINS, PipelineDescription())["Jenkinsfile.kodo"]
    assert 'git cat-file blob "${base}:.kodo/requirements.txt"' in jenkins
    assert all("--require-hashes" in text for text in (gitlab, jenkins))


def test_nothing_of_the_change_is_imported_where_it_is_checked_out() -> None:
    """GitLab and Jenkins check the change out: Python must not find "venv" or "pip" there, and nothing is installed below it."""
    for system in (System.GITLAB, System.JENKINS):
        [text] = render_pipeline(system, PipelineDescription()).values()
        runs = re.findall(r"(?:python3|bin/python\S*) +\S+", text)
        assert runs
        assert all(call.endswith(" -I") for call in runs), runs
        assert 'work="$(mktemp -d)"' in text
        assert ".kodo-ci" not in text


@pytest.mark.parametrize("value", ["../x", "a b", "$(id)", "x;y", ""])
def test_a_requirements_path_is_plain(value: str) -> None:
    """It becomes part of shell lines."""
    with pytest.raises(ValueError, match="requirements"):
        PipelineDescription(requirements=value)


def test_init_writes_once(tmp_path: Path) -> None:
    """Files that are there are not replaced without --force; an image without a digest is named."""
    done = kodo(tmp_path, {}, "ci", "init", "gitlab")
    assert (done.returncode, (tmp_path / ".gitlab/kodo.yml").exists()) == (0, True)
    assert "python:3.12 is not pinned" in done.stderr
    again = kodo(tmp_path, {}, "ci", "init", "gitlab")
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    pinned = f"python@sha256:{'a' * 64}"
    forced = kodo(tmp_path, {}, "ci", "init", "gitlab", "--force", "--image", pinned)
    assert (forced.returncode, "not pinned" in forced.stderr) == (0, False)
    assert f"image: {pinned}" in (tmp_path / ".gitlab/kodo.yml").read_text()


ODD_FOLDERS = ["with a space", "日本語のリポジトリ", "größe 'quoted' $HOME", "-dash"]


@pytest.mark.parametrize("system", FILES)
@pytest.mark.parametrize("name", ODD_FOLDERS)
def test_init_in_an_odd_folder(tmp_path: Path, name: str, system: System) -> None:
    """By --folder, from within, and from a folder below: always at the repository's top, and the same files."""
    shop = Shop.create(tmp_path / name)
    below = shop.root / "深い folder" / "src"
    below.mkdir(parents=True)
    wanted = render_pipeline(system, PipelineDescription())
    for folder, args in ((tmp_path, [f"--folder={name}"]), (shop.root, []), (below, [])):
        done = kodo(folder, {}, "ci", "init", system, *args)
        assert done.returncode == 0, done.stderr
        assert all(file in done.stderr for file in wanted)
        assert {path: (shop.root / path).read_text() for path in wanted} == wanted
        made = [line[3:] for line in shop.git("status", "--porcelain", "-uall").splitlines()]
        assert sorted(made) == sorted(wanted), "nothing else, and nothing below"
        for path in wanted:
            (shop.root / path).unlink()


def test_init_without_git_says_where_it_would_be_read(tmp_path: Path) -> None:
    """The files are written where they were asked for."""
    done = kodo(tmp_path, {}, "ci", "init", "github")
    assert (done.returncode, (tmp_path / ".github/workflows/kodo-review.yml").is_file()) == (0, True)
    assert "not in a git repository" in done.stderr
    assert str(tmp_path) in done.stderr


def test_init_leaves_nothing_outside_the_repository(tmp_path: Path) -> None:
    """A repository whose .github leads elsewhere."""
    shop = Shop.create(tmp_path / "shop")
    (tmp_path / "outside").mkdir()
    (shop.root / ".github").symlink_to("../outside")
    done = kodo(shop.root, {}, "ci", "init", "github", "--force")
    assert (done.returncode, "out of the repository" in done.stderr) == (2, True)
    assert not list((tmp_path / "outside").rglob("*.yml"))


@pytest.mark.parametrize("there", ["a file", "a link", "a folder", "nothing"])
def test_init_in_an_odd_repository(tmp_path: Path, there: str) -> None:
    """Where something else is in the way: one line that names it, and nothing outside is written."""
    outside, folder = tmp_path / "outside", tmp_path / "größe 日本語"
    outside.write_text("keep me")
    folder.mkdir()
    if there == "a file":
        (folder / ".gitlab").write_text("")
    elif there == "a link":
        (folder / ".gitlab").mkdir()
        (folder / ".gitlab/kodo.yml").symlink_to(outside)
    elif there == "a folder":
        (folder / ".gitlab/kodo.yml").mkdir(parents=True)
    done = kodo(tmp_path, {}, "ci", "init", "gitlab", "--force", "--folder", str(folder))
    if there == "nothing":  # no repository of git either
        assert (done.returncode, (folder / ".gitlab/kodo.yml").is_file()) == (0, True)
    else:
        assert (done.returncode, ".gitlab" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert outside.read_text() == "keep me"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["svn"], "unknown system"),
        (["plain"], "choose from github, gitlab, jenkins\n"),
        (["github", "--folder", "no/such"], "is not a folder"),
        (["github", "--requirements", "../x"], "requirements"),
        (["gitlab", "--image", "x y"], "image"),
    ],
)
def test_init_refuses_what_it_cannot_write(tmp_path: Path, args: list[str], said: str) -> None:
    """By name, and nothing is written."""
    done = kodo(tmp_path, {}, "ci", "init", *args)
    assert (done.returncode, said in done.stderr) == (2, True)
    assert [item.name for item in tmp_path.iterdir()] == ["home"]


def test_every_template_is_used() -> None:
    """And nothing else lies beside them."""
    folder = Path(__import__("kodo.ci.pipelines", fromlist=["x"]).__file__).with_name("templates")
    assert {file.name for file in folder.iterdir()} == {
        name for files in FILES.values() for name in files.values()
    }
