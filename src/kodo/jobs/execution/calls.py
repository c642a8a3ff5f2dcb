"""A call as text: its arguments put in, and a command that makes it."""

import ast
import shlex
from collections.abc import Collection, Iterable, Mapping
from textwrap import indent

from kodo.jobs.execution.model import IN_LOOP, Call
from kodo.jobs.execution.worker.fixtures import MOCK
from kodo.jobs.execution.worker.load import LIBRARY
from kodo.jobs.execution.worker.random_bytes import HELD_STILL

DEFINITIONS = ("import ", "from ", "class ", "def ", "@", "async ")
"""How the statements of a setup begin that only bind a name to a module, class or function."""


_ALL_ITEMS = "all_items"


class _Fill(ast.NodeTransformer):
    """Replace names by what stands for them."""

    def __init__(self, by: Mapping[str, str]) -> None:
        self._by = by

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._by:
            return ast.parse(self._by[node.id], mode="eval").body
        return node


def substitute(expression: str, by: Mapping[str, str]) -> str:
    """An expression, or a statement, with sources in the place of names."""
    tree = _Fill(by).visit(ast.parse(expression))
    return ast.unparse(ast.fix_missing_locations(tree)).strip()


def filled(call: Call) -> str:
    """The call's expression with the sources of its arguments."""
    return substitute(call.expression, _sources(call))


def in_one(call: Call) -> str:
    """The call and the statements before it as one expression; empty where these do more than bind names."""
    by: dict[str, str] = {}
    for line in filled_setup(call):
        match ast.parse(line).body:
            case [ast.Assign(targets=[ast.Name(id=name)], value=value)] if name not in by:
                by[name] = substitute(ast.unparse(value), by)
            case _:
                return ""
    return substitute(filled(call), by)


def filled_setup(call: Call) -> list[str]:
    """The statements before the call, with the sources of its arguments."""
    by = _sources(call)
    return [substitute(line, by) if by and "_" in line else line for line in call.setup]


def is_python(call: Call) -> bool:
    """Whether the call's setup, expression and arguments parse; those of a call that foreign code sent may not."""
    try:
        for source in (*(arg.source for arg in call.args), filled(call)):
            ast.parse(source, mode="eval")
        for line in filled_setup(call):
            ast.parse(line)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _sources(call: Call) -> dict[str, str]:
    return {f"_{at}": arg.source for at, arg in enumerate(call.args)}


def written(call: Call) -> str:
    """The whole call on one line, its setup but for imports and definitions first."""
    left_out = ("import ", "from ", "class ", "def ", "@", "__file__ =")
    setup = [line for line in filled_setup(call) if not line.startswith(left_out)]
    return "; ".join([*setup, filled(call)])


def command(
    call: Call,
    module: str,
    defined: Collection[str],
    path: str,
    wrap: str = "",
    *,
    seeded: bool = False,
    draws_bytes: bool = False,
    classes: Mapping[str, str] | None = None,
) -> str:
    """A shell command that makes the call and prints its result; ``path`` is the folder to import from.

    ``seeded``: the call draws random numbers, which start at seed 0; ``draws_bytes``: it draws random bytes of the system, which are
    held still. ``classes``: class of another module -> that module.
    """
    expression = filled(call)
    setup = filled_setup(call)
    needed = _names([*setup, expression])
    own = sorted(needed & set(defined))
    lines = list(HELD_STILL) if draws_bytes else []
    lines += [f"import {name}" for name in sorted((needed & set(LIBRARY)) - set(own))]
    lines += [f"from {module} import {', '.join(own)}"] if own else []
    foreign = {name: place for name, place in (classes or {}).items() if name in needed - {*own, *LIBRARY}}
    lines += [f"from {place} import {name}" for name, place in sorted(foreign.items())]
    lines += [f"import {module}"] if module.partition(".")[0] in needed - set(own) else []
    if wrap in ("asyncio.run", "async list"):
        lines.append("import asyncio")
    if MOCK in needed:
        lines.append("from unittest import mock")
    if "tmp_path" in needed:
        lines += ["import pathlib, tempfile", "tmp_path = pathlib.Path(tempfile.mkdtemp())"]
    if seeded:
        lines += ["import random", "random.seed(0)"]
    shown = {
        "list": f"list({expression})",
        "asyncio.run": f"asyncio.run({expression})",
        "async list": f"asyncio.run({_ALL_ITEMS}({expression}))",
    }.get(wrap, expression)
    if wrap == "async list":
        setup = [f"async def {_ALL_ITEMS}(given):\n    return [one async for one in given]", *setup]
    if wrap == IN_LOOP:
        code = "\n".join([*dict.fromkeys([*lines, "import asyncio, inspect"]), *_in_loop(setup, expression)])
    else:
        code = ("\n" if any("\n" in line for line in setup) else "; ").join(
            [*dict.fromkeys(lines), *setup, f"print(repr({shown}))"]
        )
    prefix = f"PYTHONPATH={shlex.quote(path)} " if path not in ("", ".") else ""
    return f"{prefix}python -c {shlex.quote(code)}"


def _in_loop(setup: Iterable[str], expression: str) -> list[str]:
    """Statements that make a call in a running event loop and print its result."""
    body = [
        *setup,
        f"result = {expression}",
        "print(repr(await result if inspect.iscoroutine(result) else result))",
    ]
    return ["async def main():", *(indent(line, "    ") for line in body), "asyncio.run(main())"]


def _names(sources: list[str]) -> set[str]:
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    return {node.id for node in nodes if isinstance(node, ast.Name)}
