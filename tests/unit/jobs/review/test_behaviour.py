"""Differential execution: both versions are run in the sandbox and what differs is said."""

import ast
import json
import subprocess
import sys
import threading
import time
import types

import pytest

from kodo.client.session import Session
from kodo.client.testing import FakeResponses, Reply
from kodo.jobs.execution.changed import affected_functions
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.compare import Compare, Exhausted, Finished, Group
from kodo.jobs.execution.worker.difference import Difference
from kodo.jobs.execution.worker.handover import Incoming
from kodo.jobs.execution.worker.jobs import RecordedCall
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.report.model import Category, EvidenceKind, Severity, State
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.review import reading
from kodo.jobs.review.behaviour import Behaviour
from kodo.jobs.review.behaviour_inputs import input_groups
from kodo.jobs.review.behaviour_remarks import CONTRADICTS
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.job import review
from kodo.jobs.review.messages import localised
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import VersionsSource

OPTIONS = ReviewOptions(run=True, fixes=False)
PATIENT = ReviewOptions(run=True, fixes=False, run_seconds=90)
"""For what is to be found: it takes no longer where the machine is idle, and is not left out where it is not."""


def compare(old, new, path="m.py", options=OPTIONS, **more):
    """The review of one module's change."""
    before, after = {path: old}, {path: new}
    for name, text in more.items():
        after[f"{name}.py"] = text
    return review(VersionsSource(before, after), options, None)


def said(report):
    """The remarks that rest on running both versions."""
    return [one for one in report.findings if one.rule.startswith("kodo/behaviour")]


SINGULAR = '''
def singularize(word: str) -> str:
    """The singular of a noun."""
    if word.endswith("ss"):
        return word
    return word.removesuffix("s")
'''


def test_a_changed_result_is_shown_with_the_smallest_input():
    """The remark holds the input, both outcomes and a command; it is a question, of severity info."""
    report = compare(SINGULAR, SINGULAR.replace('    if word.endswith("ss"):\n        return word\n', ""))
    (finding,) = said(report)
    assert "`singularize('ss')` the result changed from 'ss' to 's'" in finding.message
    assert finding.severity is Severity.INFO and finding.evidence.kind is EvidenceKind.EXECUTION
    assert finding.definition == "singularize"
    command = finding.evidence.detail.partition("repeat in both versions: ")[2]
    assert "from m import singularize" in command and "singularize(" in command
    assert report.executed is not None
    assert report.executed.functions == ("m.py: singularize",) and report.executed.inputs > 20


def test_the_command_repeats_the_outcome(tmp_path):
    """The printed command, run beside the new version, prints the new outcome."""
    new = SINGULAR.replace('    if word.endswith("ss"):\n        return word\n', "")
    (finding,) = said(compare(SINGULAR, new))
    (tmp_path / "m.py").write_text(new)
    command = finding.evidence.detail.partition("repeat in both versions: ")[2].replace(
        "python", sys.executable, 1
    )
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "'s'\n"


def test_a_refactoring_is_silent():
    """The same behaviour in other words gives no remark, and what was run is said."""
    new = SINGULAR.replace(
        'if word.endswith("ss"):\n        return word\n    return', 'return word if word[-2:] == "ss" else'
    )
    report = compare(SINGULAR, new)
    assert said(report) == []
    assert report.state is State.CLEAN
    assert report.executed is not None and report.executed.inputs and not report.executed.differences


@pytest.mark.parametrize("made", ["len(__file__)", "'-' * len(__file__)"])
def test_the_place_of_a_version_is_no_difference(made):
    """The length of a page with paths in it, such as a traceback, hangs on how long the folder's name is."""
    old = f"def page(title: str) -> object:\n    note = 1\n    return title, {made}\n"
    assert said(compare(old, old.replace("note = 1", "note = 2"))) == []


def test_a_difference_by_chance_is_not_reported():
    """What differs from run to run says nothing."""
    old = "import time\n\ndef pick(n: int) -> int:\n    return time.perf_counter_ns()\n"
    new = old.replace("return ", "return n + ")
    report = compare(old, new)
    assert said(report) == []
    assert report.executed is not None and report.executed.unstable


def test_an_example_that_the_change_breaks_is_a_warning():
    """Where the documentation shows the old result, the change goes against it."""
    old = 'def double(n: int) -> int:\n    """Twice.\n\n    >>> double(4)\n    8\n    """\n    return n * 2\n'
    (finding,) = said(compare(old, old.replace("n * 2", "n + 3")))
    assert finding.severity is Severity.WARNING and 'the documentation shows "' in finding.message


def test_an_example_with_an_expectation_is_told_as_it_is_shown():
    """A shorter input would be one that the documentation does not speak of."""
    old = 'def total(items: list[int]) -> int:\n    """Sum.\n\n    >>> total([5, 7, 9])\n    21\n    """\n    return sum(items)\n'
    (finding,) = said(compare(old, old.replace("sum(items)", "sum(items) + 1")))
    assert finding.severity is Severity.WARNING and "total([5, 7, 9])" in finding.message


def test_what_speaks_against_a_change_is_said_in_japanese():
    """The reason with the rest of the sentence; the values in it stay as they are."""
    values = ("f(1)", "'binary'", "2", "KeyError is never meant")
    made = Candidate(
        rule=CONTRADICTS, category=Category.BUG, severity=Severity.WARNING, line=1, message="m",
        source="both versions", values=values,
    )  # fmt: skip
    said = localised(made, "ja")
    assert "KeyError が意図されることはありません" in said and "'binary'" in said
    assert localised(made, "en") == "m"


def test_the_changes_own_tests_silence_what_they_state():
    """A result that the change's tests state is meant."""
    old = "def greet(name: str) -> str:\n    return 'hello ' + name\n"
    new = old.replace("hello ", "good day ")
    assert said(compare(old, new))
    stated = "from m import greet\n\ndef test_greet():\n    assert greet('') == 'good day '\n    assert greet('a') == 'good day a'\n"
    assert said(compare(old, new, test_m=stated)) == []


def test_an_unchanged_caller_that_now_fails_is_a_warning():
    """A typed caller that the change left alone and that now ends in an operation's error."""
    old = (
        "def find(words: list[str], word: str) -> int:\n    return words.index(word) if word in words else -1\n\n"
        "def after(words: list[str], word: str) -> list[str]:\n    return words[find(words, word) + 1:]\n"
    )
    new = old.replace("else -1", "else None")
    findings = said(compare(old, new))
    assert [one.severity for one in findings] == [Severity.WARNING]


def test_two_accidental_errors_are_no_difference():
    """A TypeError that became an AttributeError for a guessed argument is noise."""
    old = "def head(thing):\n    return thing[0].upper() + 'x'\n"
    new = "def head(thing):\n    first = thing[0]\n    return first.upper() + 'x'\n"
    assert said(compare(old, new)) == []


def test_generators_and_async_functions_are_read():
    """What an iterator, a coroutine or an asynchronous generator gives is compared."""
    old = (
        "def count(n: int):\n    for i in range(min(n, 5)):\n        yield i\n\n"
        "async def later(n: int) -> int:\n    return n\n\n"
        "async def each(n: int):\n    for i in range(min(n, 5)):\n        yield i\n"
    )
    new = old.replace("yield i", "yield i + 1").replace("return n", "return n + 1")
    assert {one.definition for one in said(compare(old, new, options=PATIENT))} == {"count", "later", "each"}


def test_an_object_of_another_class_is_compared_by_its_attributes():
    """A result without source text differs where a public attribute does."""
    old = (
        "class Box:\n    def __init__(self, n):\n        self.n = n\n\ndef make(n: int):\n    return Box(n)\n"
    )
    (finding,) = said(compare(old, old.replace("return Box(n)", "return Box(n + 1)")))
    assert "n = " in finding.message


def test_a_module_that_cannot_be_imported_is_said():
    """The report says what could not be run and why; it is no gap of the review."""
    old = "import no_such_package_here\n\ndef f(x: int) -> int:\n    return x\n"
    report = compare(old, old.replace("return x", "return x + 1"))
    assert report.executed is not None
    assert any("no_such_package_here" in reason for reason in report.executed.not_run)


def test_a_namespace_package_inside_of_a_package_is_run():
    """A module whose folder has no ``__init__`` and that imports what is around it runs as a part of its package."""
    old = "from ..config import LIMIT\n\ndef f(x: int) -> int:\n    return min(x, LIMIT)\n"
    before = {"pkg/__init__.py": "", "pkg/config.py": "LIMIT = 10\n", "pkg/inner/m.py": old}
    after = {path: f"{text}# touched\n" for path, text in before.items()}
    after["pkg/inner/m.py"] = old.replace("LIMIT)", "LIMIT) + 1")
    (finding,) = said(review(VersionsSource(before, after), PATIENT, None))
    assert finding.definition == "f"


def test_a_file_that_is_no_utf8_is_read_too():
    """Where a version stops to bear other bytes, such a file shows it."""
    old = (
        "def first_line(filename: str) -> str:\n"
        "    with open(filename, encoding='utf8', errors='ignore') as file:\n        return file.readline()\n"
    )
    (finding,) = said(compare(old, old.replace(", errors='ignore'", ""), options=PATIENT))
    assert "write_bytes(b'" in finding.message and "UnicodeDecodeError" in finding.message


def test_nothing_is_run_unless_asked():
    """Without ``run`` no code of the change is executed."""
    report = review(
        VersionsSource({"m.py": SINGULAR}, {"m.py": SINGULAR.replace('"ss"', '"s"')}), ReviewOptions(), None
    )
    assert report.executed is None and said(report) == []


def test_inputs_come_from_the_projects_own_tests():
    """A change that only a documented kind of text shows is found with the literals of a test, a little changed."""
    old = (
        "class Parser:\n    def __init__(self, rules):\n        self.rules = rules['names']\n\n"
        "    def parse(self, text):\n        head, _, rest = text.partition('::')\n"
        "        return self.rules[head], rest.strip(' ')\n"
    )
    test = (
        "from m import Parser\n\ndef test_parse():\n    parser = Parser({'names': {'k': 1}})\n"
        "    assert parser.parse('k:: v') == (1, 'v')\n"
    )
    before, after = (
        {"m.py": old, "tests/test_m.py": test},
        {"m.py": old.replace("rest.strip(' ')", "rest")},
    )
    after["tests/test_m.py"] = test + "\n# touched\n"
    (finding,) = said(review(VersionsSource(before, after), PATIENT, None))
    assert "parser.parse(" in finding.message


def test_a_model_proposes_and_running_judges(tmp_path, monkeypatch):
    """A snippet that shows a difference is a remark of both outputs; one that shows none, or is no code, is dropped."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    old = "def gate(code):\n    return 'open' if hash(str(code)) and str(code) == 'x7' + '-91' else 'shut'\n"
    snippets = [
        "from m import gate\ngate('x7-91')",
        "from m import gate\nprint(gate('a'))",
        "no code at",
        "x = 1",
    ]

    def script(request):
        wanted = "that would print something else" in json.dumps(request.body)
        return Reply(text=json.dumps({"snippets": snippets} if wanted else {"findings": []}))

    with (
        FakeResponses(script) as server,
        Session(base_url=server.base_url, api_key="k", model="m", free=True) as session,
    ):
        options = ReviewOptions(run=True, fixes=False, size="capable", window=8000)
        change = VersionsSource({"m.py": old}, {"m.py": old.replace("'-91'", "'-92'")})
        report = review(change, options, session)
    messages = [one.message for one in said(report)]
    assert any("gate('x7-91')" in message and "'open' to 'shut'" in message for message in messages), messages
    assert not any("gate('a')" in message for message in messages)
    assert report.model is not None and report.model.rejected["a snippet that does not parse"] == 1


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_budget_that_is_none_is_refused(value):
    """Seconds must be above 0."""
    with pytest.raises(ValueError, match="run-seconds"):
        ReviewOptions(run_seconds=value)


@pytest.fixture
def answers():
    """What a worker that compares answers in the place of a run."""
    return [Finished()]


@pytest.fixture
def handed():
    """The calls out of tests that a comparison was handed while it ran."""
    return []


@pytest.fixture
def made_up():
    """The calls of functions that a comparison was handed while the versions were imported."""
    return []


@pytest.fixture
def workers(monkeypatch, answers, handed, made_up):
    """The jobs that workers were given; none is run."""
    given = []

    def run(sandbox, project, worker, job, answer_type, **more):
        given.append(job)
        if not isinstance(job, Compare):
            return []
        groups, incoming = Incoming[Group](project, (job.rest,), Group), Incoming[Call](project, job.later)
        while not (groups.ended and incoming.ended):
            made_up.extend(call for _, rows in groups.read() for _, calls in rows for call in calls)
            handed.extend(call for _, calls in incoming.read() for call in calls)
        return list(answers)

    monkeypatch.setattr("kodo.jobs.review.behaviour.run_worker", run)
    monkeypatch.setattr("kodo.jobs.review.recording.run_worker", run)
    return given


def recorded(*setup, expression="singularize('as')"):
    """A call that a running test made."""
    return Call(0, "test_m.py", expression, (), setup, origin="test")


THREE = "".join(f"def {name}(n: int) -> int:\n    return n\n\n" for name in ("first", "second", "third"))
TEST = "from m import singularize\n\ndef test_it():\n    assert singularize('as') == 'a'\n"


@pytest.mark.parametrize(
    ("new", "count"), [(SINGULAR + "# a remark\n", 0), (SINGULAR.replace("ss", "us"), 2)]
)
def test_no_test_is_run_where_no_function_changed(workers, new, count):
    """The tests and the comparison are started for a changed function alone."""
    before, after = {"m.py": SINGULAR, "test_m.py": TEST}, {"m.py": new, "test_m.py": TEST + "\n"}
    review(VersionsSource(before, after), OPTIONS, None)
    assert len(workers) == count


def test_nothing_is_compared_when_nothing_is_left_of_the_budget(workers, monkeypatch, made_up):
    """The inputs took all the time; the report says so."""
    now = [0.0]

    def slow(*args):
        now[0] += 100
        return {}

    monkeypatch.setattr("kodo.jobs.review.behaviour.time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("kodo.jobs.review.behaviour.instances", slow)
    report = compare(SINGULAR, SINGULAR.replace("ss", "us"))
    assert made_up == [] and report.executed.not_run == ("m.py: the budget of seconds was used up",)
    assert report.state is State.PARTIAL  # not clean: nothing of it was run
    assert [(one.path, one.gap) for one in report.unreviewed] == [("behaviour", True)]
    assert report.unreviewed[0].reason == "no changed function was run: the time was used up before"


@pytest.mark.parametrize(
    ("rest", "out"),
    [
        ([], ["m.py: the budget ran out before second, third"]),
        ([Exhausted(("second",))], ["m.py: the budget ran out before second, third"]),
        ([Exhausted(("second",)), Finished()], ["m.py: the budget ran out before second"]),
        ([Finished()], []),
    ],
)
def test_functions_that_a_killed_worker_has_no_answer_for_are_named(workers, answers, rest, out):
    """Only a worker that came to its end may leave a function out: its callers have shown the change already."""
    call = Call(0, "first", "first(1)", origin="boundary")
    shown = Difference(call, Outcome(0, "value", {"result": "1"}), Outcome(0, "value", {"result": "2"}), call)
    answers[:] = [Compared("first", 3, 0, (shown,)), *rest]
    report = compare(THREE, THREE.replace("return n", "return n + 1"))
    assert list(report.executed.not_run) == out and report.executed.functions == ("m.py: first",)


def test_functions_whose_calls_come_after_the_end_of_the_worker_are_named(workers, monkeypatch):
    """It came to its end without them and shows nothing, so nobody may take them for compared."""
    monkeypatch.setattr("kodo.jobs.review.behaviour.run_worker", lambda *args, **more: [Finished()])
    monkeypatch.setattr("kodo.jobs.review.behaviour.instances", lambda *args: time.sleep(0.5) or {})
    report = compare(THREE, THREE.replace("return n", "return n + 1"))
    assert report.executed.not_run == ("m.py: the budget ran out before first, second, third",)


def test_functions_of_which_no_call_can_be_made_up_are_named(workers, answers):
    """A method of an abstract class that nothing derives from needs an instance, and there is none."""
    old = "from abc import ABC, abstractmethod\n\nclass Shape(ABC):\n    @abstractmethod\n    def area(self): ...\n\n    def twice(self):\n        return 2\n"
    answers[:] = [Finished()]
    report = compare(old, old.replace("return 2", "return 3"))
    assert report.executed.not_run == ("m.py: no call could be made up for Shape.twice",)


def test_a_recorded_call_that_is_no_python_is_left_out(workers, handed, monkeypatch):
    """Tests can send what they like; the comparison gets the other calls."""
    sent = [recorded("import m"), recorded(expression="singularize("), recorded("import")]

    def record(*args, hear, **more):
        for call in sent:
            hear(RecordedCall(call, ("m.py",)))

    monkeypatch.setattr("kodo.jobs.review.recording.run_worker", record)
    before = {"m.py": SINGULAR, "test_m.py": "import m\n\ndef test_it():\n    m.singularize('as')\n"}
    after = {"m.py": SINGULAR.replace("ss", "us"), "test_m.py": before["test_m.py"] + "\n"}
    report = review(VersionsSource(before, after), OPTIONS, None)
    assert report.executed.recorded == 1
    assert handed.count(sent[0]) == 1 and not {sent[1], sent[2]} & set(handed)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("import tests.helpers", False),
        ("import helpers", False),
        ("from tests import helpers", False),
        ("from helpers import make", False),
        ("import tests.others", True),
        ("import m, math", True),
    ],
)
def test_a_call_on_a_file_of_tests_that_the_change_touched_is_left_out(
    workers, handed, monkeypatch, line, kept
):
    """Each version would import its own helpers, and what differs in these would be laid on the code under test."""

    def record(*args, hear, **more):
        hear(RecordedCall(recorded(line), ("m.py",)))

    monkeypatch.setattr("kodo.jobs.review.recording.run_worker", record)
    before = {"m.py": SINGULAR, "tests/helpers.py": "make = 1\n", "tests/test_m.py": "import m\n"}
    after = {path: text + "\n" for path, text in before.items()} | {"m.py": SINGULAR.replace("ss", "us")}
    review(VersionsSource(before, after), OPTIONS, None)
    assert len(workers) == 1 and bool(handed) == kept


def test_no_more_tests_are_run_when_the_comparison_has_ended(workers, monkeypatch):
    """The tests that are run for their calls end with the comparison, and the review does not wait for their time."""

    waited = []

    def record(sandbox, project, worker, job, *args, **more):
        begun = time.monotonic()
        while not (project / job.stop).exists() and time.monotonic() < job.until:
            time.sleep(0.01)
        waited.append(time.monotonic() - begun)

    def run(*args, **more):
        return [Compared("singularize", 3, 0, ()), Finished()]

    monkeypatch.setattr("kodo.jobs.review.recording.run_worker", record)
    monkeypatch.setattr("kodo.jobs.review.behaviour.run_worker", run)
    options = ReviewOptions(run=True, fixes=False, run_seconds=100)
    before = {"m.py": SINGULAR, "test_m.py": TEST}
    after = {"m.py": SINGULAR.replace("ss", "us"), "test_m.py": TEST + "\n"}
    change = VersionsSource(before, after)
    report = review(change, options, None)
    assert report.executed.functions == ("m.py: singularize",) and len(waited) == 1 and waited[0] < 15


def test_tests_are_run_once_for_all_changed_files(workers, handed, monkeypatch):
    """Each comparison gets the calls that go through its own functions."""
    jobs = []

    def record(sandbox, project, worker, job, *args, hear, **more):
        jobs.append(job)
        hear(RecordedCall(recorded("import m", expression="m.singularize('as')"), ("m.py",)))
        hear(RecordedCall(recorded("import n", expression="n.singularize('as')"), ("m.py", "n.py")))
        hear(RecordedCall(recorded("import o"), ("o.py",)))

    monkeypatch.setattr("kodo.jobs.review.recording.run_worker", record)
    before = {"m.py": SINGULAR, "n.py": SINGULAR, "test_m.py": TEST, "test_n.py": TEST}
    after = {path: text.replace("ss", "us") + "\n" for path, text in before.items()}
    report = review(VersionsSource(before, after), OPTIONS, None)
    (job,) = jobs
    assert [one.where.path for one in job.watched] == ["m.py", "n.py"]
    assert set(job.files) == {"test_m.py", "test_n.py"} and report.executed.recorded == 3
    got = [call.expression for call in handed if call.setup[:1] in (("import m",), ("import n",))]
    assert got == ["m.singularize('as')", "n.singularize('as')", "n.singularize('as')"]


def test_every_changed_file_has_a_part_of_the_time(workers):
    """One file does not take what there is for the others."""
    before = {f"{name}.py": SINGULAR for name in ("a", "b", "c")}
    after = {path: text.replace("ss", "us") for path, text in before.items()}
    begun = time.monotonic()
    review(VersionsSource(before, after), ReviewOptions(run=True, fixes=False, run_seconds=90), None)
    ends = [job.until - begun for job in workers]
    assert 30 <= ends[0] < 45 <= ends[1] < 60 and ends[2] > 85


def test_files_with_one_reason_are_named_together():
    """A reader does not read one sentence for each of ten files; what is of no file, or of a function, stays by itself."""
    used_up, other = (
        "the budget of seconds was used up",
        "the project's tests, for their calls: there are none",
    )
    found = Behaviour(
        not_run=[f"a.py: {used_up}", other, f"b.py: {used_up}", "b.py: f: TypeError", f"a.py: {used_up}"]
    )
    told = found.summary(20.0).not_run
    assert told == (f"a.py, b.py: {used_up}", other, "b.py: f: TypeError")
    assert in_lang(told[0], "ja") == "a.py, b.py: 実行時間の上限に達しました"


def test_reading_is_held_to_a_part_of_the_budget(workers, monkeypatch):
    """The first changed module is always read; those for which no time is left are named."""
    now = [0.0]

    def slow(path):
        now[0] += 30
        return load(path)

    monkeypatch.setattr("kodo.jobs.review.behaviour.time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("kodo.jobs.review.behaviour.load", slow)
    before = {f"{name}.py": SINGULAR for name in ("a", "b")}
    after = {path: text.replace("ss", "us") for path, text in before.items()}
    options = ReviewOptions(run=True, fixes=False, run_seconds=90)
    report = review(VersionsSource(before, after), options, None)
    (told,) = [line for line in report.executed.not_run if "not read" in line]
    assert told == "b.py: not read, since reading the others took its part of the budget"


def test_no_test_is_run_when_their_time_was_over_before_they_were_chosen(workers, monkeypatch):
    """A large project takes long to look through; the comparison goes on without them."""

    def late(*args):
        time.sleep(1.5)
        return [args[0].before / "test_m.py"]

    monkeypatch.setattr("kodo.jobs.review.recording.nearest_tests", late)
    before = {"m.py": SINGULAR, "test_m.py": TEST}
    after = {"m.py": SINGULAR.replace("ss", "us"), "test_m.py": TEST + "\n"}
    options = ReviewOptions(run=True, fixes=False, run_seconds=3)
    report = review(VersionsSource(before, after), options, None)
    assert [type(job) for job in workers] == [Compare] and report.state is not State.FAILED


def test_one_thread_parses_python(workers, monkeypatch):
    """Two that do so at the same time end in a SystemError of the interpreter, and the review with it."""
    threads = set()
    parse = ast.parse

    def note(*args, **more):
        threads.add(threading.current_thread())
        return parse(*args, **more)

    def record(*args, hear, **more):
        for number in range(50):
            hear(RecordedCall(recorded("import m", expression=f"m.singularize('a{number}s')"), ("m.py",)))

    monkeypatch.setattr("kodo.jobs.review.recording.run_worker", record)
    monkeypatch.setattr(ast, "parse", note)
    before = {"m.py": SINGULAR, "test_m.py": TEST}
    after = {"m.py": SINGULAR.replace("ss", "us"), "test_m.py": TEST + "\n"}
    report = review(VersionsSource(before, after), OPTIONS, None)
    assert report.executed.recorded == 50 and threads == {threading.current_thread()}


PLAIN = "class Money:\n    def __init__(self, n: int):\n        self.n = n\n\n    def double(self):\n        return self.n * 2\n"


@pytest.mark.parametrize(
    ("base", "method", "call"),
    [
        ("", "def __eq__(self, other):\n        return True", "money == "),
        ("", "def __bool__(self):\n        return self.n > 0", ""),
        ("dict", "def get(self, key, default=None):\n        return 7", "money.get("),
        ("", "def triple(self):\n        return self.n * 3", ""),
    ],
)
def test_a_method_that_takes_the_place_of_an_inherited_one_is_called(base, method, call):
    """Both versions can be asked, though only one of them defines it; a method that only one has says nothing."""
    old = PLAIN.replace("class Money", f"class Money({base})") if base else PLAIN
    found = said(compare(old, f"{old}\n    {method}\n", options=PATIENT if call else OPTIONS))
    assert [call in one.message and "getattr" not in one.message for one in found] == ([True] if call else [])


def test_a_property_is_set_before_it_is_read():
    """What a setter does shows in what the property gives."""
    old = (
        "class Box:\n    def __init__(self):\n        self._n = 1\n\n    @property\n    def n(self):\n        return self._n\n\n"
        "    @n.setter\n    def n(self, value: int):\n        self._n = value\n"
    )
    (finding,) = said(
        compare(old, old.replace("self._n = value", "self._n = min(value, 5)"), options=PATIENT)
    )
    assert ".n = " in finding.message


_MISSING = """
class Missing:
    def __repr__(self):
        return "missing"

    def __reduce__(self):
        return "missing"


missing = Missing()
"""


def test_a_value_that_no_function_reads_is_asked_whether_it_can_be_copied():
    """What says that it is itself when it is copied, and does no more, is said with the line that binds it."""
    without = _MISSING.replace('\n    def __reduce__(self):\n        return "missing"\n', "")
    messages = [one.message for one in said(compare(_MISSING, without, options=PATIENT))]
    assert any(
        "`copy.copy(missing) is missing` the result changed from True to False" in one for one in messages
    )
    assert said(compare(_MISSING, _MISSING.replace('"""', "'''"), options=PATIENT)) == []


def test_a_literal_that_changes_is_shown_by_the_change_itself():
    """No remark repeats what the line says, and none is made of a value that a function reads."""
    assert said(compare("LIMIT = 3\n", "LIMIT = 4\n", options=PATIENT)) == []


def test_what_a_decorator_makes_of_a_function_is_compared_by_its_state():
    """The call of the function gives the same; an attribute that its decorator sets does not."""
    old = (
        "class Kept:\n    def __init__(self, function, keeps):\n        self._function, self.keeps = function, keeps\n\n"
        "    def __call__(self, *args):\n        return self._function(*args)\n\n\n"
        "def kept(keeps=False):\n    return lambda function: Kept(function, keeps)\n\n\n"
        "@kept(keeps=True)\ndef half(n: int) -> int:\n    return n // 2\n"
    )
    (finding,) = said(compare(old, old.replace("@kept(keeps=True)", "@kept()"), options=PATIENT))
    assert "vars(half)" in finding.message and "{'keeps': True} to {'keeps': False}" in finding.message
    assert finding.definition == "half"


def test_an_argument_that_only_one_version_changes_is_named():
    """The remark says which one, and that in the other version it stayed as it was."""
    old = "def drain(items: list[int]) -> int:\n    return sum(items)\n"
    new = "def drain(items: list[int]) -> int:\n    total = sum(items)\n    items.clear()\n    return total\n"
    (finding,) = said(compare(old, new, options=PATIENT))
    assert "the result changed from items = as it was to items = []" in finding.message


def test_of_many_functions_each_gets_fewer_inputs(tmp_path):
    """Making them takes the seconds of the calls; of a few functions each gets those of both versions."""
    counts = {}
    for count in (2, 20):
        versions = []
        for limit in (1, 2):
            path = tmp_path / f"{limit}-{count}" / "m.py"
            path.parent.mkdir()
            functions = (
                f"def f{at}(a: str, b: int) -> object:\n    return a[:b], LIMIT\n" for at in range(count)
            )
            path.write_text("\n\n".join([f"LIMIT = {limit}\n", *functions]))
            versions.append(load(path))
        affected = affected_functions(*versions)
        source = VersionsSource(*({"m.py": one.source} for one in versions))
        (file,) = reading.read(source, OPTIONS.max_bytes).files
        counts[count] = [len(calls) for _, calls in input_groups(*versions, affected, file, {}, {})]
    assert len(counts[20]) == 20 and len(counts[2]) == 2
    assert max(counts[20]) < 0.6 * min(counts[2])


def test_a_check_of_what_never_comes_is_a_question():
    """A split text has one field at the least; where the check excluded something that comes, the warning stays."""
    old = (
        "def parse(text: str) -> list[str]:\n"
        "    fields = text.split(';')\n"
        "    if len(fields) < {0}:\n"
        "        raise ValueError(text)\n"
        "    return fields\n"
    )
    gone = "def parse(text: str) -> list[str]:\n    fields = text.split(';')\n    return fields\n"
    options = ReviewOptions(run=True, fixes=False)
    found = {}
    for limit in (1, 2):
        source = VersionsSource({"m.py": old.format(limit)}, {"m.py": gone})
        findings = review(source, options, None).findings
        found[limit] = {one.rule: one.severity for one in findings}
    assert found[1] == {"kodo/guard-removed": Severity.INFO}
    assert found[2]["kodo/guard-removed"] is Severity.WARNING and "kodo/behaviour-changed" in found[2]
