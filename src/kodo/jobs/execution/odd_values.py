"""Values of kinds that code rarely meets, chosen by what the changed code asks of its values.

Code that compares with ``==`` meets something that equals everything, code that asks whether a value can be called a class,
code that reads a file one in memory, code that goes through a value twice an iterator. Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from kodo.jobs.execution.effects import origins

HOLE = "{0}"
"""What an odd form is made of: the source of the value that it takes the place of."""
_EQUAL = ("mock.ANY",)
_CLASSES = ("dict", "type('Kind', (), {})")
_FILES = ("io.BytesIO()", "io.BytesIO(b'abc')", "io.StringIO()", "io.StringIO('abc\\n')")
_ONCE = (f"iter({HOLE})",)
_FILE_METHODS = frozenset({"read", "readline", "readlines", "seek", "tell"})
_CONSUMERS = frozenset(
    ["tuple", "list", "set", "frozenset", "sorted", "map", "zip", "filter", "enumerate", "iter", "next", "sum", "any", "all",
     "len", "min", "max", "chain", "product", "islice", "reversed", "dict", "deque"]
)  # fmt: skip
_MAX_VALUES = 12
_MAX_ATTRIBUTES = 4


def odd_values(tree: ast.Module, nodes: Iterable[ast.AST], library: Collection[str]) -> tuple[str, ...]:
    """Sources of odd values for the code in ``nodes`` of a module, without repeats; ``{0}`` stands for a value to be changed.

    ``library`` are the modules of the standard library that a source may name.
    """
    inner = [one for node in nodes for one in ast.walk(node)]
    found = [source for one in inner for source in _asked(one)]
    found += _halves(inner, origins(tree), library)
    return tuple(dict.fromkeys(found))[:_MAX_VALUES]


def _asked(node: ast.AST) -> tuple[str, ...]:
    """What one node asks for."""
    match node:
        case ast.Compare(ops=ops) if any(
            isinstance(one, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for one in ops
        ):
            return _EQUAL
        case ast.Call(func=ast.Name(id="callable" | "issubclass")):
            return _CLASSES
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="type")]):
            return _CLASSES
        case ast.Call(
            func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]
        ) if name in _FILE_METHODS:
            return _FILES
        case ast.Call(func=ast.Attribute(attr=name)) if name in _FILE_METHODS:
            return _FILES
        case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in _CONSUMERS:
            return _ONCE
        case ast.For() | ast.comprehension():
            return _ONCE
    return ()


def _halves(nodes: Iterable[ast.AST], known: dict[str, str], library: Collection[str]) -> Iterator[str]:
    """Instances of a class of the standard library that is asked for, each with one of the attributes that are asked for as well:
    ``isinstance(zone, tzinfo) and hasattr(zone, "localize")``.
    """
    kinds: dict[str, dict[str, None]] = {}
    attributes: dict[str, dict[str, None]] = {}
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[value, kind]):
                kinds.setdefault(ast.unparse(value), {})[ast.unparse(kind)] = None
            case ast.Call(func=ast.Name(id="hasattr"), args=[value, ast.Constant(value=str(name))]):
                attributes.setdefault(ast.unparse(value), {})[name] = None
    for asked, names in attributes.items():
        for name_of_kind in kinds.get(asked, {}):
            root, dot, rest = name_of_kind.partition(".")
            source = known.get(root, "") + dot + rest
            if "." in source and source.partition(".")[0] in library:
                for name in list(names)[:_MAX_ATTRIBUTES]:
                    yield f"type('Half', ({source},), {{{name!r}: None}})()"
