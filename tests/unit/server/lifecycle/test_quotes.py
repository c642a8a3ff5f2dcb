"""Answers in the words of what was found: the right source, the right sentence, and never more than fits."""

from __future__ import annotations

from typing import Any

import pytest

from kodo.server.lifecycle.hosted.quotes import MAX_CHARS, answer_quotes

TEA = "# Tea\n\nGreen tea is steeped for two minutes. Black tea takes four.\n\n- Oolong: three minutes\n"
KYOTO = "## 拝観 {#visit}\n\n本堂は午前九時に開門します。拝観料は五百円です。"
RST = "Static Files\n------------\n\nFiles that do not change, such as style\nsheets, are put into the folder ``static``.\n"


def sources(*texts: str) -> dict[str, dict[str, Any]]:
    """Sources with marks, best first; and a file of a container, which has no text."""
    found: dict[str, dict[str, Any]] = {
        f"[{number}]": {"type": "file_citation", "evidence": text} for number, text in enumerate(texts, 1)
    }
    return {"/mnt/data/x.png": {"type": "container_file_citation"}, **found}


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("How long is green tea steeped?", "Green tea is steeped for two minutes. Black tea takes four.[1]"),
        ("How long for oolong?", "Oolong: three minutes[1]"),
        ("拝観料はいくらですか。", "拝観料は五百円です。[2]"),
        (
            "Into which folder are style sheets put?",
            "Files that do not change, such as style sheets, are put into the folder ``static``.[3]",
        ),
    ],
)
def test_the_sentence_with_the_questions_words_is_quoted(question: str, quote: str) -> None:
    """Of the source that has them, with its mark and the next sentence: without list marks, anchors and headings, wrapped lines joined."""
    assert answer_quotes(question, sources(TEA, KYOTO, RST), None)[0] == quote


def test_a_line_of_code_that_says_nothing_is_no_answer() -> None:
    """Although it has hardly another word than the question's."""
    text = "```python\nagent = Agent(\n```\n\nAn agent is started by three methods of the runner, of which one waits."
    (quote,) = answer_quotes("How is an agent started?", sources(text), None)
    assert quote.startswith("An agent is started")


def test_a_question_with_no_word_of_them_is_not_quoted_at() -> None:
    """The model answers freely then; also where there is nothing to quote."""
    assert answer_quotes("Who won the election?", sources(TEA, KYOTO), None) == ()
    assert answer_quotes("tea", {}, None) == ()
    assert answer_quotes("", sources(TEA), None) == ()


def test_of_two_sources_alike_the_one_found_first_is_taken() -> None:
    """A later one needs more of the question's words."""
    assert answer_quotes("green tea", sources("Tea is green.", "Tea is green."), None)[0].endswith("[1]")
    assert answer_quotes("green tea pot", sources("Tea is hot.", "A pot of green tea."), None)[0].endswith(
        "[2]"
    )


def test_only_close_sentences_are_offered() -> None:
    """The model chooses among those; one that is far behind is none of them."""
    last = "Dogs were never asked about what they eat, and so nobody knows it."
    text = f"Cats eat fish. Cats eat mice. {last}"
    assert set(answer_quotes("What do cats eat?", sources(text), None)) == {
        "Cats eat fish. Cats eat mice.[1]",
        f"Cats eat mice. {last}[1]",
    }


@pytest.mark.parametrize("word", ["word ", "言葉"])
def test_a_quote_is_cut_to_what_fits(word: str) -> None:
    """To the tokens that are left, and to a length that reads; the mark is always there."""
    (short,) = answer_quotes(word, sources(word * 400), 40)
    assert short.endswith("…[1]") and len(short) <= 100
    (long,) = answer_quotes(word, sources(word * 400), None)
    assert len(long) <= MAX_CHARS + len("…[1]")
    assert answer_quotes(word, sources(word * 400), 1) == ()
