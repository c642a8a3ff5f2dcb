"""A finding keeps its fingerprint over a re-push and over lines that come and go, and what was there is not new."""

from kodo.jobs.review import ReviewOptions, TextSource, VersionsSource, review

CODE = "def f(x, seen=[]):\n    seen.append(x)\n    return seen\n"


def marks(text: str, name: str = "m.py") -> dict[str, str]:
    report = review(TextSource(text, name), ReviewOptions(), None)
    return {finding.fingerprint: finding.rule for finding in report.findings}


def test_lines_above_do_not_change_a_fingerprint() -> None:
    """Neither code above nor other spacing on the line makes a finding new."""
    moved = "import sys\n\nprint(sys.argv)\n\n\n" + CODE.replace("x, seen=[]", "x,  seen=[]").replace(
        "x,  ", "x, "
    )
    assert marks(CODE) == marks(moved)


def test_equal_lines_have_fingerprints_of_their_own() -> None:
    """The same defect twice is two findings, and they can be told apart."""
    twice = "a = 1\nassert (a, 'x')\nassert (a, 'x')\n"
    assert len([rule for rule in marks(twice).values() if rule == "F631"]) == 2


def test_the_language_of_messages_does_not_change_a_fingerprint() -> None:
    """A baseline written in English holds for a Japanese review."""
    source = TextSource(CODE, "m.py")
    english = review(source, ReviewOptions(), None).findings
    japanese = review(source, ReviewOptions(lang="ja"), None).findings
    assert [item.fingerprint for item in english] == [item.fingerprint for item in japanese]
    assert [item.message for item in english] != [item.message for item in japanese]


def test_what_was_there_before_is_not_reported() -> None:
    """A change beside an old defect does not report it; a second one of its kind is reported on its own line."""
    more = CODE + "\n\ndef g(x, seen=[]):\n    return seen\n"
    report = review(VersionsSource({"m.py": CODE}, {"m.py": more}), ReviewOptions(), None)
    assert [(item.rule, item.place.line) for item in report.findings] == [("B006", 6)]
    moved = "X = 1\n" + CODE
    assert not review(VersionsSource({"m.py": CODE}, {"m.py": moved}), ReviewOptions(), None).findings


def test_a_baseline_makes_findings_known() -> None:
    """Findings of the baseline are listed apart, and the review is clean."""
    first = review(TextSource(CODE, "m.py"), ReviewOptions(), None)
    baseline = frozenset(item.fingerprint for item in first.findings)
    second = review(
        TextSource("import sys\nprint(sys.argv)\n" + CODE, "m.py"), ReviewOptions(baseline=baseline), None
    )
    assert second.state == "clean"
    assert {item.rule for item in second.known} == {"B006"}
