"""The arithmetic of the review part, on remarks made by hand."""

import pytest
from bench.scorecard.cases import ReviewCase, SourceFile, Truth
from bench.scorecard.review_score import Remark, Reviewed, hits, score

TRUTH = Truth("a.py", 10, "sql-injection", "")
SEEDED = ReviewCase("s", "", "Python", False, (SourceFile("a.py", None, "x\n"),), (TRUTH,))
CLEAN = ReviewCase("c", "", "Python", False, (SourceFile("a.py", None, "x\n"),), ())


def remark(
    line=10, category="security", path="a.py", fingerprint="f", severity="warning", opinion=False
) -> Remark:
    return Remark(path, line, line, category, severity, "R1", fingerprint, opinion)


def reviewed(case: str, *remarks: Remark, again: tuple[Remark, ...] = ()) -> Reviewed:
    return Reviewed(case, remarks, again, "findings", 0.1)


@pytest.mark.parametrize(
    ("made", "right"),
    [
        (remark(7), True),
        (remark(13), True),
        (remark(14), False),
        (remark(6), False),
        (remark(category="bug"), False),
        (remark(path="b.py"), False),
    ],
)
def test_a_remark_hits_by_file_line_within_three_and_class(made: Remark, right: bool):
    """All three must agree."""
    assert hits(TRUTH, made) is right


def test_precision_counts_alarms_on_clean_changes_too():
    """One hit, one stray, two alarms: precision 1/4, recall 1, F1 2/5."""
    got = score([SEEDED, CLEAN], [reviewed("s", remark(), remark(30)), reviewed("c", remark(), remark(2))])
    assert (got.hits, got.strays, got.alarms) == (1, 1, 2)
    assert got.precision == 0.25
    assert got.recall == 1.0
    assert got.f1 == pytest.approx(0.4)
    assert got.alarms_per_clean == 2.0


def test_a_second_remark_on_a_truth_counts_neither_way():
    """Saying it twice is neither a second hit nor a stray."""
    got = score([SEEDED], [reviewed("s", remark(), remark(11))])
    assert (got.hits, got.strays, got.precision) == (1, 0, 1.0)


def test_the_models_credit_is_what_nothing_but_an_opinion_found():
    """A truth that a rule hits as well is the rule's."""
    alone = score([SEEDED], [reviewed("s", remark(opinion=True))])
    both = score([SEEDED], [reviewed("s", remark(opinion=True), remark())])
    assert (alone.hits_by_opinion, both.hits_by_opinion) == (1, 0)
    assert score([CLEAN], [reviewed("c", remark(opinion=True))]).alarms_by_opinion == 1


def test_a_remark_with_a_new_fingerprint_is_said_again():
    """What was said of the first push must be recognised in the second."""
    got = score([CLEAN], [reviewed("c", remark(), again=(remark(12), remark(20, fingerprint="g")))])
    assert (got.told, got.repeated) == (2, 1)


def test_the_threshold_leaves_lighter_remarks_out_everywhere():
    """Also of the second push."""
    light = remark(severity="info")
    got = score([SEEDED, CLEAN], [reviewed("s", light, again=(light,)), reviewed("c", light)], "warning")
    assert (got.hits, got.strays, got.alarms, got.told) == (0, 0, 0, 0)


def test_figures_without_a_ground_are_none():
    """Nothing said is no precision, nothing seeded no recall."""
    silent = score([SEEDED], [reviewed("s")])
    assert (silent.precision, silent.recall, silent.f1, silent.alarms_per_clean) == (None, 0.0, 0.0, None)
    assert score([CLEAN], [reviewed("c")]).f1 is None


def test_a_review_of_an_unknown_case_is_an_error():
    """It is never dropped in silence."""
    with pytest.raises(KeyError):
        score([SEEDED], [reviewed("other")])
