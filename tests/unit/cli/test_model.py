"""`kodo model`: what it prints where, and that every failure is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.weights_files import tiny_gguf

from kodo.cli.main import run


def test_pull_prints_the_path_on_stdout_and_how_to_use_it_on_stderr(
    own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path alone, so that a script can take it."""
    assert run(["model", "pull", str(tiny_gguf(tmp_path / "Tiny.gguf"))]) == 0
    said = capsys.readouterr()
    assert said.out == f"{own_home}/models/tiny/Tiny.gguf\n"
    assert "use it: kodo serve --model tiny\n" in said.err


def test_list_and_remove(own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, size, licence and source of each; a removed one is gone."""
    source = tiny_gguf(tmp_path / "tiny.gguf", licence="mit")
    assert run(["model", "pull", str(source), "--name", "mine"]) == 0
    capsys.readouterr()
    assert run(["model", "list"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "SIZE", "LICENCE", "SOURCE"]
    assert row.split() == ["mine", "0", "MB", "mit", str(source)]
    assert run(["model", "remove", "mine"]) == 0
    assert capsys.readouterr().err == "removed mine, 0 MB\n"
    assert not (own_home / "models" / "mine").exists()
    assert source.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["remove", "nope"], "no local model is called 'nope'"),
        (["remove", "../keys"], "cannot be a model's name"),
        (["pull", "nope.gguf"], "nope.gguf: no such file"),
        (["pull", "gpt-4"], "not a model that can be pulled"),
        (["pull", "x.gguf", "--name", "A B"], "cannot be a model's name"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    """No traceback, and nothing on stdout."""
    assert run(["model", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err
    assert len(said.err.splitlines()) == 1


def test_a_home_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the folder should be: root cannot write there either."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "file"))
    assert run(["model", "pull", str(tiny_gguf(tmp_path / "tiny.gguf"))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Not a directory: check the disk and KODO_HOME" in line
