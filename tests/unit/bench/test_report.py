"""The tables and the page."""

from bench.scorecard import report
from bench.scorecard.cases import ModuleCase, ReviewCase, SourceFile, Truth
from bench.scorecard.review_score import Remark, Reviewed
from bench.scorecard.runner import WITHOUT_MODEL, Scorecard, with_model
from bench.scorecard.testgen_score import Measured

FILES = (SourceFile("a.py", None, "x\n"),)
SEEDED = ReviewCase("s", "", "Python", False, FILES, (Truth("a.py", 1, "boundary", ""),))
CLEAN = ReviewCase("c", "", "Python", False, FILES, ())
MODULE = ModuleCase("m", "t", "b", "types", "m.py", "x", "y", "")
RULE = Remark("a.py", 1, 1, "bug", "warning", "kodo/x", "f")
OPINION = Remark("a.py", 2, 2, "bug", "info", "opinion/y", "g", True)
MEASURED = Measured("m", 3, 0.9, 10, 7, True, 1, True, 1, 0, 0, 0, {"candidates": 9, "kept": 3}, 2.0)
WHEN = report.Circumstances(
    "2026-11-23", "2 cores", "1.5", "python -m bench.scorecard", "0.1.0", ("A note.",)
)
CARD = Scorecard(
    "tiny",
    {
        with_model("tiny"): [Reviewed("s", (OPINION,), (), "findings", 1.0, 3, 1), Reviewed("c", (OPINION,), (), "findings", 1.0, 3, 1)],
        WITHOUT_MODEL: [Reviewed("s", (), (), "clean", 1.0), Reviewed("c", (RULE,), (RULE,), "findings", 1.0)],
    },
    {WITHOUT_MODEL: [MEASURED]},
    (SEEDED, CLEAN),
    (MODULE,),
    ("ghost: no black",),
    "isolation: full",
)  # fmt: skip


def test_each_contestant_has_a_row_and_the_model_stands_first():
    """With the figures of the score."""
    head, rows = report.review_table(CARD, "info")
    assert [row[0] for row in rows] == ["kodo with tiny", "kodo without a model"]
    assert dict(zip(head, rows[0], strict=True))["bugs found"] == "1 of 1"
    assert dict(zip(head, rows[1], strict=True))["false alarms a clean diff"] == "1.00"
    assert report.review_table(CARD, "warning")[1][0][1] == "-"


def test_the_page_credits_the_model_with_its_opinions_alone_and_names_what_was_left_out():
    """Date, machine and command stand on the page."""
    text = report.markdown(CARD, WHEN)
    for part in ("was asked 6 times (first pushes alone) and 2 of its opinions", "added 1 found bugs and 1 false alarms", "2026-11-23", "2 cores", "load average at the end 1.5", "A note.", "python -m bench.scorecard", "ghost: no black",
                 "isolation: full", "7/10 mutants, caught, revealed, 1 false", "| s (Python) | boundary | opinion | - |",
                 "kodo without a model: c (kodo/x)"):  # fmt: skip
        assert part in text, part


def test_a_page_without_a_model_says_so_and_credits_none():
    """There is no sentence on what the model added."""
    card = Scorecard("", {WITHOUT_MODEL: CARD.reviews[WITHOUT_MODEL]}, {}, CARD.cases, (), (), "")
    text = report.markdown(card, WHEN)
    assert "without a model, beside" in text
    assert "by itself added" not in text
    assert "## Tests" not in text


def test_the_terminals_table_has_columns_of_one_width():
    """So that it can be read."""
    lines = report.plain((("a", "b"), (("long name", "1"), ("x", "2")))).splitlines()
    assert {line.rindex(cell) for line, cell in zip(lines, ("b", "1", "2"), strict=True)} == {11}
