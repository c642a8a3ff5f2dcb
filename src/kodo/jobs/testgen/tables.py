"""Lay tests out as a maintainer would: the cases of one function that differ in values alone become one table.

A table is a ``parametrize`` of a test with a sentence. Cases stay tests of their own where they need statements before or
after the call. Knows how a single case is written (``render.py``) and not how it was found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kodo.jobs.execution.calls import substitute
from kodo.jobs.execution.model import Arg, Basis, Call, Observed
from kodo.jobs.execution.operators import statement
from kodo.jobs.execution.worker.literal_value import is_literal
from kodo.jobs.testgen import render
from kodo.jobs.testgen.render import RenderedTest

_RESERVED = frozenset({"request", "expected", "pytest", "math", "self", "cls"})
_PRECISE = re.compile(r"-?\d+\.\d{6,}(e[-+]?\d+)?")
_MAX_SENTENCE = 110
_TABLED = ("", "list", "each list", "first", "asyncio.run", "async list")
"""How a result may be read in a row of a table."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test: the call, what it did, what it rests on, and the test of its own it would be."""

    call: Call
    seen: Observed
    basis: Basis
    quote: str
    single: RenderedTest


@dataclass(frozen=True, slots=True)
class Layout:
    """The tests of a file in order, each with its cases in the order of its rows."""

    tests: tuple[tuple[RenderedTest, tuple[Case, ...]], ...]
    names: dict[int, str]
    """The number of a case's call -> the name that pytest has for it."""

    def named(self, collected: Sequence[str]) -> Layout | None:
        """The layout with the names that pytest collected, in order; None where it collected something else."""
        names: dict[int, str] = {}
        for test, cases in self.tests:
            found = [name for name in collected if name == test.name or name.startswith(f"{test.name}[")]
            if len(found) != len(cases):
                return None
            names |= {case.call.id: name for case, name in zip(cases, found, strict=True)}
        return replace(self, names=names)

    @property
    def written(self) -> tuple[RenderedTest, ...]:
        """The tests alone."""
        return tuple(test for test, _ in self.tests)


def single(cases: Sequence[Case]) -> Layout:
    """Every case a test of its own."""
    names = {case.call.id: case.single.name for case in cases}
    return Layout(tuple((case.single, (case,)) for case in cases), names)


def lay_out(cases: Sequence[Case], parameters: dict[str, tuple[str, ...]]) -> Layout:
    """Tables where two cases or more fit one, in the order of the functions and of their first cases.

    ``parameters`` maps a function to the names of its positional parameters.
    """
    groups: dict[tuple[object, ...], list[Case]] = {}
    abstract = [
        replace(one, call=_abstract(one.call, parameters.get(one.call.function, ()))) for one in cases
    ]
    for number, case in enumerate(abstract):
        groups.setdefault(_key(case) or (case.call.function, number), []).append(case)
    taken = {case.single.name for case in cases}
    tests: list[tuple[RenderedTest, tuple[Case, ...]]] = []
    for members in groups.values():
        one = _table(members, taken) if len(members) > 1 else members[0].single
        tests.append((one, tuple(members)))
    order = list(dict.fromkeys(case.call.function for case in cases))
    return Layout(tuple(sorted(tests, key=lambda row: order.index(row[1][0].call.function))), {})


def _abstract(call: Call, names: Sequence[str]) -> Call:
    """A documented call of literals with placeholders for them, so that it fits a table; others as they are."""
    tree = ast.parse(call.expression, mode="eval").body
    if call.args or call.setup or not isinstance(tree, ast.Call) or not (tree.args or tree.keywords):
        return call
    if ast.unparse(tree.func) != call.function or any(word.arg is None for word in tree.keywords):
        return call
    given = [*tree.args, *(word.value for word in tree.keywords)]
    if len(tree.args) > len(names) or not all(map(is_literal, given)):
        return call
    labels = [*names[: len(tree.args)], *(word.arg or "" for word in tree.keywords)]
    marks = [f"_{at}" for at in range(len(tree.args))]
    marks += [f"{word.arg}=_{len(tree.args) + at}" for at, word in enumerate(tree.keywords)]
    args = tuple(Arg(label, ast.unparse(node)) for label, node in zip(labels, given, strict=True))
    return replace_call(call, f"{call.function}({', '.join(marks)})", args)


def replace_call(call: Call, expression: str, args: tuple[Arg, ...]) -> Call:
    """The call with another expression and arguments."""
    return Call(call.id, call.function, expression, args, call.setup, call.receiver, call.origin, call.expect)


def _key(case: Case) -> tuple[object, ...] | None:
    """What the rows of one table have in common; None for a case that no table holds."""
    call, seen = case.call, case.seen
    if seen.after or seen.output or seen.wrap not in _TABLED or not call.args:
        return None
    sources = " ".join(arg.source for arg in call.args)
    if seen.text == "float('nan')" or re.search(r"\b(lambda|tmp_path)\b", sources):
        return None
    outcome = seen.text if seen.kind == "raises" else ""
    ground = case.quote if case.basis == "docstring" else case.basis
    return call.function, call.expression, call.setup, seen.kind, outcome, seen.wrap, ground


def _table(members: Sequence[Case], taken: set[str]) -> RenderedTest:
    """One test over the rows of the cases."""
    first = members[0]
    call, raises = first.call, first.seen.kind == "raises"
    columns = [at for at in range(len(call.args)) if len({one.call.args[at].source for one in members}) > 1]
    columns = columns or [0]
    names = {at: _column(at, call) for at in columns}
    fixed = {f"_{at}": arg.source for at, arg in enumerate(call.args) if at not in names}
    by = fixed | {f"_{at}": name for at, name in names.items()}
    expression = substitute(call.expression, by)
    read, expression = render.reading(first.seen.wrap, expression)
    rows = [[one.call.args[at].source for at in columns] for one in members]
    if not raises:
        rows = [[*row, _expected(one.seen.text)] for row, one in zip(rows, members, strict=True)]
    labels = [*names.values(), *([] if raises else ["expected"])]
    name = _unique(_name(first), taken)
    lines = [f'"""{_sentence(first)}"""', *render.setup(call, by), *read]
    if raises:
        lines += [f"with pytest.raises({first.seen.text}):", f"    {statement(expression)}"]
    else:
        same = all(one.seen.text in ("True", "False", "None") for one in members)
        left = (
            f"({expression})"
            if isinstance(ast.parse(expression, mode="eval").body, ast.Compare)
            else expression
        )
        lines.append(f"assert {left} {'is' if same else '=='} expected")
    parameters = [*labels, *render.fixtures_of(call.setup)]
    return RenderedTest(name, "\n".join([*_decorator(labels, rows), *_function(name, parameters, lines)]))


def _column(at: int, call: Call) -> str:
    name = render.variable(f"_{at}", call)
    return f"{name}_" if name in _RESERVED else name


def _expected(text: str) -> str:
    return f"pytest.approx({text}, rel=1e-9)" if _PRECISE.fullmatch(text) else text


def _decorator(labels: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if len(labels) == 1:
        values = [f"        {row[0]}," for row in rows]
        return ["@pytest.mark.parametrize(", f"    {labels[0]!r},", "    [", *values, "    ],", ")"]
    names = ", ".join(map(repr, labels))
    values = [f"        ({', '.join(row)})," for row in rows]
    return ["@pytest.mark.parametrize(", f"    ({names}),", "    [", *values, "    ],", ")"]


def _function(name: str, labels: Sequence[str], lines: Sequence[str]) -> list[str]:
    inner = [f"    {part}" if part else part for line in lines for part in line.split("\n")]
    return [f"def {name}({', '.join(labels)}):", *inner]


def _name(case: Case) -> str:
    """``test_f_examples``, ``test_f_raises_value_error``, ``test_f_as_documented`` or ``test_f``."""
    base = f"test_{render.snake(re.sub(r'[^0-9A-Za-z]+', '_', case.call.function).strip('_'))}"
    base = re.sub(r"_+", "_", base)
    if case.seen.kind == "raises":
        return f"{base}_raises_{render.snake(case.seen.text.rpartition('.')[2])}"
    return {"example": f"{base}_examples", "docstring": f"{base}_as_documented"}.get(
        case.basis, f"{base}_results"
    )


def _unique(name: str, taken: set[str]) -> str:
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    taken.add(unique)
    return unique


def _sentence(case: Case) -> str:
    """What the table shows, in one sentence; a docstring's own words where it rests on them."""
    function = case.call.function
    if case.basis == "docstring":
        words = " ".join(case.quote.split()).replace("\\", "").replace('"""', "''").rstrip('".')
        return f"{words if len(words) <= _MAX_SENTENCE else words[: _MAX_SENTENCE - 3] + '...'}."
    if case.basis == "example":
        return f"The examples in the documentation of {function} hold."
    outcome = (
        f"raises {case.seen.text.rpartition('.')[2]}"
        if case.seen.kind == "raises"
        else "gives the same results"
    )
    return f"{function} {outcome} as when this was written (characterisation: read off the code)."
