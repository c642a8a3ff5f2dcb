"""Sentences said in Japanese by a table: which words are looked up, and that no text takes long."""

from __future__ import annotations

import time

import pytest

from kodo.client.phrases import Phrases

TABLE = Phrases(
    {
        "not there": "ありません",
        "status {}": "ステータス {}",
        "status {}: {=}": "ステータス {}: {=}",
        "{} is not {}": "{} は {} ではありません",
        "open {}{}": "{}{} を開く",
        "{} ({}; {}); {}": "{}（{}、{}）。{}",
    }
)


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        ("not there", "ありません"),
        ("a.txt: not there", "a.txt: ありません"),
        ("a: b: not there", "a: b: ありません"),
        ("a: is not b", "a: is not b"),
        ("a is not not there", "a は ありません ではありません"),
        ("a is not b is not c", "a は b は c ではありません ではありません"),
        ("GET /a: status 404: not there", "GET /a: ステータス 404: not there"),
        ("status 404: x is not y", "ステータス 404: x is not y"),
        ("status 404", "ステータス 404"),
        ("open ab", "ab を開く"),
        ("open a", "open a"),
        ("is not b", "is not b"),
        ("a is not ", "a is not "),
        ("", ""),
        ("other words", "other words"),
    ],
)
def test_what_is_filled_in_is_said_too_and_what_is_quoted_is_not(english: str, japanese: str) -> None:
    """A hole is never empty, and a sentence without a row stays as it is."""
    assert TABLE.in_japanese(english) == japanese


def test_other_holes_in_the_two_languages_are_refused() -> None:
    """By their number and by their kind."""
    for english, japanese in (("a {}", "a"), ("a {} {=}", "a {=} {}")):
        with pytest.raises(ValueError, match="different holes"):
            Phrases({english: japanese})


def test_the_other_tables_sentence_stands() -> None:
    """Where two tables have the same one."""
    assert (TABLE | Phrases({"not there": "ない"})).in_japanese("a: not there") == "a: ない"


def test_a_text_made_to_take_long_does_not() -> None:
    """A report may come from a job that ran other people's code."""
    began = time.process_time()
    for text in (" (" + "; " * 700 + "(" * 700 + ")" * 700, "a: " * 700, " is not " * 300):
        TABLE.in_japanese(text)
    assert time.process_time() - began < 2.0
