"""What kind of value a parameter takes: read from annotations, defaults, use in the body, and names.

ParamType is a small algebra over the built-in types and the target's own classes. Knows nothing of how
values are made from types (`values.py`) or checked against them (`worker/conform.py`).
"""

import ast
from dataclasses import dataclass

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
    "Awaitable": "any", "Coroutine": "any", "Type": "any", "type": "any",
}  # fmt: skip
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
    "float": ["rate", "ratio", "price", "amount", "weight", "factor", "percent", "temperature", "total"],
    "bool": ["flag", "verbose", "strict", "reverse"],
}


@dataclass(frozen=True, slots=True)
class ParamType:
    """`kind` names the type, `args` its parameters; `text` is a class name or a literal's source."""

    kind: str
    args: tuple["ParamType", ...] = ()
    text: str = ""

    @property
    def nullable(self) -> bool:
        """Whether None is one of its values."""
        return self.kind in ("none", "any") or (
            self.kind == "union" and any(arg.nullable for arg in self.args)
        )


ANY = ParamType("any")


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
        return ParamType(kind, (ANY, ANY) if kind == "dict" else (ANY,)) if kind != "any" else ANY
    if len(name) <= 2 and name.isupper():  # a type variable, as T or KT
        return ParamType("int")
    return None


def _union(nodes: list[ast.expr], classes: frozenset[str], depth: int) -> ParamType | None:
    parts = [from_annotation(node, classes, depth + 1) for node in nodes]
    if any(part is None for part in parts):
        return None
    flat = [inner for part in parts if part for inner in (part.args if part.kind == "union" else (part,))]
    return ParamType("union", tuple(flat))


def _generic(node: ast.Subscript, classes: frozenset[str], depth: int) -> ParamType | None:
    name = _last_name(node.value)
    kind = _CONTAINERS.get(name or "")
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if kind is None:
        return ParamType("class", text=name) if name in classes else None
    if kind == "literal":
        return ParamType("union", tuple(ParamType("literal", text=ast.unparse(item)) for item in inner))
    if kind == "annotated":
        return from_annotation(inner[0], classes, depth + 1)
    if kind in ("optional", "union"):
        nodes = [*inner, ast.Constant(None)] if kind == "optional" else inner
        return _union(nodes, classes, depth)
    if kind in ("callable", "any"):
        return ParamType(kind)
    variadic = kind == "tuple" and isinstance(inner[-1], ast.Constant) and inner[-1].value is Ellipsis
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
    if isinstance(node, ast.Tuple):
        return ParamType("record", tuple(from_value(item) or ANY for item in node.elts))
    if isinstance(node, ast.Dict):
        key = from_value(node.keys[0]) if node.keys and node.keys[0] else None
        value = from_value(node.values[0]) if node.values else None
        return ParamType("dict", (key or ParamType("str"), value or ANY))
    return None


def from_use(name: str, body: list[ast.stmt]) -> ParamType | None:
    """What the body does with a parameter says what it is; the first clear sign counts."""
    for node in (inner for statement in body for inner in ast.walk(statement)):
        found = _type_of_use(name, node)
        if found is not None:
            return found
    return None


def _type_of_use(name: str, node: ast.AST) -> ParamType | None:
    def is_it(expr: ast.AST | None) -> bool:
        return isinstance(expr, ast.Name) and expr.id == name

    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and is_it(node.func.value):
            if node.func.attr in _STR_METHODS:
                return ParamType("str")
            if node.func.attr in _DICT_METHODS:
                return ParamType("dict", (ParamType("str"), ParamType("int")))
            if node.func.attr in _LIST_METHODS:
                return ParamType("list", (ParamType("int"),))
        if isinstance(node.func, ast.Name) and node.args and is_it(node.args[0]):
            if node.func.id == "range":
                return ParamType("int")
            if node.func.id in _ITERABLE_CONSUMERS and not _likely_text(name):
                return ParamType("list", (ParamType("int"),))
    if isinstance(node, ast.For | ast.comprehension) and is_it(node.iter):
        return ParamType("str") if _likely_text(name) else ParamType("list", (ParamType("int"),))
    if isinstance(node, ast.Compare) and is_it(node.left):
        for other in node.comparators:
            if isinstance(other, ast.Constant) and type(other.value) in (int, float, str):
                return ParamType(type(other.value).__name__)
    if isinstance(node, ast.BinOp) and (is_it(node.left) or is_it(node.right)):
        other = node.right if is_it(node.left) else node.left
        if isinstance(other, ast.Constant) and type(other.value) in (int, float, str):
            return ParamType(type(other.value).__name__)
        if isinstance(node.op, ast.Mod | ast.FloorDiv | ast.Sub | ast.Pow):
            return ParamType("int")
    return None


def _likely_text(name: str) -> bool:
    return from_name(name).kind == "str"


def from_name(name: str) -> ParamType:
    """A last guess from the parameter's name; `any` where it says nothing."""
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
