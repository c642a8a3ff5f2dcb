"""What calls gave outside of pytest as tests under pytest: in the process of the user's tests they have to give the same.

A patch can know the worker from a run of tests by much: the environment, the command, the modules that are loaded, the
stack. Whatever it asks for, one that acts by it gives other results in one of the two. Texts only; the run is the prover's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.fixtures import needed
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.literal_value import is_literal
from kodo.jobs.execution.worker.load import LIBRARY
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.fix.counter_tests import CounterTests
from kodo.jobs.fix.reproduction import matching

_HEAD = '''
def same_{mark}_value(seen, expected):
    """Assert that two values are alike in their types and all they hold, whatever they say of being equal."""
    if isinstance(expected, dict):
        assert isinstance(seen, dict)
        same_{mark}_value(list(seen.items()), list(expected.items()))
        return
    assert type(seen) is type(expected)
    if isinstance(expected, (set, frozenset)):
        assert sorted(map(repr, seen)) == sorted(map(repr, expected))
    elif isinstance(expected, (list, tuple)):
        assert len(seen) == len(expected)
        for one, other in zip(seen, expected):
            same_{mark}_value(one, other)
    elif hasattr(expected, "__dataclass_fields__"):
        same_{mark}_value(vars(seen), vars(expected))
    else:
        assert repr(seen) == repr(expected)


def same_{mark}(seen, source):
    """Assert that a value is like the one that was recorded as a source."""
    import importlib

    module = importlib.import_module({module!r})
    names = {{name: importlib.import_module(name) for name in {library!r}}}
    names |= {{
        name: getattr(importlib.import_module(where), name) for name, where in {imported!r}.items() if name in source
    }}
    names |= {{name: getattr(module, name) for name in {defined!r} if hasattr(module, name)}}
    same_{mark}_value(seen, eval(source, names))
'''
"""What the tests use, after the call that they are of: nothing is imported for it before."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What calls did with the patch outside of pytest; ``where`` is their module."""

    where: ModuleLocation
    calls: tuple[tuple[Call, Outcome], ...] = ()


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """The file of the counter-tests with a test for each recorded call; ``calls`` are these by the names of their tests."""

    path: str
    text: str
    calls: Mapping[str, Call]

    def differing(self, results: Mapping[str, str]) -> dict[str, str]:
        """The tests that did not pass, each with the last line of its output."""
        found = {}
        for name in self.calls:
            cases = matching(name, results)
            failed = [results[case] for case in cases if results[case]]
            if failed or not cases:
                found[name] = _last_line(failed[0]) if failed else "it was not run"
        return found

    def objection(self, differing: Mapping[str, str]) -> str:
        """What it says against the patch that these tests did not pass; empty without any."""
        if not differing:
            return ""
        name, why = next(iter(differing.items()))
        return (
            f"under pytest {len(differing)} of {len(self.calls)} calls do something else than outside of it, such as "
            f"{_shown(self.calls[name])}: {why}"[:400]
        )


def cross_check(counters: CounterTests, recorded: Recorded) -> CrossCheck:
    """The file of ``counters`` with a test for each call that ran to an end and gave the same each time."""
    stem = counters.copies[0].rpartition("::")[2]
    mark = counters.path.removesuffix(".py").rpartition("test_")[2]
    texts, calls = [], {}
    for at, (call, seen) in enumerate(recorded.calls):
        if seen.kind not in ("value", "raises") or seen.drawn:
            continue
        name = f"{stem}x{at}"
        try:
            texts.append(ast.unparse(ast.fix_missing_locations(_test(name, mark, call, seen))))
        except (SyntaxError, ValueError, RecursionError):
            continue  # a setup that is too deep to be written again
        calls[f"{counters.path}::{name}"] = call
    head = _HEAD.format(
        mark=mark,
        module=recorded.where.module,
        library=LIBRARY,
        imported=recorded.where.imported,
        defined=recorded.where.defined,
    )
    return CrossCheck(counters.path, "\n\n\n".join([counters.text, head, *texts]) + "\n", calls)


def _test(name: str, mark: str, call: Call, seen: Outcome) -> ast.FunctionDef:
    """A function that makes a call as a test would, and then asserts what was recorded of it."""
    body = [*_setup(call)]
    made = [
        ast.Assign(
            [ast.Name(f"seen_{mark}", ast.Store())], ast.parse(call.expression.strip(), mode="eval").body
        ),
        *ast.parse(_WRAPS.get(seen.wrap, "").format(mark=mark)).body,
    ]
    if seen.kind == "raises":
        check = ast.parse(_RAISES.format(mark=mark, error=seen.parts.get("raises", ""))).body[0]
        assert isinstance(check, ast.Try)  # noqa: S101 - as it is written below
        check.body = list(made)
        body.append(check)
    else:
        body += [*made, *ast.parse("\n".join(_checks(mark, seen))).body]
    function = ast.parse(f"def {name}({', '.join(_fixtures(call, body))}):\n    pass").body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - it was just written
    function.body = body
    return function


_WRAPS = {
    "asyncio.run": "import asyncio\nseen_{mark} = asyncio.run(seen_{mark})",
    "list": "import itertools\nseen_{mark} = list(itertools.islice(seen_{mark}, 51))",
}
"""How the worker reads what a call gives where that is nothing to compare; ``call.run_call``."""
_RAISES = """
try:
    pass
except BaseException as error_{mark}:
    assert {error!r} in ("", type(error_{mark}).__name__)
else:
    raise AssertionError("it raises nothing")
"""


def _setup(call: Call) -> Iterator[ast.stmt]:
    """The statements before a call: its arguments, as the worker makes them first, and its setup."""
    for at, arg in enumerate(call.args):
        yield ast.Assign([ast.Name(f"_{at}", ast.Store())], ast.parse(arg.source, mode="eval").body)
    for line in call.setup:
        for node in ast.parse(line).body:
            if isinstance(node, ast.ImportFrom) and (
                node.module == "__future__" or any(one.name == "*" for one in node.names)
            ):
                continue  # only the top of a file may have it, and there it is
            yield node


def _fixtures(call: Call, body: list[ast.stmt]) -> list[str]:
    """The fixtures of pytest that a call takes and that its setup does not make."""
    bound = {
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return [name for name in needed(call) if name not in bound]


def _checks(mark: str, seen: Outcome) -> Iterator[str]:
    """What is asserted of a value: its source, or its type and those of its attributes that have a literal."""
    source, kind = seen.parts.get("result", ""), seen.parts.get("type")
    if seen.wrap == "async list":
        return
    if kind is None:
        if source and not _has_place(source):
            yield f"same_{mark}(seen_{mark}, {source!r})"
        return
    yield f"assert type(seen_{mark}).__module__ + '.' + type(seen_{mark}).__qualname__ == {kind!r}"
    for part, text in seen.parts.items():
        name = part.removeprefix("result.")
        if name != part and name.isidentifier() and is_literal(text) and not _has_place(text):
            yield f"same_{mark}(seen_{mark}.{name}, {text!r})"


def _has_place(source: str) -> bool:
    """Whether a text had the folder of a version or of a call in it, which is another one under pytest."""
    return "<project>" in source or "<tmp>" in source


def _shown(call: Call) -> str:
    """A call as it reads with its values."""
    text = call.expression
    for at in reversed(range(len(call.args))):
        text = text.replace(f"_{at}", call.args[at].source)
    return text[:120]


def _last_line(output: str) -> str:
    last = next((line for line in reversed(output.splitlines()) if line.startswith("E ")), output[-200:])
    return last.removeprefix("E").strip()[:160]
