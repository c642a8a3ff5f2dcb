"""Values of kinds that code rarely meets, chosen by what the changed code asks of its values.

Code that compares with ``==`` meets something that equals everything and something that does not equal itself, code that asks
for an attribute an object that hands it on, code that reads a file one in memory, code that goes through a value twice an
iterator, code that deals with errors on the way one that fails in the middle, and code that asks what a function takes functions of
every form. Reads source only.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Collection, Iterable, Iterator

from kodo.jobs.execution.effects import origins
from kodo.jobs.execution.library_values import callables_asked, instances_asked
from kodo.jobs.execution.operators import answering

HOLE = "{0}"
"""What an odd form is made of: the source of the value that it takes the place of."""
_EQUAL, _UNEQUAL = "mock.ANY", "math.nan"
_CLASSES = ("dict", "type('Kind', (), {})")
_FILES = ("io.BytesIO()", "io.BytesIO(b'abc')", "io.StringIO()", "io.StringIO('abc\\n')")
_ONCE = f"iter({HOLE})"
_FAILS = f"itertools.chain({HOLE}, map(int, 'x'))"
"""An iterator that raises an error on purpose after its items."""
_PLAIN_OPERAND = "[1, 2]"
_ITEMS = "(1, 2)"
"""What ``'%s' % value`` takes for two values."""
_HELD: tuple[tuple[str, type], ...] = (
    ("io.BytesIO(b'abc')", io.BytesIO),
    ("[1, 2]", list),
    ("{'a': 1}", dict),
    ("'abc'", str),
)
_FILE_METHODS = frozenset({"read", "readline", "readlines", "seek", "tell"})
_CONSUMERS = frozenset(
    ["tuple", "list", "set", "frozenset", "sorted", "map", "zip", "filter", "enumerate", "iter", "next", "sum", "any", "all",
     "len", "min", "max", "chain", "product", "islice", "reversed", "dict", "deque"]
)  # fmt: skip
_PLAIN_TYPES = frozenset({"bool", "bytes", "dict", "float", "int", "list", "object", "set", "str", "tuple"})
_EQUALITY = ast.Eq | ast.NotEq | ast.In | ast.NotIn
_MAX_VALUES = 12
_MAX_ATTRIBUTES = 4


def odd_values(
    tree: ast.Module, nodes: Iterable[ast.AST], library: Collection[str], touched: Collection[int] = ()
) -> tuple[str, ...]:
    """Sources of odd values for the code in ``nodes`` of a module, without repeats, those first that the ``touched`` lines ask for;
    ``{0}`` stands for a value to be changed.

    ``library`` are the modules of the standard library that a source may name.
    """
    inner = [one for node in nodes for one in ast.walk(node)]
    inner.sort(key=lambda node: not _is_on(node, touched))
    imported = origins(tree)
    found = [
        source
        for one in inner
        for source in (*_asked(one), *instances_asked(one, imported), *callables_asked(one))
    ]
    found += _halves(inner, imported, library)
    return tuple(dict.fromkeys(found))[:_MAX_VALUES]


def _is_on(node: ast.AST, touched: Collection[int]) -> bool:
    """Whether a node stands on one of some lines; of what holds statements the first line alone, but for ``try``."""
    first = getattr(node, "lineno", 0)
    last = (getattr(node, "end_lineno", None) or first) if isinstance(node, ast.expr | ast.Try) else first
    return any(first <= line <= last for line in touched)


def _asked(node: ast.AST) -> Iterator[str]:
    """What one node asks for."""
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.Call(func=ast.Name(id="callable" | "issubclass")):
            yield from _CLASSES
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="type")]):
            yield from _CLASSES
        case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]):
            yield from _FILES if name in _FILE_METHODS else ()
            yield from _proxies(name)
        case ast.Call(func=ast.Attribute(attr=name)) if name in _FILE_METHODS:
            yield from _FILES
        case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in _CONSUMERS:
            yield _ONCE
        case ast.For() | ast.comprehension():
            yield _ONCE
            if isinstance(node, ast.For) and _holds(node, ast.Try):
                yield _FAILS
        case ast.Try() if _holds(node, ast.For):
            yield _FAILS
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod(), right=right) if not isinstance(
            right, ast.Tuple | ast.Dict | ast.Constant
        ):
            yield _ITEMS
        case ast.FunctionDef(name=name) if other := answering(name):
            yield from (other, _PLAIN_OPERAND)


def _compared(node: ast.Compare) -> Iterator[str]:
    """What a comparison asks for: the types that a value is compared with, what equals all, and what equals nothing."""
    sides = [node.left, *node.comparators]
    if any(isinstance(one, ast.Call) and ast.unparse(one.func) == "type" for one in sides):
        return
    is_equality = any(isinstance(one, _EQUALITY) for one in node.ops)
    is_asked = is_equality or any(isinstance(one, ast.Is | ast.IsNot) for one in node.ops)
    kinds = [one.id for one in sides if isinstance(one, ast.Name) and one.id in _PLAIN_TYPES]
    if is_asked:
        yield from kinds
    if is_equality:
        yield _EQUAL
    if is_asked and not kinds and not any(isinstance(one, ast.Constant) for one in sides):
        yield _UNEQUAL


def _proxies(name: str) -> Iterator[str]:
    """An object that has an attribute only because it asks another one for it, which its class does not show."""
    held = next((source for source, kind in _HELD if hasattr(kind, name)), None)
    if held is not None:
        yield f"type('Proxy', (), {{'__getattr__': lambda _, name, held={held}: getattr(held, name)}})()"


def _holds(node: ast.AST, kind: type[ast.AST]) -> bool:
    return any(isinstance(one, kind) for one in ast.walk(node))


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
