"""The format of the case files: one text holds both sides, the diff and the truth."""

import pytest
from bench.scorecard.cases import CaseError, Truth, parse_module, parse_review

HEAD = "title: T\nlanguage: Python\nlinter: no\n\n"
MODULE_HEAD = "title: T\nbug: b\nrests-on: types\n"


def test_marks_make_both_sides_and_the_truth_is_about_the_line_above_it():
    """Blank lines are on both sides, - before, + after, ! about the after side."""
    case = parse_review("c", HEAD + "=== a/b.py\n x = 1\n\n-y = 2\n+y = 3\n!operator wrong\n z = 4\n")
    (file,) = case.files
    assert file.before == "x = 1\n\ny = 2\nz = 4\n"
    assert file.after == "x = 1\n\ny = 3\nz = 4\n"
    assert case.truth == (Truth("a/b.py", 3, "operator", "wrong"),)


def test_a_file_with_added_lines_only_is_new_and_one_with_removed_lines_only_is_deleted():
    """The diff says so in git's words."""
    new = parse_review("c", HEAD + "=== n.py\n+x = 1\n")
    gone = parse_review("c", HEAD + "=== n.py\n-x = 1\n")
    assert new.files[0].before is None
    assert "new file mode" in new.diff
    assert gone.files[0].after is None
    assert "deleted file mode" in gone.diff


def test_a_file_without_marks_is_context_and_not_in_the_diff():
    """A case can show the code around the change."""
    case = parse_review("c", HEAD + "=== a.py\n+x = 1\n=== b.py\n y = 1\n")
    assert case.files[1].before == case.files[1].after == "y = 1\n"
    assert "b.py" not in case.diff


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "=== a.py\n x = 1\n", "nothing changes"),
        (HEAD + "=== a.py\n+x = 1\n!nonsense text\n", "c:7: 'nonsense' is no class"),
        (HEAD + "=== a.py\n!operator text\n+x = 1\n", "c:6: 'operator' is no class, or there is no line"),
        (HEAD + "=== a.py\nx = 1\n", "c:6: a line starts with"),
        ("title: T\n=== a.py\n+x = 1\n", "missing headers: language, linter"),
        ("titel: T\n=== a.py\n+x = 1\n", "c:1: not a header"),
        (HEAD, "no section"),
    ],
)
def test_a_broken_case_is_refused_with_its_place(text: str, message: str):
    """An author sees what to mend."""
    with pytest.raises(CaseError, match=message.replace("(", r"\(")):
        parse_review("c", text)


def test_a_module_case_has_a_good_and_a_bad_version_and_an_oracle():
    """- is the good side, + the bad one; the oracle is verbatim."""
    case = parse_module(
        "m", MODULE_HEAD + "=== m.py\n-x = 1\n+x = 2\n=== oracle\nimport m\n\nassert m.x == 1\n"
    )
    assert (case.good, case.bad, case.filename) == ("x = 1\n", "x = 2\n", "m.py")
    assert case.oracle == "import m\n\nassert m.x == 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "=== m.py\n-x = 1\n+x = 2\n",
        "=== m.py\n x = 1\n=== oracle\nassert True\n",
        "=== oracle\nassert True\n",
    ],
)
def test_a_module_case_without_one_of_them_is_refused(text: str):
    """Both versions and an oracle are wanted."""
    with pytest.raises(CaseError, match="wanted"):
        parse_module("m", MODULE_HEAD + text)
