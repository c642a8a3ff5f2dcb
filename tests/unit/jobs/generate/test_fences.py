"""Finding the code in what a model wrote, whole or in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.jobs.generate.fences import CodeFilter, extract_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Sure! Here it is:\n\n```\na\nb\n```\nHope it helps.", "a\nb\n"),
        ("```\nfirst\n```\nand\n```\nsecond\n```", "first\n"),
        ("~~~sh\nls\n~~~", "ls\n"),
        ("````md\n```\ninner\n```\n````", "```\ninner\n```\n"),
        ("```python\nnever closed", "never closed"),
        ("```\n```", ""),
        ("  ```js\n  go()\n  ```", "  go()\n"),
        ("    ```\nindented code, no fence", None),
        ("no code `here` at all", None),
        ("a ``` in the line\nis no fence", None),
        ("", None),
    ],
)
def test_the_first_block_is_the_code(text: str, code: str | None) -> None:
    """The first fenced block without its fences; None where there is none."""
    assert extract_code(text) == code


LINES = st.lists(
    st.sampled_from(["```", "```py", "~~~", "````", "x = 1", "", "  text", "``", "tail `"]), max_size=12
)


@given(LINES.map("\n".join), st.lists(st.integers(1, 5)))
def test_pieces_give_the_same_as_the_whole(text: str, cuts: list[int]) -> None:
    """However a text is cut into pieces, the code that comes out is the same."""
    whole = CodeFilter()
    expected = whole.feed(text) + whole.finish()
    found, out, rest = CodeFilter(), "", text
    for cut in cuts:
        out, rest = out + found.feed(rest[:cut]), rest[cut:]
    out += found.feed(rest) + found.finish()
    assert (out, found.fenced) == (expected, whole.fenced)
    assert extract_code(text) == (expected if whole.fenced else None)


def test_code_comes_out_while_it_is_written() -> None:
    """A line of code is passed on when it is complete; chatter before it is not."""
    found = CodeFilter()
    assert found.feed("Here:\n```py\n") == ""
    assert found.feed("a = 1\nb = ") == "a = 1\n"
    assert found.feed("2\n``") == "b = 2\n"
    assert found.feed("`\nbye") + found.finish() == ""


def test_a_text_without_a_fence_comes_out_whole_at_the_end() -> None:
    """Nothing is lost when a model forgets the fence."""
    found = CodeFilter()
    assert found.feed("x = 1\n") == ""
    assert found.finish() == "x = 1"
