"""The shell steps of the files that `kodo ci init` writes for GitLab and Jenkins, run as those systems run them.

Only what comes over the network is not real: ``python3 -m venv`` makes a folder with this kodo in it, and its pip writes
down what it was told to install. `make test-pipelines` installs kodo for real, for GitLab.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.ci.pipeline import BAD_CART, Shop, kodo

from kodo.ci.testing.gitlab import PROJECT, FakeGitLab
from kodo.ci.testing.server import GitTree

PYTHON = """#!/bin/sh
set -eu
case "$*" in
"-I -m venv "*)
    mkdir -p "$4/bin"
    cp "$0" "$4/bin/python"
    ln -s {kodo} "$4/bin/kodo"
    ;;
"-I -m pip install --quiet --require-hashes --requirement "*)
    cat "$8" >> {installed}
    ;;
*)
    echo "not expected: $*" >&2
    exit 9
    ;;
esac
"""
WANTED = "kodo==1.0 --hash=sha256:00\n"


@dataclass
class Runner:
    """A machine of a system: its shell, and a folder for what is not real."""

    folder: Path

    @property
    def installed(self) -> str:
        """What pip was told to install."""
        return (self.folder / "installed.txt").read_text()

    def run(
        self, shell: list[str], script: str, cwd: Path, environ: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        python = programs / "python3"
        text = PYTHON.format(
            kodo=Path(sys.executable).with_name("kodo"), installed=self.folder / "installed.txt"
        )
        python.write_text(text)
        python.chmod(0o755)
        home = {"HOME": str(self.folder), "KODO_HOME": str(self.folder / "kodo"), "KODO_LANG": "en"}
        env = {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(self.folder), **home, **environ}
        return subprocess.run(
            [*shell, script], cwd=cwd, env=env, capture_output=True, text=True, timeout=280, check=False
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A machine of its own."""
    folder = tmp_path / "runner"
    folder.mkdir()
    return Runner(folder)


@pytest.fixture
def changed(shop: Shop) -> Shop:
    """The shop with the files of both systems on main, and a change with findings that brings requirements of its own."""
    shop.git("checkout", "-q", "main")
    for system in (["gitlab", "--image", "python:3.12"], ["jenkins"]):
        done = kodo(shop.root, {}, "ci", "init", *system)
        assert done.returncode == 0, done.stderr
    shop.commit("pipeline", {".kodo/requirements.txt": WANTED, ".gitignore": "kodo-review/\n"})
    shop.git("checkout", "-q", "-B", "work", "main")
    shop.commit("add", {"shop/cart.py": BAD_CART, ".kodo/requirements.txt": "evil==1\n"})
    return shop


def gitlab_script(shop: Shop, job: str) -> str:
    """The lines of a job, as GitLab's runner puts them together."""
    text = shop.git("show", "main:.gitlab/kodo.yml")
    return "set -eo pipefail\n" + "\n".join(yaml.safe_load(text)[job]["script"])


def jenkins_script(shop: Shop) -> str:
    """The one shell step, as Groovy reads it: a string between three quotes, in which only backslashes are special."""
    text = shop.git("show", "main:Jenkinsfile.kodo")
    [step] = re.findall(r"sh '''(.*?)'''", text, re.DOTALL)
    return str(step.replace("\\\\", "\\"))


def found(folder: Path) -> list[str]:
    """The files of the report's findings."""
    return [row["location"]["path"] for row in json.loads((folder / "codequality.json").read_text())]


def test_gitlabs_jobs(changed: Shop, runner: Runner, tmp_path: Path) -> None:
    """The review installs what the target names and fails for findings; the report publishes them with the token."""
    variables = {
        "GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_DIFF_BASE_SHA": changed.base,
        "CI_COMMIT_SHA": changed.head, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_PROJECT_ID": str(PROJECT), "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": str(PROJECT),
    }  # fmt: skip  # one row
    script = gitlab_script(changed, "kodo-review")
    done = runner.run(["bash", "-c"], script, changed.root, variables)
    assert (done.returncode, "shop/cart.py:11" in done.stdout) == (1, True), done.stderr
    assert runner.installed == WANTED
    artifact = changed.root / "kodo-review"
    assert found(artifact) == ["shop/cart.py"]
    assert 'failures="1"' in (artifact / "junit.xml").read_text()

    changed.git("checkout", "-q", "main")
    with FakeGitLab(GitTree(changed.root)) as gitlab:
        gitlab.open_request(7, base=changed.base, head=changed.head)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            for file in sorted(artifact.iterdir()):
                made.write(file, f"kodo-review/{file.name}")
        gitlab.finish_pipeline(1, 7, buffer.getvalue())
        token = {"CI_PROJECT_ID": str(PROJECT), "CI_API_V4_URL": gitlab.url, "KODO_GITLAB_TOKEN": "job-2"}
        done = runner.run(
            ["bash", "-c"],
            gitlab_script(changed, "kodo-report"),
            changed.root,
            {"GITLAB_CI": "true", **token},
        )
        assert done.returncode == 0, done.stderr
        assert gitlab.rows.statuses[-1]["state"] == "failed"
        assert any("shop/cart.py" in row["body"] for row in gitlab.rows.notes)


def test_jenkins_step(changed: Shop, runner: Runner, tmp_path: Path) -> None:
    """Its `sh` is `sh -xe`: the target is fetched, the review fails for findings, and nothing is left in the folder of the
    machine's temporary files; a second build looks at what is new only."""
    origin = tmp_path / "origin"
    changed.git("clone", "-q", "--bare", str(changed.root), str(origin))
    changed.git("remote", "add", "origin", str(origin))
    script = jenkins_script(changed)
    for build in (1, 2):
        variables = {
            "JENKINS_URL": "https://ci.example.org/", "CHANGE_ID": "7", "CHANGE_TARGET": "main", "GIT_COMMIT": changed.head,
        }  # fmt: skip  # one row
        done = runner.run(["sh", "-xec"], script, changed.root, variables)
        assert (done.returncode, "shop/cart.py:11" in done.stdout) == (1, True), done.stderr
        assert ("incremental since" in done.stderr) == (build == 2)
        artifact = changed.root / "kodo-review"
        assert 'failures="1"' in (artifact / "junit.xml").read_text()
        assert "shop/cart.py" in (artifact / "kodo.sarif").read_text()
        changed.commit("more", {"shop/text.py": "LIMIT = 3\n"})
    assert runner.installed == 2 * WANTED
    assert [path.name for path in runner.folder.iterdir() if path.name.startswith("tmp")] == []
