"""What kills mutants that are left: neighbours of calls, items of iterators, and what is no change of an argument."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call, Expectation, Observed
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.arcs import Arcs
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.execution.worker.operands import Sides
from kodo.jobs.testgen import render
from kodo.jobs.testgen.model import MutantPlace, Options, Score
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.survivors import SurvivorSearch
from kodo.jobs.testgen.trials import Trials
from kodo.jobs.testgen.worker.jobs import Measured

SOURCE = '''def grade(points: int) -> str:
    """Doc."""
    if points > 73:
        return "pass"
    return "fail"
'''


class ScriptedPipeline:
    """Stands in for a pipeline: a call with 74 kills mutant 1, one of any other number nothing; mutant 0 is killed."""

    def __init__(self, path: Path) -> None:
        self.worker = type("Worker", (), {"module": load(path)})
        self.places = (
            MutantPlace(0, "grade", 3, "if points > 73: ... -> if False: ..."),
            MutantPlace(1, "grade", 3, "points > 73 -> points > 74"),
        )
        self.asked: list[tuple[int, frozenset[int]]] = []
        self.options = Options()
        self.of_more: dict[int, frozenset[int]] = {}

    def may_begin(self, step: str) -> bool:
        """There is always time."""
        return True

    def compared(self, calls, functions):
        """Nothing is compared."""
        return {}

    def attempt(self, calls):
        return trials(calls)

    def kills(self, found, only, *, more=False):
        if more:
            return self.of_more
        self.asked.append((len(found.calls), only))
        return {call.id: frozenset({1}) for call in found.calls if call.args[0].source == "74"}


def trials(calls):
    """Trials of calls that all run the lines of the function."""
    seen = {call.id: Observed(call.id, "value", "'fail'", arcs=((-1, 3), (3, 5))) for call in calls}
    return Trials(tuple(calls), seen, {}, len(calls), len(calls))


def search(tmp_path):
    """A search over the function, and the trials and kills that it starts with."""
    path = tmp_path / "mod.py"
    path.write_text(SOURCE)
    pipeline = ScriptedPipeline(path)
    generator = CandidateGenerator(load(path), 0, deep=True)
    first = trials(generator.from_cases([Call(0, "grade", "grade(_0)", (Arg("points", "73"),))]))
    return pipeline, SurvivorSearch(pipeline, generator), first


def test_a_neighbour_of_a_call_that_ran_the_line_kills_what_was_left(tmp_path):
    """The numbers on both sides of the one compared with are tried, against the mutants left alone."""
    pipeline, survivors, first = search(tmp_path)
    found, kills = survivors.run(first, {0: frozenset({0})})
    assert {mutant for killed in kills.values() for mutant in killed} == {0, 1}
    assert pipeline.asked[0][1] == {1}
    assert len(pipeline.asked) == 1, "nothing is left, so nothing more is tried"
    assert len({call.id for call in found.calls}) == len(found.calls) > 1


def test_a_search_that_kills_nothing_ends(tmp_path):
    """The second round without a kill, which varies other calls, is the last."""
    pipeline, survivors, first = search(tmp_path)
    pipeline.kills = lambda found, only, more=False: (
        {} if more else pipeline.asked.append((len(found.calls), only)) or {}
    )
    _, kills = survivors.run(first, {0: frozenset({0})})
    assert len(pipeline.asked) == 2
    assert kills == {0: frozenset({0})}


def test_what_the_calls_not_tried_at_first_kill_is_not_searched_for(tmp_path):
    """And the same call still kills what it killed at first."""
    pipeline, survivors, first = search(tmp_path)
    pipeline.of_more = {0: frozenset({1})}
    assert survivors.run(first, {0: frozenset({0})}) == (first, {0: frozenset({0, 1})})
    assert pipeline.asked == []


def test_what_was_compared_is_put_for_what_it_was_compared_with(tmp_path):
    """No literal of the change or the function is the number of a table elsewhere."""
    pipeline, survivors, first = search(tmp_path)
    asked: list[set[str]] = []

    def compared(calls, functions):
        asked.append(set(functions))
        return {call.id: (Sides(3, "73", "4242"),) for call in calls}

    pipeline.compared = compared
    found, _ = survivors.run(first, {0: frozenset({0})})
    assert asked == [{"grade"}]
    assert {"4242", "4243", "4241"} <= {call.args[0].source for call in found.calls}


def test_a_line_that_no_call_runs_is_searched_for_from_the_last_one_before_it(tmp_path):
    """There the calls turn away; what they compare there, in a private helper too, is what leads on."""
    pipeline, survivors, first = search(tmp_path)
    pipeline.places = (MutantPlace(1, "grade", 4, "return 'pass' -> return None"),)
    module = SOURCE + "\n\ndef _is_known(points):\n    return points in TABLE\n"
    (tmp_path / "mod.py").write_text(module)
    pipeline.worker.module = load(tmp_path / "mod.py")
    asked: list[set[str]] = []

    def compared(calls, functions):
        asked.append(set(functions))
        return {call.id: (Sides(9, "73", "4242"),) for call in calls}

    pipeline.compared = compared
    found, _ = survivors.run(first, {})
    assert asked[0] == {"grade", "_is_known"}
    assert "4242" in {call.args[0].source for call in found.calls}


def test_a_search_goes_on_while_it_reaches_something_new(tmp_path):
    """A round that kills nothing but runs a further line is not in vain."""
    pipeline, survivors, first = search(tmp_path)
    pipeline.kills = lambda found, only, more=False: (
        {} if more else pipeline.asked.append((len(found.calls), only)) or {}
    )

    def attempt(calls):
        arcs = ((-1, 3), (3, 4)) if not pipeline.asked else ((-1, 3), (3, 5))
        reached = {call.id: Observed(call.id, "value", "'fail'", arcs=arcs) for call in calls}
        return Trials(tuple(calls), reached, {}, len(calls), len(calls))

    pipeline.attempt = attempt
    survivors.run(first, {0: frozenset({0})})
    assert len(pipeline.asked) == 3


def test_where_no_call_runs_the_line_nothing_is_tried(tmp_path):
    """There is nothing to vary."""
    pipeline, survivors, _ = search(tmp_path)
    nothing = Trials((), {}, {}, 0, 0)
    assert survivors.run(nothing, {}) == (nothing, {})
    assert pipeline.asked == []


def seen(tmp_path, monkeypatch, body, call):
    """What a call of a module does, as the worker sees it."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    path = tmp_path / "target.py"
    path.write_text(body, encoding="utf-8")
    space: dict[str, object] = {"__name__": "target"}
    exec(compile(body, str(path), "exec"), space)
    return observe(call, space, {}, (), 2.0, Arcs(str(path)))


@pytest.mark.parametrize(
    ("body", "text", "assertion"),
    [
        (
            "def f(x):\n    while True:\n        yield x\n        x += 1\n",
            "[3, 4, 5, 6, 7]",
            "assert list(itertools.islice(f(3), 5)) == [3, 4, 5, 6, 7]",
        ),
        (
            "def f(x):\n    return iter([x]), (one for one in (x, 2))\n",
            "[[3], [3, 2]]",
            "assert [list(part) for part in f(3)] == [[3], [3, 2]]",
        ),
    ],
)
def test_iterators_are_read_as_far_as_a_test_can(tmp_path, monkeypatch, body, text, assertion):
    """An iterator without an end by its first items, several iterators each as a list; the assertion holds."""
    call = Call(0, "f", "f(_0)", (Arg("x", "3"),))
    one = seen(tmp_path, monkeypatch, body, call)
    assert (one.kind, one.text) == ("value", text)
    assert render.body(call, one, "pytest") == [assertion]
    space: dict[str, object] = {}
    exec(f"import itertools\n{body}\n{assertion}", space)


def test_one_of_several_iterators_without_an_end_is_no_test(tmp_path, monkeypatch):
    """What it yields cannot be written down."""
    body = "import itertools\ndef f(x):\n    return iter([x]), itertools.count()\n"
    one = seen(tmp_path, monkeypatch, body, Call(0, "f", "f(_0)", (Arg("x", "3"),)))
    assert (one.kind, one.text) == ("unusable", "it yields more than 50 values")


@pytest.mark.parametrize(("argument", "meets"), [("func", True), ("d", False)])
def test_what_a_given_function_keeps_is_no_change_of_an_argument(tmp_path, monkeypatch, argument, meets):
    """ "Does not change its arguments" says nothing of the list that a callback of a test appends to."""
    changed = {"func": "func(1)", "d": "d.append(1)"}[argument]
    body = f"def f(d, func):\n    {changed}\n    return d\n"
    expect = Expectation("property", "unchanged", "docstring", "does not change d")
    call = Call(0, "f", "f(_0, _1.append)", (Arg("d", "[]"), Arg("func", "[]")), expect=expect)
    assert seen(tmp_path, monkeypatch, body, call).meets is meets


def test_the_same_file_is_measured_once(tmp_path):
    """The layout and the score both ask what the written file covers; another file is another run."""
    path = tmp_path / "mod.py"
    path.write_text(SOURCE)
    asked: list[str] = []

    class CountingWorker:
        module = load(path)
        where = None

        def ask(self, job, seconds, files):
            asked.append(files["test_kodo_generated.py"])
            return [Measured(Score(2, 1, 0, 0), ("test_a",), ())]

    pipeline = Pipeline(CountingWorker(), (), Options())
    assert pipeline.measure("one", ()) == pipeline.measure("one", ()) == Score(2, 1, 0, 0)
    pipeline.measure("two", ())
    assert asked == ["one", "two"]


@pytest.mark.parametrize("text", ["", "_0.size == 1"])
def test_an_input_that_cannot_be_copied_is_no_hindrance(tmp_path, monkeypatch, text):
    """The call is made and its result asserted; a property of the input as it was says nothing then."""
    body = (
        "class Fixed:\n    def __init__(self, size):\n        self.size = size\n"
        "    def __deepcopy__(self, memo):\n        raise TypeError('fixed')\n"
        "def f(x):\n    x.size += 1\n    return x.size\n"
    )
    expect = Expectation("property", text, "docstring", "as it was") if text else None
    one = seen(tmp_path, monkeypatch, body, Call(0, "f", "f(_0)", (Arg("x", "Fixed(1)"),), expect=expect))
    assert (one.kind, one.text, one.meets) == ("value", "2", None)


CONTAINERS = """
import collections.abc

class Bag(collections.abc.MutableSet):
    def __init__(self, *items): self._held = set(items)
    def __contains__(self, item): return item in self._held
    def __iter__(self): return iter(self._held)
    def __len__(self): return len(self._held)
    def add(self, item): self._held.add(item)
    def discard(self, item): self._held.discard(item)

class Row(collections.abc.Sequence):
    def __init__(self, *items): self._held = list(items)
    def __getitem__(self, at): return self._held[at]
    def __len__(self): return len(self._held)
    def turn(self): self._held.reverse()

class Table(collections.abc.Mapping):
    def __init__(self, *items): self._held = dict.fromkeys(items, 1)
    def __getitem__(self, key): return self._held[key]
    def __iter__(self): return iter(self._held)
    def __len__(self): return len(self._held)
    def count(self, key): self._held[key] += 1

class Endless(collections.abc.Sequence):
    def __getitem__(self, at): return at
    def __len__(self): return 3
    def touch(self): pass
"""


@pytest.mark.parametrize(
    ("made", "change", "after"),
    [
        ("Bag('a', 'b')", "it.discard('a')", {"len(it)": "1", "set(it)": "{'b'}"}),
        ("Row(1, 2)", "it.turn()", {"list(it)": "[2, 1]"}),
        ("Table('k')", "it.count('k')", {"dict(it)": "{'k': 2}"}),
        ("Endless()", "it.touch()", {}),
    ],
)
def test_what_a_method_did_to_a_container_is_seen_by_its_items(tmp_path, monkeypatch, made, change, after):
    """What it holds is private, so that a method that does nothing any more would pass unseen."""
    call = Call(0, "f", change, (), (f"it = {made}",), "it")
    assert seen(tmp_path, monkeypatch, CONTAINERS, call).after == after
