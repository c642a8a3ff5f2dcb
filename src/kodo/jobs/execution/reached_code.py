"""The functions that a function calls, through names, methods and imports of its own package; and the words in them.

What a parser cares about stands in the code that its public function calls. Reads source only; a method is found by its
name where the class of its receiver is not known, so that more may be found than is called.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.imports import Importer
from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.regex_texts import regex_texts
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.text_shapes import text_shapes

_MAX_FUNCTIONS = 24
_MAX_MODULES = 6
_MAX_WORDS, _MAX_SHAPES = 120, 60
_MAX_SAME_NAME = 3
_LARGEST_MODULE = 150_000
"""The bytes of another module from which on it is not read: of some, the functions alone take seconds to read."""
_HOLE = re.compile(r"\{[^{}]*\}|%s")

Reached = tuple[TargetModule, Function]


def reached_functions(module: TargetModule, function: Function) -> tuple[Reached, ...]:
    """The functions that ``function`` calls, the nearest first, without itself; at most 24, of at most 6 other modules."""
    out: dict[tuple[str, str], Reached] = {(module.name, function.qualname): (module, function)}
    todo = [(module, function)]
    while todo and len(out) <= _MAX_FUNCTIONS:
        here, one = todo.pop(0)
        for found in _called(here, one):
            key = found[0].name, found[1].qualname
            if key not in out and len({name for name, _ in out} | {found[0].name}) <= _MAX_MODULES:
                out[key] = found
                todo.append(found)
    return tuple(out.values())[1 : _MAX_FUNCTIONS + 1]


def constructor(module: TargetModule, name: str) -> Reached | None:
    """What makes an instance of a class, where the module defines it or imports it from its package, and the module that has it."""
    here = module if name in module.classes else _imports(module).get(name, module)
    found = (
        here.every_function.get(f"{name}.{method}") for method in ("__init__", "__post_init__", "__new__")
    )
    return next(((here, one) for one in found if one is not None), None)


def reached_words(module: TargetModule, function: Function) -> tuple[object, ...]:
    """The literals of the functions that a function calls, and the names that it and they dispatch on."""
    found: dict[object, None] = {}
    for here, one in ((module, function), *reached_functions(module, function)):
        found |= dict.fromkeys(dispatched_words(here, one))
        if one is not function:
            found |= {value: None for value in constants(here, one) if not isinstance(value, bool)}
    return tuple(found)[:_MAX_WORDS]


def reached_shapes(module: TargetModule, function: Function) -> tuple[str, ...]:
    """Texts that the functions which a function calls ask for, by their patterns and conditions; spread over them."""
    groups = [
        [*text_shapes(one.node), *regex_texts(here, one)] for here, one in reached_functions(module, function)
    ]
    groups = [group for group in groups if group]
    each = _MAX_SHAPES // max(1, len(groups)) or 1
    return tuple(
        dict.fromkeys(text for group in groups for text in group[:: max(1, len(group) // each)][:each])
    )


@lru_cache(maxsize=512)
def dispatched_words(module: TargetModule, function: Function) -> tuple[str, ...]:
    """What ``getattr(self, f"visit_{name}")`` can be asked for: the middle of the names of methods that fit, also with dashes."""
    words = (word for node in ast.walk(function.node) for word in words_of_form(module, node))
    return tuple(dict.fromkeys(one for word in words for one in (word, word.replace("_", "-"))))


def words_of_form(module: TargetModule, node: ast.AST) -> tuple[str, ...]:
    """What may stand in the hole of a text such as ``f"visit_{name}"``, so that it names a method of the module."""
    names = sorted({one.rpartition(".")[2] for one in module.every_function})
    patterns = [re.compile("(.+)".join(map(re.escape, form))) for form in _forms(node)]
    found = (pattern.fullmatch(name) for pattern in patterns for name in names)
    return tuple(one.group(1) for one in found if one)


def _forms(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What stands before and after the one hole of a text that may be the name of a method."""
    parts: list[str] = []
    match node:
        case ast.JoinedStr(values=values):
            parts = ["".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in values)]
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add()):
            parts = [f"{text}{{}}"]
        case ast.Constant(value=str(text)):
            parts = [text]
    for text in parts:
        around = _HOLE.split(text)
        if (
            len(around) == 2
            and re.fullmatch(r"[A-Za-z_]\w*_|_?", around[0])
            and re.fullmatch(r"\w*", around[1])
            and len(text) > 3
        ):
            yield around[0], around[1]


def _called(module: TargetModule, function: Function) -> Iterator[Reached]:
    known, owner = module.every_function, function.qualname.rpartition(".")[0]
    for node in ast.walk(function.node):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                yield from _named(module, name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if f"{owner}.{name}" in known:
                yield module, known[f"{owner}.{name}"]
            case ast.Attribute(attr=name):
                same = [
                    (here, one)
                    for here in dict.fromkeys((module, *_imports(module).values()))
                    for one in here.every_function.values()
                    if one.owner and one.name == name
                ]
                yield from same if len(same) <= _MAX_SAME_NAME else ()


def _named(module: TargetModule, name: str) -> Iterator[Reached]:
    """The function of this name, or the methods that a class of this name is made and called with."""
    here, known = module, module.every_function
    if name not in known and name not in module.classes and name in _imports(module):
        here = _imports(module)[name]
        known = here.every_function
    if name in known:
        yield here, known[name]
    elif name in here.classes:
        yield from (
            (here, one) for one in known.values() if one.qualname in (f"{name}.__init__", f"{name}.__call__")
        )


@lru_cache(maxsize=128)
def _imports(module: TargetModule) -> dict[str, TargetModule]:
    """Name that a module imports from its own package -> the module that defines it, but for very large ones."""
    importer = Importer((module.import_root,))
    out: dict[str, TargetModule] = {}
    for node in module.tree.body:
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            found = importer.imported_path(alias.name, module.path, module.tree, module.name)
            if found is not None and found != module.path and found.stat().st_size < _LARGEST_MODULE:
                try:
                    out[alias.asname or alias.name] = _module(found)
                except ExecutionError:  # a file that does not parse is not read further
                    continue
    return out


_module = lru_cache(maxsize=128)(load)
