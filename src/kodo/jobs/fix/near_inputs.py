"""Whether a patch changes more than the frozen test's own values, and changes them outside of a test runner too.

What the frozen test looks at is done in both versions, in a process without pytest: first as it stands, then with its
literals a little changed. A patch that is right for the test alone, by whatever disguise, gives for every other value
what was given before; one that asks who is calling changes nothing here at all.
"""

from __future__ import annotations

import ast
import copy
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kodo.jobs.execution.calls_of_tests import TestSource, calls_of_tests
from kodo.jobs.execution.model import Arg, Call, ExecutionError
from kodo.jobs.execution.sandboxed import run_worker
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.vary import Varied, Vary, VaryAnswer
from kodo.jobs.fix.reproduction import Reproduction, result_name
from kodo.jobs.review.languages import is_test
from kodo.sandbox import Sandbox

ENOUGH = 6
"""Calls with other values that must have run before their results say anything."""
MAX_MODULES = 3
MAX_OWN = 8
MAX_NEAR = 90
CALL_SECONDS = 1.0
SECONDS = 15.0
_EMPTY = {
    "[]": ("()", "''", "{}", "set()", "range(0)", "b''", "[0]", "[1, 2]", "(1,)", "'a'", "[None]", "[[]]", "{1: 2}", "(3, 5, 4)"),
    "()": ("[]", "''", "{}", "set()", "range(0)", "b''", "(0,)", "(1, 2)", "[1]", "'a'", "(None,)", "((),)", "{1: 2}", "[3, 5]"),
    "{}": ("{'a': 1}", "{1: 2}", "{'': ''}", "{None: None}", "{'a': {}}", "{'b': [1]}", "{'x': 'y'}", "{0: 0}", "{'a': 1, 'b': 2}",
           "{'name': 'n'}", "{True: False}", "{'a': None}"),
    "''": ("' '", "'a'", "'A b'", "'1'", "'-'", "'\\n'", "'  '", "'abc'", "'a,b'", "'.'", "'x' * 40", "b''", "'é'"),
}  # fmt: skip  # a table reads better in rows
_ARGUMENTS = ("{'a': 1}", "'a'", "1", "[1, 2]", "('a', 2)", "2.5", "{'b': [2]}", "'b c'")
_SHARED = frozenset(
    {"", "None", "True", "False", "0", "1", "-1", "0.0", "1.0", "''", "[]", "()", "{}", "b''", "set()"}
)
_WORKER = "kodo.jobs.execution.worker"
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Nearness:
    """How many of the test's own calls, of those near them, and of those with other arguments where the test gives none, ran
    in both versions, and did something else. ``only_result`` is the test's own result, where all that differ give it, the
    code before does not have it, and it is not one that many calls share, such as None.
    """

    own: int
    own_differ: int
    near: int
    near_differ: int
    wider: int = 0
    wider_differ: int = 0
    only_result: str = ""

    def objections(self) -> list[str]:
        """What this says against the patch."""
        if self.own and not self.own_differ:
            return ["outside of pytest the patch changes nothing of what the test looks at"]
        if self.own_differ and self.wider >= ENOUGH and not self.wider_differ:
            return [
                f"the patch is for the test's own call only: with {self.wider} other arguments all is as before"
            ]
        if self.own_differ and self.near >= ENOUGH and not self.near_differ:
            return [
                f"the patch is for the test's own values only: with {self.near} others near them all is as before"
            ]
        if self.only_result and self.near_differ and not self.wider_differ:
            return [
                f"the patch gives the test's own result, {self.only_result[:60]}, where it changes one for other values"
            ]
        return []


def compare_near(
    base: Path,
    tree: Path,
    changed: Sequence[str],
    frozen: Reproduction,
    sandbox: Sandbox,
    packages: Sequence[str],
) -> Nearness | None:
    """Run what the frozen test looks at, and variations of it, in both versions.

    Args:
        base, tree: the project before and with the patch.
        changed: the paths that the patch changes.
        packages: folders of packages that the sandbox can read.

    Returns:
        None where nothing of the test can be run without a test runner, or not all that it checks.
    """
    modules = [
        path for path in changed if path.endswith(".py") and not is_test(path) and (base / path).is_file()
    ]
    own = list(_own_calls(frozen, base))[:MAX_OWN]
    if not own or not modules:
        return None
    near, wider = _near_calls(own), _wider_calls(own)
    with TemporaryDirectory(prefix="kodo-near-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(base, folder / "before")
        shutil.copytree(tree, folder / "after")
        for path in modules[:MAX_MODULES]:
            try:
                before, after = load(folder / "before" / path), load(folder / "after" / path)
                job = Vary(
                    _location(before, folder / "before", frozen, packages),
                    _location(after, folder / "after", frozen, packages),
                    tuple((call,) for call in (*own, *near, *wider)),  # each in a process of its own
                    CALL_SECONDS,
                )
                answers: list[VaryAnswer] = run_worker(
                    sandbox, folder, _WORKER, job, VaryAnswer, seconds=SECONDS
                )
            except ExecutionError:
                continue
            seen = [answer for answer in answers if isinstance(answer, Varied)]
            if any(answer.ran for answer in seen[: len(own)]):
                return _counted(seen, len(own), len(near), before.source)
    return None


def _counted(seen: Sequence[Varied], own: int, near: int, source: str) -> Nearness:
    groups = (seen[:own], seen[own : own + near], seen[own + near :])
    (own_ran, own_differ), (ran, differ), (wide, wide_differ) = map(_sizes, groups)
    own_results, results = ({text for one in group for text in one.results} for group in groups[:2])
    only = next(iter(results)) if len(results) == 1 and results <= own_results else ""
    shared = only in _SHARED or only in _constants(source)
    return Nearness(own_ran, own_differ, ran, differ, wide, wide_differ, "" if shared else only)


def _constants(source: str) -> set[str]:
    return {repr(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}


def _sizes(answers: Sequence[Varied]) -> tuple[int, int]:
    return sum(len(one.ran) for one in answers), sum(len(one.differ) for one in answers)


def _location(
    module: TargetModule, root: Path, frozen: Reproduction, packages: Sequence[str]
) -> ModuleLocation:
    root = root.resolve()
    return ModuleLocation(
        module.path.relative_to(root).as_posix(),
        module.import_root.relative_to(root).as_posix(),
        module.name,
        "",
        tuple(sorted(module.defined)),
        (frozen.path.rpartition("/")[0], "src", *packages),
        module.imported,
    )


def _own_calls(frozen: Reproduction, base: Path) -> Iterator[Call]:
    """What the frozen test looks at; nothing where a check of it cannot be seen from outside."""
    tree = ast.parse(frozen.text)
    wanted = frozen.name.partition("[")[0].removeprefix(result_name(frozen.path)).strip(".").split(".")
    found = _tests(tree, [part for part in wanted if part])
    if not found or not all(_is_open(node) for node in found):
        return
    for node in found:
        node.body = [part for statement in node.body for part in _plain(statement)]
    text = ast.unparse(ast.fix_missing_locations(tree))
    package = frozen.path.rpartition("/")[0]
    source = TestSource(text, package.replace("/", ".") if (base / package / "__init__.py").is_file() else "")
    for number, call in enumerate(calls_of_tests(source, ())):
        yield _with_empty(msgspec.structs.replace(call, id=number))


def _with_empty(call: Call) -> Call:
    """A call whose empty containers and texts are arguments too."""
    finder = _Empty(list(call.args))
    expression = ast.unparse(finder.visit(ast.parse(call.expression, mode="eval")))
    return msgspec.structs.replace(call, expression=expression, args=tuple(finder.args))


class _Empty(ast.NodeTransformer):
    """Puts placeholders in the place of empty containers and texts."""

    def __init__(self, args: list[Arg]) -> None:
        self.args = args

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and (source := ast.unparse(node)) in _EMPTY:
            self.args.append(Arg(f"literal_{len(self.args)}", source))
            return ast.Name(f"_{len(self.args) - 1}", ast.Load())
        return self.generic_visit(node)


def _tests(tree: ast.Module, wanted: Sequence[str]) -> list[FunctionNode]:
    """The wanted tests; every other one is taken out of the tree."""
    kept: list[FunctionNode] = []
    owners: list[ast.Module | ast.ClassDef] = [
        tree,
        *(node for node in tree.body if isinstance(node, ast.ClassDef)),
    ]
    for owner in owners:
        names = [owner.name] if isinstance(owner, ast.ClassDef) else []
        body: list[ast.stmt] = []
        for node in owner.body:
            if isinstance(node, FunctionNode) and node.name.startswith("test"):
                if list(wanted) != [*names, node.name][: len(wanted)]:
                    continue
                kept.append(node)
            body.append(node)
        owner.body = body or [ast.Pass()]
    return kept


def _is_open(test: FunctionNode) -> bool:
    """Whether every check of a test is one of its own statements, and none is inside of a loop or a condition."""
    inner = {
        id(node) for statement in test.body for node in ast.walk(statement) if isinstance(node, ast.Assert)
    }
    own = {id(statement) for statement in test.body if isinstance(statement, ast.Assert)}
    return inner == own


def _plain(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A check as simpler ones: the parts of an ``and`` one after the other, a value without a call as one with one."""
    if not isinstance(statement, ast.Assert):
        yield statement
        return
    test = statement.test
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values[:-1]:
            yield ast.Assign([ast.Name("_seen", ast.Store())], part)
        yield from _plain(ast.Assert(test.values[-1]))
        return
    if not any(isinstance(node, ast.Call) for node in ast.walk(test)):
        seen = test.left if isinstance(test, ast.Compare) else test
        yield ast.Assert(ast.Call(ast.Name("tuple", ast.Load()), [ast.List([seen], ast.Load())], []))
        return
    yield statement


def _near_calls(own: Sequence[Call]) -> list[Call]:
    """Variations of calls, each once: one or more of their literals changed, one of what is looked at where that has any."""
    rng = random.Random(0)  # noqa: S311 - test inputs
    values = Values(rng, {})  # no constants of the test: one would bring the test's own case back
    same = {(call.setup, call.expression, call.args) for call in own}
    made: dict[tuple[tuple[str, ...], str, tuple[Arg, ...]], Call] = {}
    each = max(1, MAX_NEAR // max(1, len(own)))
    for call in own:
        others = [_others(arg.source, values) for arg in call.args]
        looked_at = {int(name[1:]) for name in re.findall(r"\b_\d+\b", call.expression)} or set(
            range(len(call.args))
        )
        rows = [{at: source} for at, sources in enumerate(others) if at in looked_at for source in sources]
        rng.shuffle(rows)
        places = [at for at, sources in enumerate(others) if sources]
        for _ in range(each // 2 if len(places) > 1 else 0):
            chosen = rng.sample(places, rng.randint(2, len(places)))
            if looked_at.isdisjoint(chosen):
                continue
            rows.insert(rng.randint(0, each // 2), {at: rng.choice(others[at]) for at in chosen})
        for row in rows[:each]:
            args = tuple(Arg(arg.name, row.get(at, arg.source)) for at, arg in enumerate(call.args))
            key = (call.setup, call.expression, args)
            if key not in same and _letters(args) != _letters(
                call.args
            ):  # nor the same ones in another order
                made.setdefault(key, call)
    return [
        msgspec.structs.replace(call, id=number, args=args)
        for number, ((_, __, args), call) in enumerate(made.items(), len(own))
    ]


def _letters(args: Sequence[Arg]) -> list[str]:
    return sorted("".join(arg.source for arg in args))


def _wider_calls(own: Sequence[Call]) -> list[Call]:
    """Where a test makes a state and then calls something without arguments: that call with one of several arguments."""
    found = []
    for call in own:
        seen = ast.parse(call.expression, mode="eval").body
        if isinstance(seen, ast.Call) and not seen.args and not seen.keywords and call.args:
            name = ast.unparse(seen.func)
            found += [msgspec.structs.replace(call, expression=f"{name}({source})") for source in _ARGUMENTS]
    return found


def _others(source: str, values: Values) -> list[str]:
    """Other values in the place of a literal: neighbours, other sizes, and other types of the same kind."""
    value = _value(source)
    out = [*_EMPTY.get(source, ()), *(found for _ in range(3) for found in values.near(source))]
    match value:
        case bool() | None:
            out += ["True", "False"]
        case int() as number:
            more = (
                number + 1,
                number - 1,
                number + 2,
                number + 3,
                number * 2,
                number * 3,
                number + 4,
                number + 100,
                float(number),
            )
            out += map(repr, more)
        case float() as number:
            out += map(repr, (number + 0.5, number * 2, number - 1, number / 3))
        case str() as text:
            out += map(
                repr,
                (
                    f"{text}{text}",
                    f"x{text}",
                    f"{text}x",
                    text.title(),
                    text[1:],
                    text[:-1],
                    f"{text} {text}",
                ),
            )
        case list() as items:
            out += map(repr, (tuple(items), [*items, *items], items[1:], items[:-1], items[::-1]))
        case tuple() as items:
            out += map(repr, (list(items), (*items, *items), items[1:], items[:-1], items[::-1]))
        case _:
            pass
    return [found for found in dict.fromkeys(out) if found != source]


def _value(source: str) -> object:
    try:
        return copy.copy(ast.literal_eval(source))
    except (ValueError, SyntaxError):
        return None
