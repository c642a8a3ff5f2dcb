"""Help and errors of usage are in the language of the reader, and a page fits its terminal."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kodo.cli import help as command_help
from kodo.cli import main as entry
from kodo.cli.main import COMMANDS
from kodo.cli.registry import LazyCommand

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def paragraphs(command: Any) -> Iterator[str]:
    """What a command and everything below it say of themselves, a paragraph at a time."""
    command = command.load() if isinstance(command, LazyCommand) else command
    texts = [command.help, *(getattr(one, "help", None) for one in command.params)]
    for text in filter(None, texts):
        yield from (" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())
    for child in getattr(command, "commands", {}).values():
        yield from paragraphs(child)


def pages_of(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """The names of a command and of everything below it."""
    command = command.load() if isinstance(command, LazyCommand) else command
    yield names
    for name, child in getattr(command, "commands", {}).items():
        yield from pages_of(child, *names, name)


def test_every_paragraph_of_help_has_japanese_words_and_no_row_is_left_over() -> None:
    """The table and the commands say the same: a new option without its row fails here."""
    used = (
        set(paragraphs(entry.build())) | {line for _, _, line in COMMANDS} | {"Show this message and exit."}
    )
    rows = command_help._table()
    assert used == set(rows)
    assert not [english for english, japanese in rows.items() if not JAPANESE.search(japanese)]


@pytest.mark.parametrize("name", ["", *(name for name, _, _ in COMMANDS)])
def test_a_page_in_japanese_has_no_english_sentence_and_no_line_that_is_too_wide(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also its headings; wide characters count two columns."""
    monkeypatch.setenv("KODO_LANG", "ja")
    monkeypatch.setenv("COLUMNS", "80")
    assert entry.run([*name.split(), "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("使い方: kodo")
    for english in ("Options:", "Commands:", "Arguments:", "default:", "required]", "Show this"):
        assert english not in page
    assert not [line for line in page.splitlines() if command_help.width(line) > 82]
    sentences = re.findall(r"\b[a-z]+ [a-z]+ [a-z]+ [a-z]+\b", page)
    assert not sentences


def test_the_option_chooses_the_language_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    """As it does that of messages."""
    for argv in (["ask", "--lang", "ja", "--help"], ["ask", "--lang=ja", "--help"]):
        assert entry.run(argv) == 0
        assert "オプション:" in capsys.readouterr().out


def test_the_language_may_stand_before_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For help and for what a command says, unless the command has its own; nothing of it is left afterwards."""
    monkeypatch.setenv("KODO_LANG", "en")
    for argv in (["--lang", "ja", "--help"], ["--lang=ja", "ask", "--help"]):
        assert entry.run(argv) == 0
        assert "オプション:" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    for argv, japanese in (
        (["--lang", "ja", "ask", "-f", "none.txt", "x"], True),
        (["ask", "-f", "none.txt", "x"], False),
        (["--lang", "ja", "ask", "--lang", "en", "-f", "none.txt", "x"], False),
    ):
        assert entry.run(argv) == 2
        assert bool(JAPANESE.search(capsys.readouterr().err)) is japanese


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_kinds_of_values_are_words_for_people(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, numbers and paths, and not the types of the program; on the pages of groups' commands too."""
    kinds: set[str] = set()
    for argv in (["serve"], ["review"], ["ask"], ["keys", "create"], ["ci", "review"], ["budget", "set"]):
        assert entry.run([*argv, "--lang", lang, "--help"]) == 0
        kinds |= set(re.findall(r"(?m)^ +\S.*? <([^>|]+)>", capsys.readouterr().out))
    assert kinds == {"text", "number", "path"}


@pytest.mark.parametrize(
    "argv",
    [
        ["aks"],
        ["ask", "--modle"],
        ["ask", "-f"],
        ["ask", "--quiet=3"],
        ["batch"],
        ["batch", "run"],
        ["budget", "set", "week", "5"],
        ["serve", "--port", "x"],
        ["serve", "--port", "99999"],
        ["usage", "a", "b"],
    ],
    ids=" ".join,
)
def test_an_error_of_usage_is_in_the_language_of_the_reader(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line in each; none has the name of a class of the parser in it."""
    for lang in ("en", "ja"):
        monkeypatch.setenv("KODO_LANG", lang)
        assert entry.run(argv) == 2
        said = capsys.readouterr().err
        assert bool(JAPANESE.search(said)) is (lang == "ja"), said
        assert "Value error" not in said


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_numbers_that_an_option_takes_are_in_words(
    lang: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No formula with an x, on any page."""
    monkeypatch.setenv("COLUMNS", "200")
    pages = ""
    for names in pages_of(entry.build()):
        assert entry.run(["--lang", lang, *names, "--help"]) == 0
        pages += "".join(capsys.readouterr().out.split())  # lines are folded within a range too
    assert not re.search(r"<=x|x[<>]=", pages)
    ranges = {
        "en": ("[0to65535]", "512ormore]", "[0.000001to1000000]"),
        "ja": ("[0～65535]", "512以上]", "[0.000001～1000000]"),
    }
    for words in ranges[lang]:
        assert words in pages


def test_a_wrong_amount_is_named_also_where_it_begins_as_an_option_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A limit below zero is refused as an amount."""
    for amount in ("-3", "-.5", "-1e5"):
        assert entry.run(["budget", "set", "day", amount]) == 2
        assert f"invalid amount '{amount}'" in capsys.readouterr().err


def test_a_run_of_fix_that_does_not_begin_says_nothing_of_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to resume."""
    (tmp_path / "m.py").write_text("x = 1\n")
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    assert entry.run(["fix", "--no-model", "--test", "missing.py"]) != 0
    said = capsys.readouterr().err
    assert "missing.py" in said and "--resume" not in said


def test_a_list_of_commands_cuts_no_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The first sentence of each, whole."""
    for name in ("model", "keys", "store", "ci", "batch", "budget"):
        assert entry.run([name, "--help"]) == 0
        assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_lines_are_folded_beside_wide_characters() -> None:
    """No line begins with a closing mark or ends with an opening one, and words are whole."""
    assert command_help.fold("これは長い文、です", 14) == ["これは長い文、", "です"]
    assert command_help.fold("これは長い文字、です", 14) == ["これは長い文字、", "です"]
    assert command_help.fold("値（temperature）", 6) == ["値", "（temperature）"]
    assert command_help.fold("one two three", 7) == ["one two", "three"]
