"""Definitions of a call's setup a little different: a function that a test made for the call raises, or calls back; what is
decorated gets another option.

What a test hands in (a plugin, a callback, a field of its own) mostly does what it should; code that deals with errors of
such functions is run only where one raises, and code that must bear that they change what calls them only where one does.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Sequence

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.types_as_values import retyped

_ERRORS = ("ValueError", "StopIteration", "KeyError")
"""What is raised where the changed code names no error."""


_DEFINITIONS = ("def ", "class ", "@")


def raising(call: Call, number: int, errors: Sequence[str], rng: random.Random) -> Call | None:
    """The call with one of the functions that its setup defines raising one of ``errors``; None where it defines none."""

    def change(body: list[ast.stmt]) -> None:
        start = rng.randrange(len(body))
        body[start:] = [ast.Raise(ast.Name(rng.choice(errors or _ERRORS), ast.Load()), None)]

    return _changed(call, number, change, rng)


def calling_back(call: Call, number: int, rng: random.Random) -> Call | None:
    """The call with one of the functions that its setup defines doing a statement of the setup, such as to register one more
    plugin; None where it defines none, or has no such statement.
    """
    lines = [line for line in call.setup if is_plain_call(line)]
    if not lines:
        return None

    def change(body: list[ast.stmt]) -> None:
        at = rng.randrange(len(body))
        body[at:at] = ast.parse(rng.choice(lines)).body

    return _changed(call, number, change, rng)


def decorated(call: Call, number: int, names: Sequence[str], rng: random.Random) -> Call | None:
    """The call with a class, a method or a function of its setup decorated with an option that is called like one of ``names``,
    such as ``@dataclass(kw_only=True)``; None where nothing is decorated, or there are no names.
    """
    places = [at for at, line in enumerate(call.setup) if "@" in line and line.startswith(_DEFINITIONS)]
    if not places or not names:
        return None
    at = rng.choice(places)
    tree = ast.parse(call.setup[at])
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    owners = [one for one in ast.walk(tree) if isinstance(one, kinds) and one.decorator_list]
    if not owners:
        return None
    decorators = rng.choice(owners).decorator_list
    which = rng.randrange(len(decorators))
    whole = decorators[which]
    made = whole if isinstance(whole, ast.Call) else ast.Call(whole, [], [])
    name = rng.choice(names)
    value = ast.Constant(rng.choice((True, True, False)))
    made.keywords = [*(one for one in made.keywords if one.arg != name), ast.keyword(name, value)]
    decorators[which] = made
    line = ast.unparse(ast.fix_missing_locations(tree))
    return msgspec.structs.replace(call, id=number, setup=(*call.setup[:at], line, *call.setup[at + 1 :]))


def retyped_fields(call: Call, number: int, rng: random.Random) -> Call | None:
    """The call with a field of a class of its setup annotated with another type; None where no class there has fields."""
    places = [at for at, line in enumerate(call.setup) if line.startswith(("class ", "@")) and ":" in line]
    if not places:
        return None
    at = rng.choice(places)
    line = retyped(call.setup[at], rng)
    if line is None:
        return None
    return msgspec.structs.replace(call, id=number, setup=(*call.setup[:at], line, *call.setup[at + 1 :]))


def is_plain_call(line: str) -> bool:
    """Whether a statement is a call and nothing else."""
    if "(" not in line or line.startswith(("import ", "from ", "class ", "def ", "@", "with ", "for ")):
        return False
    try:
        body = ast.parse(line).body
    except (SyntaxError, ValueError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call)


def _changed(
    call: Call, number: int, change: Callable[[list[ast.stmt]], None], rng: random.Random
) -> Call | None:
    """The call with the body of one of its setup's functions changed."""
    places = [at for at, line in enumerate(call.setup) if line.startswith(_DEFINITIONS)]
    if not places:
        return None
    at = rng.choice(places)
    tree = ast.parse(call.setup[at])
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]
    if _is_of_test(tree, call):
        rest = "\n".join((*call.setup[:at], *call.setup[at + 1 :], call.expression))
        functions = [one for one in functions if f".{one.name}(" in rest]
    if not functions:
        return None
    change(rng.choice(functions).body)
    line = ast.unparse(ast.fix_missing_locations(tree))
    return msgspec.structs.replace(call, id=number, setup=(*call.setup[:at], line, *call.setup[at + 1 :]))


def _is_of_test(tree: ast.Module, call: Call) -> bool:
    """Whether a statement defines the class of the test that the call is from, whose methods nobody else calls."""
    match tree.body:
        case [ast.ClassDef(name=name)]:
            return f"self = {name}()" in call.setup
        case _:
            return False
