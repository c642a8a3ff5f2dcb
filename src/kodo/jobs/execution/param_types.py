"""What kind of value a parameter takes: read from annotations, defaults, use in the body, and names.

ParamType is a small algebra over the built-in types and the target's own classes. Knows nothing of how
values are made from types (``values.py``) or checked against them (``worker/annotation_check.py``).
"""

import ast
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NAMES = {
    "int": "int", "float": "float", "complex": "complex", "bool": "bool", "str": "str", "bytes": "bytes",
    "bytearray": "bytes", "None": "none", "Path": "path", "PurePath": "path", "PathLike": "path",
    "Decimal": "decimal", "Fraction": "fraction", "date": "date", "datetime": "datetime", "time": "time",
    "timedelta": "timedelta", "Any": "any", "object": "any", "Number": "int", "Real": "float",
    "SupportsFloat": "float", "SupportsInt": "int", "Hashable": "int", "AnyStr": "str", "LiteralString": "str",
    "UUID": "uuid", "range": "range",
}  # fmt: skip
_CONTAINERS = {
    "list": "list", "List": "list", "Sequence": "list", "MutableSequence": "list", "Iterable": "list",
    "Collection": "list", "Container": "list", "Iterator": "iterator", "Generator": "iterator", "Reversible": "list",
    "tuple": "tuple", "Tuple": "tuple", "set": "set", "Set": "set", "MutableSet": "set", "AbstractSet": "set",
    "frozenset": "frozenset", "FrozenSet": "frozenset", "dict": "dict", "Dict": "dict", "Mapping": "dict",
    "MutableMapping": "dict", "defaultdict": "dict", "OrderedDict": "dict", "Counter": "dict", "deque": "deque",
    "Callable": "callable", "Optional": "optional", "Union": "union", "Literal": "literal",
    "Annotated": "annotated", "Final": "annotated", "ClassVar": "annotated", "Required": "annotated",
    "AsyncIterable": "async", "AsyncIterator": "async", "AsyncGenerator": "async", "Awaitable": "awaitable",
    "Coroutine": "awaitable", "Type": "kind", "type": "kind",
}  # fmt: skip
_TEXT_TOO = frozenset({"Sequence", "Iterable", "Collection"})
"""Types that a text is of as well, where nothing is said of the items."""
_STR_METHODS = frozenset(
    [
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "split",
        "rsplit",
        "splitlines",
        "startswith",
        "endswith",
        "replace",
        "encode",
        "title",
        "casefold",
        "isdigit",
        "isalpha",
        "isalnum",
        "isspace",
        "isupper",
        "islower",
        "zfill",
        "partition",
        "rpartition",
        "capitalize",
        "swapcase",
        "ljust",
        "rjust",
        "format",
    ]
)
_DICT_METHODS = frozenset({"items", "keys", "values", "get", "setdefault"})
_LIST_METHODS = frozenset({"append", "extend", "sort", "insert", "reverse"})
_ITERABLE_CONSUMERS = frozenset(
    {
        "len",
        "sum",
        "sorted",
        "min",
        "max",
        "enumerate",
        "reversed",
        "any",
        "all",
        "zip",
        "set",
        "list",
        "iter",
    }
)
_NAME_HINTS = {
    "str": [
        "text",
        "s",
        "string",
        "name",
        "word",
        "line",
        "title",
        "key",
        "label",
        "prefix",
        "suffix",
        "sep",
        "separator",
        "char",
        "pattern",
        "path",
        "url",
        "email",
        "source",
    ],
    "int": [
        "n",
        "i",
        "j",
        "k",
        "m",
        "x",
        "y",
        "a",
        "b",
        "count",
        "size",
        "width",
        "height",
        "index",
        "limit",
        "number",
        "num",
        "value",
        "start",
        "stop",
        "end",
        "step",
        "low",
        "high",
        "lo",
        "hi",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "microsecond",
        "years",
        "months",
        "weeks",
        "days",
        "hours",
        "minutes",
        "seconds",
        "offset",
        "length",
        "depth",
        "level",
        "position",
        "pos",
        "column",
        "port",
        "digits",
        "precision",
    ],
    "list": [
        "items",
        "values",
        "numbers",
        "nums",
        "lst",
        "seq",
        "sequence",
        "arr",
        "array",
        "xs",
        "data",
        "elements",
        "rows",
        "points",
        "scores",
    ],
    "dict": ["d", "mapping", "config", "options", "settings", "mapping", "table", "counts"],
    "datetime": ["datetime", "dt"],
    "date": ["date"],
    "time": ["time"],
    "timedelta": ["timedelta", "delta"],
    "float": ["rate", "ratio", "price", "amount", "weight", "factor", "percent", "temperature", "total"],
    "bool": ["flag", "verbose", "strict", "reverse"],
    "callable": ["func", "function", "fn", "f", "predicate", "pred", "callback"],
}


@dataclass(frozen=True, slots=True)
class ParamType:
    """``kind`` names the type, ``args`` its parameters; ``text`` is a class name or a literal's source."""

    kind: str
    args: tuple["ParamType", ...] = ()
    text: str = ""

    @property
    def nullable(self) -> bool:
        """Whether None is one of its values."""
        return self.kind in ("none", "any") or (
            self.kind == "union" and any(arg.nullable for arg in self.args)
        )

    @property
    def only_none(self) -> bool:
        """Whether None is its only value: the other parts of an annotation are classes of which nothing is known."""
        return self.kind == "none" or (self.kind == "union" and all(arg.only_none for arg in self.args))


ANY = ParamType("any")
_ASYNC_CALLABLE = ParamType("literal", text="mock.AsyncMock(return_value=1)")


def from_annotation(node: ast.expr | None, classes: frozenset[str], depth: int = 0) -> ParamType | None:
    """The type an annotation means; None without an annotation or for one outside this algebra."""
    if node is None or depth > 6:
        return None
    if isinstance(node, ast.Constant):
        if node.value is None:
            return ParamType("none")
        if isinstance(node.value, str):
            try:
                return from_annotation(ast.parse(node.value, mode="eval").body, classes, depth + 1)
            except SyntaxError:
                return None
        return ParamType("any") if node.value is Ellipsis else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], classes, depth)
    if isinstance(node, ast.Subscript):
        return _generic(node, classes, depth)
    name = _last_name(node)
    if name is None:
        return None
    if name in classes:
        return ParamType("class", text=name)
    if name in _NAMES:
        return ParamType(_NAMES[name])
    if name in _CONTAINERS:
        kind = _CONTAINERS[name]
        if name in _TEXT_TOO:
            return ParamType("union", (ParamType(kind, (ANY,)), ParamType("str")))
        if kind in ("awaitable", "kind"):
            return ParamType(kind)
        return ParamType(kind, (ANY, ANY) if kind == "dict" else (ANY,))
    if len(name) <= 2 and name.isupper():  # a type variable, as T or KT
        return ParamType("int")
    return None


def _union(nodes: list[ast.expr], classes: frozenset[str], depth: int) -> ParamType | None:
    parts = [part for node in nodes if (part := from_annotation(node, classes, depth + 1)) is not None]
    flat = [inner for part in parts for inner in (part.args if part.kind == "union" else (part,))]
    return ParamType("union", tuple(flat)) if flat else None


def _generic(node: ast.Subscript, classes: frozenset[str], depth: int) -> ParamType | None:
    name = _last_name(node.value) or ""
    kind = _CONTAINERS.get(name)
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    match kind:
        case None:
            return ParamType("class", text=name) if name in classes else None
        case "literal":
            return ParamType("union", tuple(ParamType("literal", text=ast.unparse(item)) for item in inner))
        case "annotated":
            return from_annotation(inner[0], classes, depth + 1)
        case "optional":
            return _union([*inner, ast.Constant(None)], classes, depth)
        case "union":
            return _union(inner, classes, depth)
        case "callable" if _is_async(inner[-1]):
            return _ASYNC_CALLABLE
        case "callable" | "any" | "awaitable" | "kind":
            return ParamType(kind)
    return _container(name, kind, inner, classes, depth)


def _is_async(returned: ast.expr) -> bool:
    """Whether what a callable returns, by its annotation, is to be awaited."""
    return (
        _CONTAINERS.get((_last_name(returned.value) if isinstance(returned, ast.Subscript) else "") or "")
        == "awaitable"
    )


def _container(name: str, kind: str, inner: list[ast.expr], classes: frozenset[str], depth: int) -> ParamType:
    """A container of typed items; a tuple of fixed length is a record."""
    last = inner[-1] if inner else None  # Tuple[()] is the empty tuple
    variadic = kind == "tuple" and isinstance(last, ast.Constant) and last.value is Ellipsis
    parts = [from_annotation(item, classes, depth + 1) or ANY for item in (inner[:1] if variadic else inner)]
    if kind == "tuple" and not variadic:
        return ParamType("record", tuple(parts))
    if name == "Counter":
        parts.append(ParamType("int"))
    if kind == "dict" and len(parts) < 2:
        parts.append(ANY)
    return ParamType(kind, tuple(parts[: 2 if kind == "dict" else 1]))


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def from_value(node: ast.expr) -> ParamType | None:
    """The type of a literal in the source: a default, or an argument in an example."""
    if isinstance(node, ast.UnaryOp):
        return from_value(node.operand)
    if isinstance(node, ast.Constant):
        if node.value is None:
            return None
        return (
            ParamType(type(node.value).__name__)
            if type(node.value) in (int, float, bool, str, bytes, complex)
            else None
        )
    if isinstance(node, ast.List | ast.Set):
        inner = from_value(node.elts[0]) if node.elts else None
        return ParamType("list" if isinstance(node, ast.List) else "set", (inner or ANY,))
    if isinstance(node, ast.Tuple) and not node.elts:
        return _EMPTY
    if isinstance(node, ast.Tuple):
        return ParamType("record", tuple(from_value(item) or ANY for item in node.elts))
    if isinstance(node, ast.Dict):
        key = from_value(node.keys[0]) if node.keys and node.keys[0] else None
        value = from_value(node.values[0]) if node.values else None
        return ParamType("dict", (key or ParamType("str"), value or ANY))
    return None


def from_use(name: str, body: list[ast.stmt]) -> ParamType | None:
    """What the body does with a parameter says what it is; the first clear sign counts.

    Of a list, a loop says more than that its length is asked for.
    """
    found: ParamType | None = None
    for node in (inner for statement in body for inner in ast.walk(statement)):
        found = found or _type_of_use(name, node)
        if found not in (None, _INTEGERS):
            return found
        if isinstance(node, ast.For | ast.comprehension) and _is_name(name, node.iter):
            found = _iterated(name, node)
    return found


def _type_of_use(name: str, node: ast.AST) -> ParamType | None:
    """What one node says of the variable ``name``."""
    for kind, infer in USES:
        if isinstance(node, kind):
            return infer(name, node)
    return None


def _is_name(name: str, node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _type_of_literal(node: ast.expr) -> ParamType | None:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, str):
        return ParamType(type(node.value).__name__)
    return None


def _used_in_call(name: str, node: ast.Call) -> ParamType | None:
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="replace"), keywords=[_, *_]) if _is_name(
            name, value
        ):
            return ParamType("datetime")
        case ast.Call(func=ast.Attribute(value=value, attr=method)) if _is_name(name, value):
            return next((known for methods, known in _METHOD_TYPES if method in methods), None)
        case ast.Call(func=called) if _is_name(name, called):
            return ParamType("callable")
        case ast.Call(func=ast.Name(id="map" | "filter" | "reduce"), args=[first, *_]) if _is_name(
            name, first
        ):
            return ParamType("callable")
        case ast.Call(func=ast.Name(id="aiter" | "anext"), args=[first, *_]) if _is_name(name, first):
            return ParamType("async", (ANY,))
        case ast.Call(func=ast.Name(id="range"), args=[first, *_]) if _is_name(name, first):
            return ParamType("int")
        case ast.Call(func=ast.Name(id=function), args=[first, *_]) if _is_name(name, first):
            return _INTEGERS if function in _ITERABLE_CONSUMERS and not _likely_text(name) else None
    return None


def _iterated(name: str, node: ast.For | ast.comprehension) -> ParamType | None:
    if not _is_name(name, node.iter):
        return None
    if isinstance(node, ast.comprehension) and node.is_async:
        return ParamType("async", (ANY,))
    found = _item_type(node)
    if found is not None:
        return ParamType("list", (found,))
    return ParamType("str") if _likely_text(name) else _INTEGERS


def _iterated_later(name: str, node: ast.AsyncFor) -> ParamType | None:
    return ParamType("async", (ANY,)) if _is_name(name, node.iter) else None


def _item_type(node: ast.For | ast.comprehension) -> ParamType | None:
    """What the items of a loop must be: tuples that are taken apart, or what the loop's body says of its variable."""
    match node.target:
        case ast.Tuple(elts=parts) if not any(isinstance(one, ast.Starred) for one in parts):
            return ParamType("record", tuple(_part_type(part, node) for part in parts))
        case ast.Name(id=item) if isinstance(node, ast.For):
            return from_use(item, node.body)
    return None


def _part_type(part: ast.expr, node: ast.For | ast.comprehension) -> ParamType:
    found = from_use(part.id, node.body) if isinstance(part, ast.Name) and isinstance(node, ast.For) else None
    return found or ParamType("union", (ParamType("str"), ParamType("int")))


def _compared(name: str, node: ast.Compare) -> ParamType | None:
    if not _is_name(name, node.left):
        return None
    return next(filter(None, map(_type_of_literal, node.comparators)), None)


def _calculated_with(name: str, node: ast.BinOp) -> ParamType | None:
    if not (_is_name(name, node.left) or _is_name(name, node.right)):
        return None
    other = _type_of_literal(node.right if _is_name(name, node.left) else node.left)
    whole = isinstance(node.op, ast.Mod | ast.FloorDiv | ast.Sub | ast.Pow)
    return other or (ParamType("int") if whole else None)


_PAIR = ParamType("record", (ParamType("str"), ParamType("int")))
_EMPTY = ParamType(
    "union", (ParamType("tuple", (ANY,)), ParamType("dict", _PAIR.args), ParamType("list", (_PAIR,)))
)
"""What ``()`` may stand for as a default: values one after the other, or what a dict is made of."""
_INTEGERS = ParamType("list", (ParamType("int"),))
_METHOD_TYPES = (
    (_STR_METHODS, ParamType("str")),
    (_DICT_METHODS, ParamType("dict", (ParamType("str"), ParamType("int")))),
    (_LIST_METHODS, _INTEGERS),
    (frozenset({"total_seconds"}), ParamType("timedelta")),
    (frozenset({"strftime", "utcoffset", "astimezone", "utctimetuple", "timestamp"}), ParamType("datetime")),
    (frozenset({"toordinal", "isocalendar", "isoweekday"}), ParamType("date")),
    (frozenset({"decode"}), ParamType("bytes")),
    (frozenset({"read", "readline", "readlines", "write", "writelines", "getvalue"}), ParamType("file")),
    (frozenset({"bit_length"}), ParamType("int")),
    (frozenset({"is_integer"}), ParamType("float")),
)
USES: tuple[tuple[type | types.UnionType, Callable[[str, Any], ParamType | None]], ...] = (
    (ast.Call, _used_in_call),
    (ast.AsyncFor, _iterated_later),
    (ast.For | ast.comprehension, _iterated),
    (ast.Compare, _compared),
    (ast.BinOp, _calculated_with),
)
"""Node type -> what such a node says of a variable."""


def _likely_text(name: str) -> bool:
    return from_name(name).kind == "str"


def from_name(name: str) -> ParamType:
    """A last guess from the parameter's name; ``any`` where it says nothing."""
    lower = name.lower().strip("_")
    for kind, names in _NAME_HINTS.items():
        if lower in names or any(len(hint) > 2 and lower.endswith("_" + hint) for hint in names):
            if kind == "list":
                return ParamType("list", (ParamType("int"),))
            return (
                ParamType("dict", (ParamType("str"), ParamType("int"))) if kind == "dict" else ParamType(kind)
            )
    if lower.startswith(("is_", "has_", "use_", "allow_")):
        return ParamType("bool")
    return ParamType("list", (ParamType("str"),)) if lower in ("words", "lines", "names") else ANY
