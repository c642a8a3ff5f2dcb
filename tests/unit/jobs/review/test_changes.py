"""Diffs are read so that every line is where it says: shown on random texts, and against git itself."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kodo.jobs.review import changes
from kodo.jobs.review.changes import (
    DiffError,
    hunks_of,
    patched,
    split_lines,
    unified,
)

LINES = st.lists(
    st.sampled_from(
        [
            "",
            "a",
            "b",
            "-- x",
            "++ y",
            "@@ -1 +1 @@",
            "diff --git a/x b/x",
            "\x0c",
            "é\u2028z",
            "  pass",
            "\\ n",
        ]
    ),
    max_size=30,
)


def text_of(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


@settings(max_examples=200, deadline=None)
@given(LINES, LINES)
def test_a_diff_read_back_gives_both_texts(before: list[str], after: list[str]) -> None:
    """From one text and the hunks the other can be made, in both directions."""
    section = unified(text_of(before), text_of(after))
    assert patched(after, section, reverse=True) == before
    assert patched(before, section) == after


@settings(max_examples=200, deadline=None)
@given(LINES, LINES)
def test_added_lines_and_anchors_are_lines_of_the_new_text(before: list[str], after: list[str]) -> None:
    """No hunk speaks of a line that is not there, and what was removed was in the old text."""
    hunks = hunks_of(unified(text_of(before), text_of(after)), len(after))
    for hunk in hunks:
        assert all(1 <= line <= len(after) for line in hunk.added)
        for removal in hunk.removals:
            assert 1 <= removal.anchor <= max(1, len(after))
            start = removal.old_line - 1
            assert tuple(before[start : start + len(removal.lines)]) == removal.lines


def test_hunks_agree_with_git(tmp_path: Path) -> None:
    """What git calls added is what is read as added."""
    (tmp_path / "old").write_text("a\nb\nc\nd\ne\nf\ng\nh\n")
    (tmp_path / "new").write_text("a\nB\nc\nd\ne\nf\nX\ng\n")
    done = subprocess.run(
        ["git", "diff", "--no-index", "old", "new"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    hunks = hunks_of(done.stdout, 8)
    assert {line for hunk in hunks for line in hunk.added} == {2, 7}
    assert [removal.lines for hunk in hunks for removal in hunk.removals] == [("b",), ("h",)]


def test_a_missing_final_newline_is_no_line(tmp_path: Path) -> None:
    """git's remark about it is not taken for code."""
    section = "@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n"
    (hunk,) = hunks_of(section, 2)
    assert hunk.added == {1, 2}
    assert hunk.context == ((1, "a"), (2, "b"))


def test_a_diff_whose_counts_are_wrong_is_refused() -> None:
    """A hunk that is cut off raises DiffError."""
    with pytest.raises(DiffError, match="diff:"):
        hunks_of("@@ -1,5 +1,5 @@\n a\n", 5)


def test_lines_end_at_line_feeds_only() -> None:
    """Form feeds and Unicode separators stand inside of lines, as in git."""
    assert split_lines("a\x0cb\u2028c\nd") == ["a\x0cb\u2028c", "d"]


def test_a_diff_of_two_texts_that_differ_very_much_is_one_hunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits the texts as any other: applied to the old one it gives the new one, and back."""
    monkeypatch.setattr(changes, "MAX_COMPARISONS", 3)
    for old, new in (
        ("a\nb\nc\nd\n", "a\nx\ny\nd\n"),
        ("b\nc\n", "x\ny\nz\n"),
        ("a\n" * 5, "a\nb\nc\na\na\n"),
    ):
        text = changes.unified(old, new)
        lines, others = changes.split_lines(old), changes.split_lines(new)
        assert changes.patched(lines, text) == others
        assert changes.patched(others, text, reverse=True) == lines
