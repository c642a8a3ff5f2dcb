"""The second push moves every line and adds nothing to review."""

from bench.scorecard.cases import SourceFile
from bench.scorecard.revisions import added_lines, on_the_comment, push_again

CHANGED = SourceFile("a.go", "package a\n", "package a\n\nvar x = 1\n")
CONTEXT = SourceFile("b.py", "y = 1\n", "y = 1\n")
GONE = SourceFile("c.py", "z = 1\n", None)


def test_only_changed_files_that_still_exist_are_pushed_again_with_a_comment():
    """The comment has the language's mark."""
    first, second, third = push_again((CHANGED, CONTEXT, GONE))
    assert first.before == CHANGED.before
    assert first.after is not None
    assert [line[:2] for line in first.after.splitlines()[:2]] == ["//", "//"]
    assert first.after.endswith(CHANGED.after or "")
    assert (second, third) == (CONTEXT, GONE)


def test_a_place_in_the_comment_is_told_from_the_rest():
    """Two lines, in changed files only."""
    files = (CHANGED, CONTEXT)
    assert [on_the_comment(files, "a.go", line) for line in (1, 2, 3)] == [True, True, False]
    assert not on_the_comment(files, "b.py", 1)


def test_added_lines_are_those_of_the_after_side():
    """A replaced line is an added one; a removed one is none."""
    assert added_lines(CHANGED) == {2, 3}
    assert added_lines(SourceFile("a.py", "a\nb\nc\n", "a\nX\n")) == {2}
    assert added_lines(GONE) == frozenset()
