"""V4A patches: what is read, where a hunk is placed, and what is refused."""

from __future__ import annotations

import pytest

from kodo.jobs.fix.patch_text import PatchError, apply, parse


def patched(patch: str, **texts: str) -> dict[str, str | None]:
    """The texts after a patch; ``a`` stands for the file a.py."""
    return apply(parse(patch), {f"{name}.py": text for name, text in texts.items()})


def test_a_hunk_replaces_its_lines() -> None:
    """Context and removed lines place the hunk; added ones take their place."""
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n one\n-two\n+2\n three\n*** End Patch"
    assert patched(patch, a="one\ntwo\nthree\n") == {"a.py": "one\n2\nthree\n"}


def test_an_anchor_chooses_among_equal_places() -> None:
    """The text after @@ names a line before the hunk; without it two places are one too many."""
    text = "class A:\n    x = 1\n\nclass B:\n    x = 1\n"
    body = "-    x = 1\n+    x = 2\n*** End Patch"
    anchored = f"*** Begin Patch\n*** Update File: a.py\n@@ class B:\n{body}"
    assert patched(anchored, a=text) == {"a.py": "class A:\n    x = 1\n\nclass B:\n    x = 2\n"}
    with pytest.raises(PatchError, match="there 2 times"):
        patched(f"*** Begin Patch\n*** Update File: a.py\n@@\n{body}", a=text)


def test_files_are_added_removed_and_moved() -> None:
    """The three other changes."""
    patch = (
        "*** Begin Patch\n*** Add File: new.py\n+x = 1\n*** Delete File: a.py\n*** Update File: b.py\n"
        "*** Move to: c.py\n@@\n-old\n+new\n*** End Patch"
    )
    assert patched(patch, a="gone\n", b="old\n") == {
        "new.py": "x = 1\n",
        "a.py": None,
        "b.py": None,
        "c.py": "new\n",
    }


def test_line_ends_and_the_end_of_the_file_are_kept() -> None:
    """A file with CRLF keeps it; lines are added at the end of a file without a last newline."""
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n-b\n+c\n*** End Patch"
    assert patched(patch, a="a\r\nb\r\n") == {"a.py": "a\r\nc\r\n"}
    added = "*** Begin Patch\n*** Update File: a.py\n@@\n+z\n*** End of File\n*** End Patch"
    assert patched(added, a="a\n") == {"a.py": "a\nz\n"}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("hello", "the first line must be"),
        ("*** Begin Patch\n*** Add File: x\n+1", "the last line must be"),
        ("*** Begin Patch\n*** End Patch", "changes no file"),
        ("*** Begin Patch\nx\n*** End Patch", "expected a file's line"),
        ("*** Begin Patch\n*** Add File: x\n1\n*** End Patch", "begins with +"),
        ("*** Begin Patch\n*** Update File: a.py\n@@\n!x\n*** End Patch", "begins with a space"),
        ("*** Begin Patch\n*** Update File: a.py\n*** End Patch", "has no hunk"),
        ("*** Begin Patch\n*** Update File: a.py\n@@\n-no\n*** End Patch", "not in the file: 'no'"),
        ("*** Begin Patch\n*** Update File: a.py\n@@ nowhere\n-x\n*** End Patch", "no line has the text"),
        ("*** Begin Patch\n*** Update File: b.py\n@@\n-x\n*** End Patch", "no such file"),
        ("*** Begin Patch\n*** Add File: a.py\n+x\n*** End Patch", "there already"),
        ("*** Begin Patch\n*** Delete File: a.py\n*** Delete File: a.py\n*** End Patch", "more than once"),
    ],
)
def test_a_wrong_patch_is_refused_with_its_place(patch: str, said: str) -> None:
    """Each error names what is wrong."""
    with pytest.raises(PatchError, match=said.replace("+", r"\+")):
        patched(patch, a="x\n")
