"""Where a text that goes round in a loop ends."""

from __future__ import annotations

import pytest

from kodo.server.engines.llama.decoding.loops import LoopFollower


def _ended(text: str, written: str = "") -> str | None:
    """The text, a few characters at a time, up to where it ends, with what closes it; None: it runs to its end."""
    follower = LoopFollower(written)
    for first in range(0, len(text), 3):
        if follower.add(text[first : first + 3]):
            return text[: first + 3] + follower.closing
    return None


def test_it_ends_behind_the_sentence_of_the_loop() -> None:
    """Not where the loop was noticed."""
    said = _ended("A list: " + "The answer is yes. " * 50)
    assert said is not None
    assert said.endswith(("The answer is yes.", "The answer is yes. "))
    assert len(said) < 120


def test_a_loop_in_japanese_ends_behind_its_sentence() -> None:
    """A full stop ends it without white space behind it."""
    said = _ended("説明します。" + "これは配列から重複を取り除く関数です。" * 30)
    assert said is not None
    assert said.rstrip("…").endswith(("です。", "です。これ", "です。こ"))


@pytest.mark.parametrize("unit", ["カウンタークラスでは、", "グルーティの", "and so on "])
def test_a_loop_without_a_sentence_ends_with_an_ellipsis(unit: str) -> None:
    """A round later at the latest."""
    said = _ended(unit * 60)
    assert said is not None
    assert said.endswith("…")
    assert len(said) < 60 + 14 * len(unit)


def test_an_open_code_block_is_closed() -> None:
    """Behind a line of it."""
    said = _ended("```python\n" + "print(total)\n" * 40)
    assert said is not None
    assert said.endswith("\n```")
    assert said.count("```") == 2


def test_a_text_without_a_loop_is_left_alone() -> None:
    """A table of numbers is no loop."""
    assert _ended("\n".join(f"| {number} | {number * number} |" for number in range(200))) is None


@pytest.mark.parametrize(
    "line", ["{}. 1 pear is 1 piece of fruit.\n", "print(square({}))\n", "{}. これは果物のひとつです。\n"]
)
def test_rounds_that_differ_in_their_numbers_alone_are_a_loop(line: str) -> None:
    """A model that counts has no end: the list ends behind one of its lines."""
    said = _ended("The list:\n" + "".join(line.format(number) for number in range(1, 400)))
    assert said is not None
    assert 15 <= said.count("\n") <= 20
    assert said.rstrip("…\n").endswith(tuple(line.rstrip().rpartition("{}")[2]))


def test_a_program_that_counts_is_no_loop() -> None:
    """FizzBuzz up to 200: its rounds are few."""
    lines = ("Fizz" * (n % 3 == 0) + "Buzz" * (n % 5 == 0) or str(n) for n in range(1, 201))
    assert _ended("\n".join(lines)) is None


def test_what_was_written_before_counts() -> None:
    """An answer that continues after a restart does not begin its rounds anew."""
    unit = "The answer is yes. "
    assert _ended(unit * 2, written="So. " + unit * 3) is not None
    assert _ended(unit * 2) is None
