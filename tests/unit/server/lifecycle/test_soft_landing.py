"""Where a free text ends at the server's own cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.server.lifecycle.soft_landing import SoftLanding

CAP = 40


def _ended(words: list[str]) -> str:
    """The text up to where it ends, a token for each word, and what closes it."""
    landing = SoftLanding(CAP)
    said = ""
    for number, word in enumerate(words, start=1):
        if landing.ends_before(word, number - 1):
            return said + landing.closing
        said += word
        landing.add(word)
        if landing.ends(number):
            return said + landing.closing
    raise AssertionError("the text never ends")


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["word "] * 33 + ["end. "] + ["more "] * 30, "end. "),
        (["word"] + [" word"] * 32 + ["."] + [" more"] * 30, "word."),
        (["word"] + [" word"] * 32 + ["."] + ["\n\n"] + ["more"] * 30, "word."),
        (["word"] + [" word"] * 32 + [":", "\n"] + [" more"] * 2 + ["."] + [" x"] * 30, "more."),
        (
            ["word"] + [" word"] * 26 + ["\n", "12", ".", " an", " apple", "\n"] + [" more"] * 30,
            "12. an apple\n",
        ),
        (["word "] * 33 + ["end.\n"] + ["more "] * 30, "end.\n"),
        (["語"] * 33 + ["。"] + ["語"] * 30, "。"),
        (["- item ", "is ", "here\n"] * 30, "here\n"),
        (["```py\n"] + ["x = 1\n"] * 50 + ["```\n", "So. "], "```\n"),
    ],
)
def test_it_ends_behind_a_sentence_an_item_or_a_block(words: list[str], end: str) -> None:
    """The first such place from three quarters of the cap on."""
    said = _ended(words)
    assert said.endswith(end)
    assert said.count("```") % 2 == 0


def test_without_such_a_place_it_ends_at_the_cap_between_words() -> None:
    """A text without sentences ends at a gap, and never inside a word; an ellipsis says that it does not end there."""
    assert _ended(["wo", "rd "] * 100) == "word " * (CAP // 2) + "…"
    assert _ended([" word"] * 100) == " word" * CAP + "…"
    assert _ended(["語"] * 100) == "語" * CAP + "…"


def test_a_block_that_is_never_closed_is_closed_behind_a_line() -> None:
    """After twice the cap."""
    said = _ended(["```py\n"] + ["x = 1\n"] * 500)
    assert said.endswith("x = 1\n```")
    assert said.count("\n") == 2 * CAP


def test_a_block_of_one_endless_line_is_closed_inside_it() -> None:
    """A list of dates in one line went on to the window's end: thousands of tokens."""
    said = _ended(["```py\n", "days = ["] + ["'2022-01-01', "] * 500)
    assert said.endswith("', \n```")
    assert said.count("2022") <= 2 * CAP + CAP // 8


_PIECES = [
    "word",
    " word",
    ".",
    " ",
    "\n",
    "\n\n",
    "```",
    "```py\n",
    "~~~\n",
    "- ",
    "1.",
    "x = [",
    "1, ",
    "。",
    "語",
    "|",
    ":",
    "`",
]


@given(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12),
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=3),
)
def test_every_text_ends(begin: list[str], round_: list[str]) -> None:
    """Whatever is written and however it goes on, it ends at an eighth of the cap above twice the cap."""
    limit = 2 * CAP + CAP // 8
    words = (begin + round_ * limit)[:limit]
    assert _ended(words)


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("a\n~~~\ncode", "\n~~~"),
        ("a\n```\ncode\n```\nb.", ""),
        ("a\n```\ncode\n```", ""),
        ("It ends.", ""),
        ("**It ends.**", ""),
        ("終わりです。", ""),
        ("| a | b |", ""),
        ("- an item\n", ""),
        ("", ""),
        ("It does not", "…"),
        ("終わりでは", "…"),
        ("a\n```\ncode\n```\nb", "…"),
    ],
)
def test_what_makes_a_text_whole(text: str, closing: str) -> None:
    """The mark of the block that is open, or an ellipsis behind half a sentence."""
    landing = SoftLanding(CAP)
    landing.add(text)
    assert landing.closing == closing
