"""What a function takes from outside its arguments: the clock, random numbers, the environment, files.

Read from the source, so that a call can be made with the outside held still: statements that use the fixtures
``monkeypatch`` and ``tmp_path`` of pytest, and ``random.seed``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

NOW = "2024, 3, 15, 12, 30"
SECONDS = "1710505800.0"
_CLOCK = {"time": SECONDS, "monotonic": SECONDS, "perf_counter": SECONDS, "time_ns": "1710505800000000000"}
_MAX_ALIASES = 3
_PATH_CALLS = frozenset({"open", "Path", "exists", "isfile", "isdir", "getsize", "listdir"})
_PATH_METHODS = frozenset(
    {"open", "read_text", "write_text", "read_bytes", "write_bytes", "exists", "is_file"}
)
_OF_ANY = """class OfAny(type):
    def __instancecheck__(cls, value):
        return isinstance(value, cls.__base__)"""
"""For the classes below: a date that was made before the clock was held still is an instance of them too."""
_FROZEN = {
    "datetime": f"""class FrozenDatetime(datetime.datetime, metaclass=OfAny):
    @classmethod
    def now(cls, tz=None):
        return cls({NOW}, tzinfo=tz)

    utcnow = today = now""",
    "date": """class FrozenDate(datetime.date, metaclass=OfAny):
    @classmethod
    def today(cls):
        return cls(2024, 3, 15)""",
}


@dataclass(frozen=True, slots=True)
class Effects:
    """What must be held still for a call: statements to run first, variables of the environment, parameters of files."""

    setup: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def read_effects(module: str, tree: ast.Module, node: ast.AST, params: frozenset[str]) -> Effects:
    """The effects of a function, those of the module's functions that it calls by name included."""
    nodes = list(_reached(tree, node))
    known = {name: origin for name, origin in origins(tree).items() if name not in params}
    dotted = {_origin(one, known): one for one in nodes if isinstance(one, ast.Name | ast.Attribute)}
    setup: list[str] = []
    if any(name.startswith("random.") for name in dotted):
        setup.append("random.seed(0)")
    for name, value in _CLOCK.items():
        if f"time.{name}" in dotted:
            setup.append(f"monkeypatch.setattr({_place(module, dotted[f'time.{name}'])!r}, lambda: {value})")
    for name, methods in (("datetime", ("now", "utcnow", "today")), ("date", ("today",))):
        used = next(
            (dotted[key] for key in (f"datetime.{name}.{method}" for method in methods) if key in dotted),
            None,
        )
        if isinstance(used, ast.Attribute):
            setup += [
                *([_OF_ANY] if _OF_ANY not in setup else []),
                _FROZEN[name],
                f"monkeypatch.setattr({_place(module, used.value)!r}, Frozen{name.capitalize()})",
            ]
    return Effects(tuple(setup), _variables(nodes), tuple(sorted(_opened(tree, node) & params)))


def _reached(tree: ast.Module, node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function and of the functions of the module that it calls by name, one level deep."""
    own = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    called = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & own.keys()
    for one in (node, *(own[name] for name in sorted(called) if own[name] is not node)):
        yield from ast.walk(one)


@lru_cache(maxsize=128)
def origins(tree: ast.Module) -> dict[str, str]:
    """Name -> what it is imported from: ``import time as t`` gives t: time, ``from random import choice`` random.choice."""
    out: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            out |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return out


def _origin(node: ast.AST, known: Mapping[str, str]) -> str:
    """The dotted name that an expression means by the module's imports; empty for anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute):
        owner = _origin(node.value, known)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _place(module: str, node: ast.AST) -> str:
    """Where a name is looked up, as ``monkeypatch.setattr`` takes it."""
    return f"{module}.{ast.unparse(node)}"


def _variables(nodes: list[ast.AST]) -> tuple[str, ...]:
    """The variables of the environment that are read by a literal name."""
    out: list[str] = []
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_]):
                out.append(name)
            case ast.Call(
                func=ast.Attribute(value=owner, attr="get"), args=[ast.Constant(value=str(name)), *_]
            ) if ast.unparse(owner).endswith("environ"):
                out.append(name)
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))) if ast.unparse(
                owner
            ).endswith("environ"):
                out.append(name)
    return tuple(dict.fromkeys(out))


def _opened(tree: ast.AST, node: ast.AST) -> frozenset[str]:
    """The names that a function opens, also by another name or an attribute that it binds them to, or in another method of its class."""
    opened = _files(node)
    for one in ast.walk(tree) if getattr(node, "name", "") == "__init__" else ():
        if isinstance(one, ast.ClassDef) and node in one.body:
            opened |= {name for name in _files(one) if name.startswith("self.")}
    for _ in range(_MAX_ALIASES):
        opened |= {name for target, name in _aliases(node) if target in opened}
    return opened


def _aliases(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What is bound to a name, as it is or in a call of it alone: ``self.path = os.fspath(path)`` binds path."""
    for one in ast.walk(node):
        targets = (
            one.targets
            if isinstance(one, ast.Assign)
            else [one.target]
            if isinstance(one, ast.AnnAssign)
            else []
        )
        value = getattr(one, "value", None)
        names = (value, *(value.args if isinstance(value, ast.Call) else ())) if targets else ()
        for target in targets:
            if isinstance(target, ast.Name | ast.Attribute):
                yield from (
                    (ast.unparse(target), ast.unparse(name))
                    for name in names
                    if isinstance(name, ast.Name | ast.Attribute)
                )


def _files(node: ast.AST) -> frozenset[str]:
    """The names that a function opens or asks the file system about."""
    out: set[str] = set()
    for one in ast.walk(node):
        match one:
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Name() | ast.Attribute() as place, *_],
            ) if called in _PATH_CALLS:
                out.add(ast.unparse(place))
            case ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() as place, attr=method)) if (
                method in _PATH_METHODS
            ):
                out.add(ast.unparse(place))
    return frozenset(out)
