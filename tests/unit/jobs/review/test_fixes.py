"""A fix is shown only if it was tried and held."""

from pathlib import Path

from kodo.jobs.review import ReviewOptions, TextSource, VersionsSource, review
from kodo.jobs.review.candidate import Edit
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.fixes import applied


def fixed(text: str, name: str = "m.py") -> dict[str, str]:
    """Rule to the text after its fix."""
    report = review(TextSource(text, name), ReviewOptions(), None)
    result = {}
    for finding in report.findings:
        if finding.fix:
            lines = text.split("\n")
            new = finding.fix.text.removesuffix("\n").split("\n") if finding.fix.text else []
            lines[finding.fix.line - 1 : finding.fix.end_line] = new
            result[finding.rule] = "\n".join(lines)
    return result


def test_a_fix_replaces_whole_lines() -> None:
    """What stands in the fix, put in place of its lines, is the fixed text."""
    text = "import os\nimport sys\n\nprint(sys.argv == None)\n"
    assert fixed(text) == {
        "F401": "import sys\n\nprint(sys.argv == None)\n",
        "E711": "import os\nimport sys\n\nprint(sys.argv is None)\n",
    }


def test_a_fix_that_spans_places_is_one_replacement() -> None:
    """A default and its test in the body are put in together."""
    assert fixed("def f(x=[]):\n    return x\n")["B006"] == (
        "def f(x=None):\n    if x is None:\n        x = []\n    return x\n"
    )


def test_a_fix_outside_of_the_change_is_not_shown() -> None:
    """Only lines that the change touches may be replaced."""
    body = "".join(f"a{n} = {n}\n" for n in range(40))
    old = {"m.py": f"import os\n{body}print(os.sep)\n"}
    new = {"m.py": f"import os\n{body}print('/')\n"}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert all(item.fix is None or item.fix.line > 1 for item in report.findings)


def test_fixes_can_be_left_out() -> None:
    """With fixes off nothing is tried."""
    report = review(TextSource("import os\n", "m.py"), ReviewOptions(fixes=False), None)
    assert [item.fix for item in report.findings] == [None]


def test_edits_that_overlap_are_no_fix() -> None:
    """Two replacements of the same letters cannot both be meant."""
    file = ChangedFile("m.py", "python", "abc\n", whole=True)
    assert applied(file, (Edit(1, 1, 1, 3, "x"), Edit(1, 2, 1, 4, "y"))) is None
    assert applied(file, (Edit(1, 3, 1, 4, "C"), Edit(1, 1, 1, 2, "A"))) == "AbC\n"
    assert applied(file, ()) is None
    assert applied(file, (Edit(1, 1, 1, 4, "abc"),)) is None


def test_edits_past_the_end_stay_inside(tmp_path: Path) -> None:
    """A replacement up to the line after the last is up to the end."""
    file = ChangedFile("m.py", "python", "a\nb", whole=True)
    assert applied(file, (Edit(2, 1, 3, 1, "c"),)) == "a\nc"
