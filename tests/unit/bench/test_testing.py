"""A writer of tests is judged by running what it wrote, in the sandbox."""

import pytest
from bench.scorecard import ghostwriter
from bench.scorecard.cases import ModuleCase
from bench.scorecard.contestants import Ghostwriter, WrittenSuite, suspects_suite
from bench.scorecard.suites import Judge
from bench.scorecard.testing import measure

from kodo.sandbox import Sandbox

GOOD = '''def double(n: int) -> int:
    """Twice n.

    >>> double(2)
    4
    """
    if n == 0:
        return 0
    return n * 2
'''
CASE = ModuleCase("m", "t", "b", "docstring", "twice.py", GOOD, GOOD.replace("n * 2", "n + 2"), "")
RIGHT = "import twice\n\n\ndef test_three():\n    assert twice.double(3) == 6\n\n\ndef test_zero():\n    assert twice.double(0) == 0\n"
CEMENT = "import twice\n\n\ndef test_three():\n    assert twice.double(3) == 5\n"
ACCUSING = "def test_double_may_be_a_bug():\n    assert double(3) == 6\n"


class Fake:
    """A writer of tests that has its answers ready: for the good version, and for the bad one."""

    name = "fake"
    version = "1"
    session = None

    def __init__(self, good: WrittenSuite, bad: WrittenSuite, accuses_by_failing: bool = False) -> None:
        self._answers = {CASE.good: good, CASE.bad: bad}
        self.accuses_by_failing = accuses_by_failing

    def write(self, filename: str, source: str) -> WrittenSuite:
        assert filename == CASE.filename
        return self._answers[source]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(Sandbox())


def test_a_right_suite_covers_kills_and_catches_the_regression(judge: Judge):
    """And accuses nobody."""
    got = measure(Fake(WrittenSuite(RIGHT), WrittenSuite()), judge, CASE)
    assert (got.kept, got.caught, got.false_alarms, got.revealed) == (2, True, 0, False)
    assert got.covered == 1.0
    assert 0 < got.killed <= got.mutants


def test_a_bug_is_revealed_by_an_accusation_that_only_the_bad_version_breaks(judge: Judge):
    """A second accusation that the good version breaks too is a wrong one."""
    wrong = "def test_x_may_be_a_bug():\n    assert double(3) == 7\n"
    got = measure(Fake(WrittenSuite(), WrittenSuite(suspects=(ACCUSING, wrong))), judge, CASE)
    assert (got.revealed, got.accusations, got.wrong_accusations) == (True, 2, 1)


def test_an_accusation_of_the_good_version_is_a_false_alarm(judge: Judge):
    """Whatever it says of the bad one."""
    assert measure(Fake(WrittenSuite(suspects=(ACCUSING,)), WrittenSuite()), judge, CASE).false_alarms == 1


def test_a_kept_test_that_holds_the_bug_to_be_right_cements_it_marked_or_not(judge: Judge):
    """Marked as read off the code, it is at least honest."""
    unmarked = measure(Fake(WrittenSuite(), WrittenSuite(CEMENT)), judge, CASE)
    marked = measure(
        Fake(WrittenSuite(), WrittenSuite(CEMENT, marked=frozenset({"test_three"}))), judge, CASE
    )
    assert (unmarked.cemented, unmarked.cemented_unmarked) == (1, 1)
    assert (marked.cemented, marked.cemented_unmarked) == (1, 0)


def test_tests_that_fail_on_the_good_version_kill_no_mutants(judge: Judge):
    """A suite that is always red would otherwise have a perfect score."""
    got = measure(Fake(WrittenSuite(CEMENT), WrittenSuite()), judge, CASE)
    assert (got.kept, got.killed) == (0, 0)
    assert got.mutants > 0


def test_a_test_that_fails_on_the_good_version_is_left_out_on_the_mutants(judge: Judge):
    """Beside tests that kill nothing it would kill everything."""
    idle = "\n\ndef test_idle():\n    assert twice.double\n"
    got = measure(Fake(WrittenSuite(CEMENT + idle), WrittenSuite()), judge, CASE)
    assert (got.kept, got.killed) == (1, 0)


def test_a_suite_that_cannot_be_collected_is_worth_nothing(judge: Judge):
    """Its module's mutants still count."""
    got = measure(Fake(WrittenSuite("import nothing_of_that_name\n"), WrittenSuite()), judge, CASE)
    assert (got.kept, got.covered, got.killed, got.caught) == (0, 0.0, 0, False)
    assert got.mutants > 0


def test_a_mutant_that_never_ends_is_killed(judge: Judge, monkeypatch: pytest.MonkeyPatch):
    """Its time is up, the others' is not."""
    monkeypatch.setattr("bench.scorecard.suites.SECONDS", 2.0)
    source = "def down(n):\n    while n > 0:\n        n -= 1\n    return n\n"
    case = ModuleCase("m", "t", "b", "docstring", "loop.py", source, source.replace("n -= 1", "n -= 2"), "")
    judged = judge.judge(case, "import loop\n\n\ndef test_down():\n    assert loop.down(3) == 0\n")
    assert judged.good.clean
    assert judged.killed >= 2


def test_the_ghostwriter_accuses_by_failing_and_its_suite_is_run_once_for_both(judge: Judge):
    """A test of its own that fails on the good version is a false alarm."""
    assert ghostwriter.available()
    source = "def half(n: int) -> int:\n    return 10 // n\n"
    case = ModuleCase("m", "t", "b", "docstring", "half.py", source, source.replace("10", "11"), "")
    got = measure(Ghostwriter(Sandbox()), judge, case)
    assert got.error == ""
    assert (got.kept, got.false_alarms, got.cemented) == (0, 1, 0)


def test_suspects_get_names_of_their_own_and_everything_the_module_defines():
    """Two suspects of one name are two tests."""
    suite = suspects_suite("twice.py", "LIMIT = 1\n" + GOOD, (ACCUSING, ACCUSING))
    assert "from twice import LIMIT, double" in suite
    assert suite.count("def test_suspect_") == 2
    compile(suite, "suite", "exec")
