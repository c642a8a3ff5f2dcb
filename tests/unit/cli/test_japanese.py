"""In Japanese, errors are Japanese: what a command says itself, what a job found wrong, what a call ended with."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from kodo.cli import main as entry
from kodo.client.error_translation import translate
from kodo.client.errors import KodoError
from kodo.client.i18n import LocalizedError, words_of
from kodo.jobs.review import git

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with one commit, as the working folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    (folder / "a.py").write_text("x = 1\n")
    name = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *name, *words], check=True)
    yield folder


@pytest.mark.parametrize(
    ("argv", "english"),
    [
        (["--base", "none"], "no commit is named 'none'"),
        (["--commit", "none"], "no commit is named 'none'"),
        (["none.py"], "no such file or directory"),
        (["--diff", "broken.diff"], "diff: "),
        (["--class", "none", "a.py"], "unknown class 'none'"),
        (["a.py", "--record", "x", "--replay", "y"], "mutually exclusive"),
    ],
    ids=["base", "commit", "path", "diff", "class", "record"],
)
def test_a_review_names_what_is_wrong_in_its_language(
    argv: list[str], english: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same error in both; in Japanese no English sentence is left of it."""
    (repository / "broken.diff").write_text("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n+x\n+y\n")
    for lang in ("en", "ja"):
        extra = [] if "--record" in argv else ["--no-model"]
        assert entry.run(["review", *argv, *extra, "--lang", lang]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert (english in said) is (lang == "en"), said
        assert bool(JAPANESE.search(said)) is (lang == "ja"), said


def test_settings_of_a_project_that_are_wrong(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The key stays as it is written, the sentence does not."""
    for text in ("[tool.kodo.review]\nnone = 1\n", "[tool.kodo.review]\nexclude = 1\n", "["):
        (repository / "pyproject.toml").write_text(text)
        assert entry.run(["review", "a.py", "--no-model", "--lang", "ja"]) == 2
        assert JAPANESE.search(capsys.readouterr().err)


def test_gits_own_words_are_quoted(tmp_path: Path) -> None:
    """They are in git's language; the sentence around them is in the reader's."""
    with pytest.raises(git.GitError) as caught:
        git.Repository(tmp_path).top()
    assert "not a git repository" in str(caught.value)
    assert words_of(caught.value, "ja").startswith("git rev-parse が失敗しました（git: not a git repository")


def test_an_error_of_a_call_has_both_languages() -> None:
    """The line of a command whose server is away."""
    request = openai.DefaultHttpxClient().build_request("POST", "http://127.0.0.1:9/v1/responses")
    found = translate(openai.APIConnectionError(request=request))
    assert isinstance(found, KodoError)
    assert str(found).startswith("connection to http://127.0.0.1:9 failed")
    assert "kodo serve" in str(found)
    assert words_of(found, "ja").startswith("http://127.0.0.1:9 に接続できませんでした")
    assert words_of(found, "en") == str(found)


def test_an_error_without_japanese_words_is_english() -> None:
    """Better than nothing."""
    assert words_of(ValueError("no"), "ja") == "no"
    assert words_of(KodoError("no"), "ja") == "no"
    assert words_of(LocalizedError("no", "いいえ"), "ja") == "いいえ"


def test_a_base_url_without_a_scheme_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No retries for what only the user can change."""
    monkeypatch.setattr("sys.stdin", None)
    for lang, said in (("en", "must begin with http://"), ("ja", "http:// または https:// で始めてください")):
        assert entry.run(["ask", "hi", "--base-url", "localhost:8000", "--lang", lang]) == 2
        line = capsys.readouterr().err
        assert said in line
        assert line.count("\n") == 1


def test_a_target_that_is_not_there_is_not_called_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file and one that is not Python are two mistakes."""
    text = tmp_path / "a.txt"
    text.write_text("x")
    for path, english, japanese in (
        (tmp_path / "none.py", "there is no such file", "ファイルがありません"),
        (text, "not a Python file", "Python ファイルではありません"),
    ):
        for lang, said in (("en", english), ("ja", japanese)):
            assert entry.run(["tests", str(path), "--no-model", "--lang", lang]) == 2
            assert said in capsys.readouterr().err
