"""What a project declared at a commit, and an environment with it in the place of today's libraries."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench.real import environments
from bench.real.environments import IMPORT_FAILED, SITE, NoEnvironment, dated, declared

FILES = {
    "pyproject.toml": (
        "[project]\nname = 'a'\ndependencies = ['anyio >= 3', 'tomli; python_version < \"3.11\"', 'pywin32; sys_platform == \"win32\"', "
        "'uvloop; sys_platform != \"win32\"', 'six; python_version == \"2.7\"', 'yaml[c]>=1; python_version < \"4\"']\n"
        "[tool.poetry.dependencies]\npython = '^3.8'\nrich = '^13'\nextra = {version = '1', optional = true}\n"
    ),
    "setup.cfg": "[options]\ninstall_requires =\n    six>=1.9\n    # a note\n    lxml\n",
    "setup.py": "NEEDED = ['w3lib>=1.19.0', 'cssselect']\nsetup(install_requires=NEEDED, tests_require=['pytest'])\n",
    "requirements.txt": "-r other.txt\nclick==8.0  # for the command\ngit+https://example.org/x.git\n",
}


def _repository(folder: Path, files: dict[str, str]) -> str:
    """A repository with one commit of these files; returns its id."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pyproject.toml", {"anyio>=3", "uvloop", "yaml>=1", "rich"}),
        ("setup.cfg", {"six>=1.9", "lxml"}),
        ("setup.py", {"w3lib>=1.19.0", "cssselect"}),
        ("requirements.txt", {"click==8.0"}),
    ],
)
def test_what_is_declared_is_read_in_every_form(tmp_path: Path, name: str, wanted: set[str]) -> None:
    """Without what is for another Python or machine, optional, or no package of the index."""
    sha = _repository(tmp_path / "p", {name: FILES[name]})
    assert declared(tmp_path / "p", sha) == wanted


def test_files_that_do_not_parse_declare_nothing(tmp_path: Path) -> None:
    """Half-written ones are in every history."""
    broken = {"pyproject.toml": "[project", "setup.cfg": "install_requires", "setup.py": "setup("}
    sha = _repository(tmp_path / "p", broken)
    assert declared(tmp_path / "p", sha) == set()
    with pytest.raises(NoEnvironment):
        dated(tmp_path / "p", sha, tmp_path, tmp_path)


def test_the_shared_environment_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the day takes the place of today's in the new one alone, which is made once."""
    shared, asked = tmp_path / "shared", []
    (shared / SITE).mkdir(parents=True)
    (shared / SITE / "six.py").write_text("today")

    def install(wanted: Sequence[str], day: str, target: Path) -> str:
        asked.append((list(wanted), day))
        if len(wanted) > 1 or wanted[0] == "lxml":
            return "no wheel"
        (target / "six.py").unlink()
        (target / "six.py").write_text("of its day")
        return ""

    monkeypatch.setattr(environments, "_uv", install)
    sha = _repository(tmp_path / "p", {"setup.cfg": FILES["setup.cfg"]})
    (tmp_path / "home").mkdir()
    made = [dated(tmp_path / "p", sha, shared, tmp_path / "home") for _ in range(2)]
    assert made[0] == made[1] and (made[0] / SITE / "six.py").read_text() == "of its day"
    assert (shared / SITE / "six.py").read_text() == "today"
    assert [wanted for wanted, _ in asked] == [["lxml", "six>=1.9"], ["lxml"], ["six>=1.9"]]


def test_where_no_package_can_be_had_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing half-made is taken for an environment the next time."""
    monkeypatch.setattr(environments, "_uv", lambda *_: "uv: no wheel")
    (tmp_path / "shared" / SITE).mkdir(parents=True)
    (tmp_path / "home").mkdir()
    sha = _repository(tmp_path / "p", {"setup.cfg": FILES["setup.cfg"]})
    for _ in range(2):
        with pytest.raises(NoEnvironment, match="no wheel"):
            dated(tmp_path / "p", sha, tmp_path / "shared", tmp_path / "home")


def test_a_review_that_could_not_import_is_known() -> None:
    """By what it says of the module; a budget that ran out is something else."""
    said = "parsel/selector.py: import parsel.selector: ImportError: cannot import name 'x' from 'cssselect'"
    assert IMPORT_FAILED.search(said)
    assert not IMPORT_FAILED.search("m.py: the budget ran out before f")
