"""The arithmetic of the tests part."""

from bench.scorecard.testgen_score import Measured, score


def made(case: str, **values: object) -> Measured:
    given = {
        "kept": 0, "covered": 0.0, "mutants": 10, "killed": 0, "caught": False, "false_alarms": 0, "revealed": False,
        "accusations": 0, "wrong_accusations": 0, "cemented": 0, "cemented_unmarked": 0,
    }  # fmt: skip
    return Measured(case, **{**given, **values})


def test_mutants_are_pooled_and_coverage_is_a_mean_in_which_nothing_counts_as_zero():
    """A module for which nothing was written still counts."""
    got = score([made("a", killed=8, covered=1.0, kept=3), made("b", mutants=30, error="nothing")])
    assert got.mutation_score == 0.2
    assert got.coverage == 0.5
    assert got.kept == 3


def test_modules_are_counted_for_alarms_and_cemented_bugs_not_their_tests():
    """Three false alarms in one module are one alarmed module."""
    got = score([made("a", false_alarms=3, cemented=2, cemented_unmarked=1), made("b", cemented=1)])
    assert (got.false_alarms, got.alarmed) == (3, 1)
    assert (got.cemented, got.cemented_unmarked) == (2, 1)


def test_funnels_are_added_up_step_by_step():
    """In the order in which the steps were first seen."""
    got = score(
        [made("a", funnel={"candidates": 5, "kept": 2}), made("b", funnel={"candidates": 1, "kept": 0})]
    )
    assert got.funnel == {"candidates": 6, "kept": 2}


def test_no_module_is_no_figure():
    """None, not a division by zero."""
    got = score([])
    assert (got.coverage, got.mutation_score) == (None, None)
