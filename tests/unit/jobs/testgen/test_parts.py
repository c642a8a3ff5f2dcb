"""The pure parts: mutants, the choice among calls, written tests, merging, shrinking."""

import ast
import datetime
import enum
import time
from dataclasses import dataclass

import pytest

from kodo.jobs.execution.model import Arg, Call, Expectation, Observed
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.annotation_check import conforms
from kodo.jobs.execution.worker.fork import forked
from kodo.jobs.execution.worker.smaller import smaller
from kodo.jobs.testgen import merge, render
from kodo.jobs.testgen.model import Options, Score, TestgenError
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.select import choose
from kodo.jobs.testgen.worker.kill import shrink

SOURCE = '''
LIMIT = 3

def f(x: int = 5) -> int:
    """Doc."""
    if x < 2 and not x == 7:
        raise ValueError("message")
    for i in range(x):
        if i > 1:
            break
    return x + 1

def other():
    return 1
'''


def test_mutants_change_one_place_of_the_named_functions_only():
    """Each mutant differs from the source, parses, and leaves other functions and module constants alone."""
    tree = ast.parse(SOURCE)
    found = list(mutants(SOURCE, frozenset({"f"}), 1000, 0))
    assert len(found) > 12
    texts = {ast.unparse(one.tree) for one in found}
    assert len(texts) == len(found)
    assert ast.unparse(tree) not in texts
    for one in found:
        assert one.place.function == "f"
        assert ast.unparse(one.tree.body[2]) == ast.unparse(tree.body[2])
        assert ast.unparse(one.tree.body[0]) == "LIMIT = 3"


def test_a_mutant_copies_only_the_way_to_its_change():
    """Everything beside it is shared by all mutants, and none of them changes the tree of another."""
    first, *others = mutants(SOURCE, frozenset({"f"}), 1000, 0)
    whole = ast.unparse(first.tree)
    for one in others:
        shared = [a is b for a, b in zip(first.tree.body, one.tree.body, strict=True)]
        assert shared == [not isinstance(a, ast.FunctionDef) or a.name != "f" for a in one.tree.body]
        compile(one.tree, "mutant", "exec")
    assert ast.unparse(first.tree) == whole


def test_mutants_spare_docstrings_annotations_and_error_messages():
    """Changes that no fair test could notice are not made."""
    changes = [one.place.change for one in mutants(SOURCE, frozenset({"f"}), 1000, 0)]
    assert not any("Doc" in change or change.startswith("'message'") for change in changes)
    assert not any(one.startswith("int ->") for one in changes)


def test_the_type_that_a_value_is_cast_to_is_no_code():
    """No run reads it, as it reads no annotation; the value is changed."""
    source = "from typing import cast\ndef f(x):\n    return cast('list[int]', x + 1)\n"
    changes = [one.place.change for one in mutants(source, frozenset({"f"}), 100, 0)]
    assert "x + 1 -> x - 1" in changes
    assert not any("list[int]" in one and not one.startswith("return") for one in changes)


def test_the_same_seed_gives_the_same_sample_of_mutants():
    """A mutant is known by its number on both sides of the sandbox."""
    first = [one.place for one in mutants(SOURCE, frozenset({"f"}), 5, 3)]
    assert first == [one.place for one in mutants(SOURCE, frozenset({"f"}), 5, 3)]
    assert len(first) == 5


def call(number, origin="random"):
    return Call(number, "f", "f(_0)", (Arg("x", str(number)),), origin=origin)


def test_a_call_is_kept_only_if_it_adds_an_arc_or_a_mutant():
    """Greedy: the call that adds most first; those that add nothing are not kept."""
    arcs = {1: frozenset({(1, 2)}), 2: frozenset({(1, 2), (2, 3)}), 3: frozenset({(2, 3)})}
    kept = choose([call(1), call(2), call(3)], arcs, {3: frozenset({9})})
    assert [one.call.id for one in kept] == [2, 3]
    assert kept[1].new_arcs == frozenset()
    assert kept[1].kills == {9}


def test_a_documented_call_is_preferred_to_a_random_one_that_adds_more():
    """Examples and stated conditions are asked first."""
    arcs = {1: frozenset({(1, 2), (2, 3)}), 2: frozenset({(1, 2)})}
    kept = choose([call(1), call(2, "example")], arcs, {})
    assert [one.call.id for one in kept] == [1, 2]
    assert kept[0].new_arcs == {(2, 3)}


def test_what_is_covered_already_adds_nothing():
    """The top-up is chosen against the suite so far."""
    assert (
        choose([call(1)], {1: frozenset({(1, 2)})}, {1: frozenset({4})}, frozenset({(1, 2)}), frozenset({4}))
        == []
    )


def test_choices_agree_with_the_definition_on_random_sets():
    """Everything reachable is covered, and every kept call added something, on 200 random instances."""
    import random

    rng = random.Random(5)
    for _ in range(200):
        calls = [call(at, rng.choice(("random", "example"))) for at in range(12)]
        arcs = {
            one.id: frozenset((rng.randrange(6), rng.randrange(3)) for _ in range(rng.randrange(4)))
            for one in calls
        }
        kills = {one.id: frozenset(rng.randrange(8) for _ in range(rng.randrange(3))) for one in calls}
        kept = choose(calls, arcs, kills)
        assert all(one.new_arcs or one.kills for one in kept)
        assert set().union(*(arcs[one.call.id] for one in kept)) == set().union(*arcs.values())
        assert set().union(*(kills[one.call.id] for one in kept)) == set().union(*kills.values())


@pytest.mark.parametrize(
    ("seen", "pytest_line", "unittest_line"),
    [
        (Observed(0, "value", "4"), "assert f(3) == 4", "self.assertEqual(f(3), 4)"),
        (Observed(0, "value", "None"), "assert f(3) is None", "self.assertIs(f(3), None)"),
        (
            Observed(0, "value", "float('nan')"),
            "assert math.isnan(f(3))",
            "self.assertTrue(math.isnan(f(3)))",
        ),
        (
            Observed(0, "value", "[1]", "list"),
            "assert list(f(3)) == [1]",
            "self.assertEqual(list(f(3)), [1])",
        ),
        (
            Observed(0, "value", "1", "asyncio.run"),
            "assert asyncio.run(f(3)) == 1",
            "self.assertEqual(asyncio.run(f(3)), 1)",
        ),
        (
            Observed(0, "raises", "ValueError"),
            "with pytest.raises(ValueError):",
            "with self.assertRaises(ValueError):",
        ),
    ],
)
def test_an_observation_becomes_an_assertion(seen, pytest_line, unittest_line):
    """Each kind of outcome has its assertion, for both frameworks."""
    one = call(3)
    assert pytest_line in render.body(one, seen, "pytest")
    assert unittest_line in render.body(one, seen, "unittest")


def test_a_comparison_is_kept_together():
    """A comparison that holds is asserted as it stands; `a < b is None` would be a chain, so that has parentheses."""
    one = Call(0, "V.__lt__", "v < _0", (Arg("other", "V(3)"),), ("v = V(1)",), "v")
    (_, line) = render.body(one, Observed(0, "value", "True"), "pytest")
    assert line == "assert v < V(3)"
    (_, line) = render.body(one, Observed(0, "value", "None"), "pytest")
    assert line == "assert (v < V(3)) is None"


def test_a_changed_argument_is_kept_in_a_variable():
    """A function that changes its argument is tested on the change."""
    one = Call(0, "push", "push(_0, _1)", (Arg("items", "[1]"), Arg("x", "2")))
    lines = render.body(one, Observed(0, "value", "None", after={"_0": "[1, 2]"}), "pytest")
    assert lines == ["items = [1]", "push(items, 2)", "assert items == [1, 2]"]


def test_printed_output_is_asserted():
    """A function that prints is tested on what it prints, without fixtures."""
    lines = render.body(call(3), Observed(0, "value", "None", output="hi\n"), "pytest")
    assert lines[-1] == "assert capsys.readouterr().out == 'hi\\n'"


def test_imports_are_those_that_are_used():
    """The module's own names are imported from it, the library by name; nothing else."""
    text = render.imports(
        "pkg.m", frozenset({"f", "g"}), ["def test():\n    assert f(datetime.date(2024, 1, 1))"], "pytest"
    )
    assert text == "import datetime\n\nfrom pkg.m import f"


def test_names_are_unique_and_say_the_case():
    """Two tests never share a name, and the error is in the name."""
    taken: set[str] = set()
    one = Call(0, "A.pop", "a.pop(_0)", (Arg("x", "-1"),))
    first = render.name_for(one, Observed(0, "raises", "IndexError"), taken)
    assert first == "test_a_pop_raises_index_error_for_minus_1"
    assert render.name_for(one, Observed(0, "raises", "IndexError"), taken) == first + "_2"


EXISTING = '''"""Mine."""
from m import f  # keep this comment


def test_a():   # odd   spacing stays
    assert f(1) == 1
'''
NEW = '''"""Theirs."""

import pytest

from m import f, g


def test_a():
    assert f(2) == 2


def test_b():
    with pytest.raises(ValueError):
        g(1)
'''


def test_merging_keeps_every_line_of_the_existing_file():
    """Old lines stay as they were, new imports and tests come to it, a taken name gets a number."""
    merged = merge.merge(EXISTING, NEW)
    for line in EXISTING.splitlines():
        assert line in merged.splitlines()
    assert "def test_a_2():" in merged
    assert "from m import g\n" in merged
    assert merged.count("from m import f") == 1
    assert merge.names(merged) == {"test_a", "test_a_2", "test_b"}
    compile(merged, "merged", "exec")


def test_merging_twice_adds_nothing():
    """A test that is there word for word is left out."""
    once = merge.merge("", NEW)
    assert merge.merge(once, NEW) == once


def test_a_file_that_does_not_parse_is_not_touched():
    """The error says so."""
    with pytest.raises(TestgenError, match="does not parse"):
        merge.merge("def (", NEW)


class Colour(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: int
    y: float = 0.5


class Opaque:
    pass


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        -2.5,
        "é'\n",
        b"\xff",
        [1, (2,), {"a": {3}}],
        set(),
        frozenset({1}),
        Colour.RED,
        Point(1),
        {1: None},
        datetime.date(2024, 2, 29),
        [Point(2)],
    ],
)
def test_a_value_has_source_that_equals_it(value):
    """What is written evaluates to the value again."""
    names = {"Colour": Colour, "Point": Point}
    text = literal.source(value, names)
    assert eval(text, {**names, "datetime": datetime}) == value


@pytest.mark.parametrize("value", [object(), Opaque(), lambda: 1, open, [Opaque()], "x" * 3000])
def test_what_cannot_be_written_has_no_source(value):
    """Addresses, functions and very long values are not asserted."""
    with pytest.raises(literal.NoSource):
        literal.source(value, {"Opaque": Opaque})


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (1, "int", True), (None, "int", False), (1, "float", True), ("1", "int", False), (None, "int | None", True),
        ([1], "list[int]", True), (["a"], "list[int]", False), ((1, "a"), "tuple[int, str]", True), ((1,), "tuple[int, str]", False),
        ({"a": 1}, "dict[str, int]", True), ({1: 1}, "dict[str, int]", False), ("x", "Unknown", True), ("b", "Literal['a']", False),
        ([1], "Iterator[int]", True), (1, "Any", True), (None, "None", True), (0, "None", False),
    ],
)  # fmt: skip
def test_a_result_is_checked_against_its_annotation(value, annotation, fits):
    """Certain contradictions are found; what is not understood is let pass."""
    assert conforms(value, annotation, {}) is fits


@pytest.mark.parametrize("value", [7, -7, "hello", [3, 1, 2], {"a": 1}, {1, 2}, 2.5, True, (1, "x")])
def test_smaller_values_are_smaller_and_of_the_same_kind(value):
    """Shrinking always ends: every step goes down in length or size."""

    def weight(one):
        if isinstance(one, str):
            return sum(1 if char in "a " else 2 for char in one)
        if isinstance(one, list | tuple | set | dict):
            return 1 + sum(map(weight, one))
        return abs(one) * 2 + (one < 0)

    steps = list(smaller(value))
    assert steps
    for one in steps:
        assert type(one) is type(value)
        assert weight(one) < weight(value)


def test_shrinking_finds_the_smallest_failing_input():
    """A list that fails when it holds a number above 4 shrinks to one number, 5."""

    def failing(one):
        values = ast.literal_eval(one.args[0].source)
        return Observed(one.id, "value", broken=(0,)) if any(value > 4 for value in values) else None

    found = shrink(Call(0, "f", "f(_0)", (Arg("xs", "[1, 900, 3, 77]"),)), failing)
    assert found.call.args[0].source == "[5]"


def test_a_child_that_hangs_is_ended_and_its_messages_are_kept():
    """Messages sent before the silence are there, and the end is called silent."""
    import time

    def work(send):
        send(b"one")
        time.sleep(60)

    assert forked(work, 0.5) == ([b"one"], "silent")


def test_a_child_that_talks_on_and_on_is_ended_at_its_time():
    """The limit on silence alone would never end it."""

    def work(send):
        while time.monotonic() < until + 5:
            send(b"x" * 4000)

    until = time.monotonic() + 0.3
    messages, end = forked(work, 10, until)
    assert messages and end == "silent"


def test_a_child_that_dies_is_told_from_one_that_is_done():
    """A crash is not an empty success."""
    import os

    assert forked(lambda send: os._exit(7), 10)[1] == "died"
    assert forked(lambda send: send(b"x"), 10) == ([b"x"], "done")


@pytest.mark.parametrize(
    ("name", "value"), [("inputs", 0), ("samples", -1), ("call_seconds", 0.0), ("kill_seconds", -1.0)]
)
def test_options_refuse_values_that_mean_nothing(name, value):
    """The error names the option."""
    with pytest.raises(ValueError, match=name):
        Options(**{name: value})


def test_rates_of_nothing_are_one():
    """A module without branches has all its branches covered."""
    assert (Score().line_rate, Score().branch_rate, Score().mutation_score) == (1.0, 1.0, 1.0)
    assert Score(4, 1, 2, 1, 8, 2).mutation_score == 0.25


def test_a_suspect_asserts_what_is_documented():
    """The test of a suspect holds the documentation, not the code."""
    expect = Expectation("value", "0.0", "docstring", "returns 0.0")
    assert render.documented(Call(0, "mean", "mean([])"), expect, "pytest") == ["assert mean([]) == 0.0"]
