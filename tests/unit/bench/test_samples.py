"""The judge of the samples' answers, by hand."""

from __future__ import annotations

import pytest
from bench.bench_samples import unfinished


@pytest.mark.parametrize(
    "text",
    [
        "これは素数を判定する関数です。",
        "Done.",
        "Use it:\n\n```python\nprint(1)\n```",
        "1. first\n2. second one",
        "- a list\n- of words",
    ],
)
def test_a_finished_answer(text: str) -> None:
    """Sentences, closed code blocks and list items end one."""
    assert unfinished(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n", "empty"),
        ("```python\nprint(", "in an open code block"),
        ("```python\nprint(1)\n```\n\n```", "in an open code block"),
        ("This function returns the", "cut in a sentence"),
        ("この関数は素数を", "cut in a sentence"),
    ],
)
def test_one_that_is_not(text: str, why: str) -> None:
    """The reason is named."""
    assert unfinished(text) == why
