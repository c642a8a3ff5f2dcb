"""What a test that the agent wrote may assert: what the issue says, as the issue says it."""

from __future__ import annotations

import pytest
from bench.fix.faults import FAULTS
from bench.fix.models import MODELS, module_test

from kodo.jobs.fix.issue_expectations import unstated


@pytest.mark.parametrize(
    ("assertion", "issue", "missing"),
    [
        ("assert total(3, 2) == 6", "total(3, 2) should be 6", ()),
        ("assert total(3, 2) == 99", "total(3, 2) should be 6", ("99", "total(3, 2) == 99")),
        ("assert total(3, 2) == 2", "total(3, 2) should be 6", ("total(3, 2) == 2",)),
        ("assert total(3, 2) == 5", "total(3, 2) should be 6, but it is 5", ("total(3, 2) == 5",)),
        ("assert total(2, 3) == 6", "total(3, 2) should be 6", ("total(2, 3)", "total(2, 3) == 6")),
        ("assert total(3, 2) == 6.0", "`total(3,2)` must return exactly 6.", ()),
        ("assert total(3, 2) == 25", "total(3, 2) should be 250, not 25", ("total(3, 2) == 25",)),
        ("assert slug('A B') == 'a-b'", 'slug("A B") gives A-B; expected: a-b', ()),
        ("assert slug('A B') == 'a-b'", "slug('A B') should be 'a-bc'", ("slug('A B') == 'a-b'",)),
        ("assert f(1) == 5", "f(1) should be 2 and f(2) should be 5", ("f(1) == 5",)),
        ("assert f(2) == 5", "f(1) should be 2 and f(2) should be 5", ()),
        ("assert f(-5) is None", "f(-5) crashes", ("f(-5) is None",)),
        ("assert f(-5) is None", "f(-5) should be None but crashes", ()),
        ("assert f(-5) is None", "f(5) crashes", ("-5", "f(-5)", "f(-5) is None")),
        ("assert total(3, 2) == 6", "total(3, 2) は 6 であるべきですが、5 です", ()),
        ("assert total(3, 2) == 5", "total(3, 2) は 6 であるべきですが、5 です", ("total(3, 2) == 5",)),
        ("assert total(3, 2) == 6", "total(3, 2) が 5 を返します。正しくは 6 です。", ()),
        ("assert ready()", "ready() is wrong", ()),
        ("assert ready()", "something is wrong", ("ready()",)),
        ("with pytest.raises(KeyError): f()", "f() should raise KeyError", ()),
        ("with pytest.raises(OSError): f()", "f() should raise KeyError", ("OSError",)),
        ("assert put('a') and put('b') == ['b']", "put('a') and then put('b') should be ['b']", ()),
        ("assert f.__name__ == 'x'", "f should be x", ("f.__name__ == 'x'",)),
        ("assert f(2) == g(2)", "f(2) should be g(2)", ("f(2) == g(2)",)),
        ("f(2)", "f(2) should be 4", ("nothing",)),
    ],
)
def test_a_written_test_asserts_what_the_issue_says(
    assertion: str, issue: str, missing: tuple[str, ...]
) -> None:
    """What is looked at and what is expected have to stand in the text, the one after the other."""
    assert unstated(f"def test_it():\n    '''A text of 12.'''\n    {assertion}\n", issue) == missing


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_issues_of_the_bench_say_their_tests_and_no_others(fault: object) -> None:
    """The honest test is said (but for one issue that is all words); those of the models that write a wrong one are not."""
    assert fault in FAULTS
    known = next(one for one in FAULTS if one is fault)
    assert bool(unstated(module_test(known, known.failing), known.issue)) is (known.name == "cleanup")
    for model in ("weak test", "wrong test", "test of a mark"):
        for name, arguments in MODELS[model].script(known):
            if name == "write_test":
                assert unstated(arguments["text"], known.issue)
