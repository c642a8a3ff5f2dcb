"""Which calls of a project's tests come first."""

from __future__ import annotations

from pathlib import Path

from kodo.jobs.execution.calls import filled
from kodo.jobs.execution.changed import affected_functions
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE
from kodo.jobs.review import reading
from kodo.jobs.review.inputs_of_tests import written_calls
from kodo.jobs.review.source import VersionsSource
from kodo.jobs.review.touched import touched_words
from kodo.jobs.review.trees import Trees

OLD = """class Dialect(Base):
    rules = {"Lag": "lagInFrame", "Sum": "sum"}

    def own(self):
        return 1
"""
NEW = OLD.replace("lagInFrame", "lag_in_frame")
TESTS = """from base import Base
from dialect import Dialect


def test_sum():
    for number in range(3):
        pass
    assert Dialect().sql("SELECT SUM(x)") == "SELECT sum(x)"
    assert Dialect().sql("SELECT MAX(x)") == "SELECT max(x)"


def test_frames():
    assert Dialect().sql("SELECT laginframe(x)") == "SELECT lagInFrame(x)"
"""


def _made(root: Path) -> Trees:
    for name, text in ((BEFORE, OLD), (AFTER, NEW)):
        (root / name / "tests").mkdir(parents=True)
        (root / name / "dialect.py").write_text(text)
        (root / name / "tests" / "test_dialect.py").write_text(TESTS)
        for at in range(9):
            (root / name / "tests" / f"test_other{at}.py").write_text(
                "def test_it():\n    assert run('sum')\n"
            )
    return Trees(root)


def test_calls_that_say_a_rare_word_of_the_change_come_first(tmp_path: Path) -> None:
    """Whatever its case; a word that many files of tests have says nothing of any."""
    made = _made(tmp_path)
    before, after = load(made.before / "dialect.py"), load(made.after / "dialect.py")
    (file,) = reading.read(VersionsSource({"dialect.py": OLD}, {"dialect.py": NEW}), 10**6).files
    words = touched_words(file, before, after)
    assert {"lagInFrame", "lag_in_frame", "sum"} <= set(words)
    affected = {one.function.qualname: one for one in affected_functions(before, after)}
    first = [filled(call) for call in written_calls(made, file, affected, after, words)]
    assert "laginframe" in first[0]
    plain = [filled(call) for call in written_calls(made, file, affected, after)]
    assert "laginframe" not in plain[0]
