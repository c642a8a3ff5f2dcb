"""The model's part, against a scripted Responses API: arguments from a small model, cases from a capable one."""

import json

import pytest

from kodo.client.session import Session
from kodo.client.testing import FakeResponses, Reply, refusal
from kodo.jobs import testgen as job
from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.target import load
from kodo.jobs.testgen import Options, argument_schema, cases
from kodo.jobs.testgen.model import TestReport
from kodo.sandbox import Sandbox

# The branch for 77123 is found by nobody who does not read the code; no constant stands in it.
SOURCE = '''
def gate(n: int, word: str) -> str:
    """Open for the word.

    The answer is "open" for the word spelled backwards.
    """
    if n * 3 - 7 == 231362 and word[::-1] == "emases":
        return "open"
    return "shut"
'''
OPENING = {"n": 77123, "word": "sesame"}


@pytest.fixture
def target(tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "gate.py"
    path.write_text(SOURCE)
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def full():
    """Whether generated code may run here; where not, each test asserts the refusal instead."""
    return Sandbox().probe().level == "full"


def session(server, tmp_path):
    return Session(base_url=server.base_url, api_key="k", model="m", free=True, job="tests")


def run(target, script, monkeypatch, tmp_path, **options) -> tuple[TestReport, list]:
    """One job over the scripted server, in a home of its own."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    with FakeResponses(script) as server, session(server, tmp_path) as client:
        report = job.testgen(target, Options(inputs=20, mutants=15, **options), client)
        return report, list(server.posts)


def test_a_small_model_fills_arguments_held_to_their_types(target, full, monkeypatch, tmp_path):
    """Each sample is asked with a schema of the parameters; an input that reaches a new branch becomes a test."""
    if not full:
        assert Sandbox().probe().level != "full"
        return
    script = [Reply("no json"), Reply(json.dumps(OPENING)), Reply(json.dumps({"n": 1}))]
    report, posts = run(target, script, monkeypatch, tmp_path, samples=3)
    assert [post.body["text"]["format"]["schema"]["required"] for post in posts] == [["n", "word"]] * 3
    added = [test for test in report.kept if test.origin == "model"]
    assert len(added) == 1
    assert added[0].characterisation
    assert '(77123, "sesame", "open"),' in report.text
    assert report.funnel.from_model == 1
    assert report.after.branch_rate == 1.0


def case(**more):
    return {
        "setup": [],
        "call": "gate(1, 'x')",
        "expected": "'shut'",
        "raises": None,
        "rests_on": "code",
        "quote": "",
    } | more


def answer(*rows):
    return Reply(json.dumps({"cases": list(rows)}))


QUOTE = 'The answer is "open" for the word spelled backwards.'


def test_a_capable_models_cases_are_judged_like_all_others(target, full, monkeypatch, tmp_path):
    """A right case is kept; a wrong expectation is dropped and not turned round; nonsense goes back for repair."""
    if not full:
        assert Sandbox().probe().level != "full"
        return
    right = case(call="gate(77123, 'sesame')", expected="'open'")
    wrong = case(call="gate(77124, 'sesame')", expected="'open'")
    nonsense = case(call="gate(")
    script = [answer(right, wrong, nonsense), answer(case(call="gate(5, '')"))]
    report, posts = run(target, script, monkeypatch, tmp_path, samples=1, repairs=1, model_size="capable")
    assert len(posts) == 2
    assert "gate(: it does not parse" in json.dumps(posts[1].body["input"])
    assert "77123" in report.text
    assert "77124" not in report.text
    assert any("no documentation says" in one.reason for one in report.rejected)
    assert report.suspects == ()


def test_a_models_suspicion_is_reported_with_the_words_it_rests_on(target, full, monkeypatch, tmp_path):
    """A failing expectation with a true quote and two samples behind it is a possible bug, and no test pins it."""
    if not full:
        assert Sandbox().probe().level != "full"
        return
    bad = case(call="gate(1, 'sesame')", expected="'open'", rests_on="docstring", quote=QUOTE)
    report, _ = run(
        target, [answer(bad)] * 2, monkeypatch, tmp_path, samples=2, repairs=0, model_size="capable"
    )
    assert [(one.call, one.quote) for one in report.suspects] == [("gate(1, 'sesame')", QUOTE)]
    assert "gate(1, 'sesame')" not in report.text


@pytest.mark.parametrize(
    ("votes", "more", "basis"),
    [
        (2, {"rests_on": "docstring", "quote": QUOTE}, "docstring"),
        (1, {"rests_on": "docstring", "quote": QUOTE}, "code"),
        (2, {"rests_on": "docstring", "quote": "The answer is always shut for all words."}, "code"),
        (2, {"rests_on": "docstring", "quote": "Open"}, "code"),
        (2, {"rests_on": "code", "quote": QUOTE}, "code"),
    ],
)
def test_an_expectation_is_documented_only_with_a_true_quote_and_agreement(target, votes, more, basis):
    """One sample, words that are not there, or too few words are the model's opinion and count as none."""
    function = load(target).functions[0]
    good, problems = cases.read(json.dumps({"cases": [case(**more)] * votes}), function)
    assert problems == []
    (call,) = cases.calls(good, function)
    assert call.expect is not None
    assert call.expect.basis == basis


def test_a_server_that_fails_leaves_the_model_free_suite(target, full, monkeypatch, tmp_path):
    """The tests without the model are there, and a note says what went wrong."""
    if not full:
        assert Sandbox().probe().level != "full"
        return
    script = lambda seen: refusal(401, "invalid_api_key")  # noqa: E731
    report, _ = run(target, script, monkeypatch, tmp_path, samples=2)
    assert report.kept
    assert len(report.notes) == 1
    assert "not asked to the end" in report.notes[0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (case(call="print(1)"), "does not call gate"),
        (case(expected=None), "exactly one"),
        (case(raises="Value Error", expected=None), "name of an exception"),
        (case(setup=["x ="]), "does not parse"),
        (case(expected="(("), "does not parse"),
    ],
)
def test_cases_that_cannot_be_used_say_why(target, row, words):
    """The reason goes back to the model, so it is exact."""
    good, problems = cases.read(json.dumps({"cases": [row]}), load(target).functions[0])
    assert good == []
    assert words in problems[0]


def test_an_answer_that_is_no_json_is_one_problem(target):
    """Free text instead of the form is told as such."""
    assert "not JSON" in cases.read("Sure! Here are", load(target).functions[0])[1][0]


@pytest.mark.parametrize(
    ("type_", "value", "source"),
    [
        (ParamType("int"), 3, "3"), (ParamType("float"), 3, "3.0"), (ParamType("str"), "a'b", '"a\'b"'), (ParamType("tuple", (ParamType("int"),)), [1], "(1,)"),
        (ParamType("set", (ParamType("int"),)), [], "set()"), (ParamType("set", (ParamType("int"),)), [1], "{1}"), (ParamType("decimal"), 2.5, "decimal.Decimal('2.5')"),
    ],
)  # fmt: skip
def test_a_json_value_becomes_source_of_the_type(type_, value, source):
    """What JSON cannot tell apart is told by the parameter's type."""
    assert argument_schema.schema(type_) is not None
    assert argument_schema.source(value, type_) == source


def test_what_json_cannot_hold_has_no_slot():
    """A function with such a parameter is not asked about."""
    assert argument_schema.schema(ParamType("callable")) is None
    assert argument_schema.schema(ParamType("list", (ParamType("date"),))) is None
