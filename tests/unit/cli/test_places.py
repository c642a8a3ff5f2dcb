"""A command that works on the repository or project around the working folder says which that is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kodo.cli import mcp_tools
from kodo.cli.main import run


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """A repository with a folder of somebody else's in it, which has none of its own."""
    folder = tmp_path / "outer"
    (folder / "notes" / "mine").mkdir(parents=True)
    (folder / "a.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "notes" / "mine" / "b.py").write_text("def half(x):\n    return x / 2\n")
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "a.py"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    (folder / "a.py").write_text("def double(x):\n    return x + x\n")
    return folder


COMMANDS = {
    "review": ["review", "--no-model", "--no-run"],
    "review --staged": ["review", "--staged", "--no-model"],
    "review --base": ["review", "--base", "HEAD", "--no-model"],
    "review --commit": ["review", "--commit", "HEAD", "--no-model", "--no-run"],
    "fix": ["fix", "--resume", "none"],
    "ci describe": ["ci", "describe", "--base", "HEAD"],
    "tests": ["tests", "b.py", "--no-model", "--dry-run"],
}


@pytest.mark.parametrize("argv", COMMANDS.values(), ids=COMMANDS)
def test_the_repository_around_a_folder_is_named(
    argv: list[str], outer: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the reader's language; at the repository's own top there is nothing to say."""
    monkeypatch.chdir(outer / "notes" / "mine")
    for lang, said in (("en", f" is {outer}"), ("ja", f" {outer} です")):
        monkeypatch.setenv("KODO_LANG", lang)
        run(argv)
        notes = capsys.readouterr().err.splitlines()
        assert [line for line in notes if said in line] == notes[:1]
    monkeypatch.chdir(outer)
    run([word.replace("b.py", "a.py") for word in argv])
    assert str(outer) not in "\n".join(capsys.readouterr().err.splitlines()[:1])


def test_a_client_of_the_tools_is_told_too(outer: Path) -> None:
    """By the server's instructions."""
    assert mcp_tools._instructions(outer) == mcp_tools._INSTRUCTIONS
    assert f"The repository is {outer}." in mcp_tools._instructions(outer / "notes" / "mine")
