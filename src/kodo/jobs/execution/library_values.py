"""Values of classes of the standard library that code asks for by ``isinstance``, and functions of every form of signature."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

_OF_CLASSES = {
    "collections.ChainMap": "collections.ChainMap({'a': 1})",
    "collections.Counter": "collections.Counter('aab')",
    "collections.OrderedDict": "collections.OrderedDict(a=1)",
    "collections.UserDict": "collections.UserDict(a=1)",
    "collections.UserList": "collections.UserList([1, 2])",
    "collections.UserString": "collections.UserString('a')",
    "collections.defaultdict": "collections.defaultdict(list, a=[1])",
    "collections.deque": "collections.deque([1, 2])",
    "datetime.date": "datetime.date(2024, 1, 2)",
    "datetime.datetime": "datetime.datetime(2024, 1, 2, 3, 4)",
    "datetime.time": "datetime.time(3, 4)",
    "datetime.timedelta": "datetime.timedelta(days=1)",
    "datetime.timezone": "datetime.timezone.utc",
    "decimal.Decimal": "decimal.Decimal('1.5')",
    "enum.Enum": "enum.Enum('Color', ['RED', 'BLUE']).RED",
    "enum.Flag": "enum.Flag('Mode', ['READ', 'WRITE']).READ",
    "enum.IntEnum": "enum.IntEnum('Size', ['S', 'L']).L",
    "fractions.Fraction": "fractions.Fraction(1, 3)",
    "functools.partial": "functools.partial(max, 1)",
    "functools.partialmethod": "functools.partialmethod(str.upper)",
    "operator.attrgetter": "operator.attrgetter('real')",
    "operator.itemgetter": "operator.itemgetter(0)",
    "operator.methodcaller": "operator.methodcaller('upper')",
    "pathlib.Path": "pathlib.Path('a.txt')",
    "pathlib.PurePath": "pathlib.PurePosixPath('a.txt')",
    "types.MappingProxyType": "types.MappingProxyType({'a': 1})",
    "types.SimpleNamespace": "types.SimpleNamespace(a=1)",
    "uuid.UUID": "uuid.UUID(int=1)",
}
"""A class -> the source of an instance."""
_CALLABLES = (
    "lambda a, *, b=1: (a, b)",
    "lambda a, **options: (a, options)",
    "lambda a, b=2: (a, b)",
    "lambda *items: items",
    "lambda: 1",
    "functools.partial(max, 1)",
    "operator.itemgetter(0)",
)
"""Functions with parameters of every kind, and callable objects."""
_ASK_SIGNATURES = frozenset(
    ["signature", "getfullargspec", "getargspec", "Signature", "parameters", "VAR_POSITIONAL", "VAR_KEYWORD", "KEYWORD_ONLY",
     "POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD", "co_argcount", "co_kwonlyargcount", "co_varnames", "__kwdefaults__"]
)  # fmt: skip
"""Names of functions and attributes by which code asks what a function takes."""


def callables_asked(node: ast.AST) -> tuple[str, ...]:
    """Functions of every form, where a node asks what a function takes."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in _ASK_SIGNATURES:
            return _CALLABLES
        case _:
            return ()


def instances_asked(node: ast.AST, imported: Mapping[str, str]) -> Iterator[str]:
    """An instance of each class of the standard library that a node asks a value for; ``imported`` are the module's names by what they
    stand for.
    """
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
            for kind in kinds.elts if isinstance(kinds, ast.Tuple) else [kinds]:
                root, dot, rest = ast.unparse(kind).partition(".")
                if source := _OF_CLASSES.get(imported.get(root, "") + dot + rest):
                    yield source
