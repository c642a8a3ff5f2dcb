"""How a method of Python's data model is called: by the operator or the function that it is the meaning of."""

from __future__ import annotations

import ast
from types import MappingProxyType

_BINARY = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "add": "+", "sub": "-", "mul": "*", "truediv": "/",
    "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@", "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
}  # fmt: skip
_COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
_MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
"""Comparison -> the one that the other operand is asked for."""
COPIES = (
    "__deepcopy__",
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)
"""What a copy of all that an object holds is made with, unless its class says how to make one; pickling asks for the same."""
_OWNER = "type('Owner', (), {{'field': {0}}})"
"""A class with a descriptor in it."""
FORMS = MappingProxyType(
    {f"__{name}__": f"{{0}} {sign} _0" for name, sign in _BINARY.items()}
    | {f"__r{name}__": f"_0 {sign} {{0}}" for name, sign in _BINARY.items() if name not in _COMPARED}
    | {f"__i{name}__": f"operator.i{name.rstrip('_')}({{0}}, _0)" for name in _BINARY if name not in (*_COMPARED, "and", "or")}
    | {"__iand__": "operator.iand({0}, _0)", "__ior__": "operator.ior({0}, _0)"}
    | dict.fromkeys(COPIES, "copy.deepcopy({0})")
    | {
        "__len__": "len({0})", "__str__": "str({0})", "__repr__": "repr({0})", "__bool__": "bool({0})", "__bytes__": "bytes({0})",
        "__abs__": "abs({0})", "__neg__": "-{0}", "__pos__": "+{0}", "__invert__": "~{0}", "__int__": "int({0})",
        "__float__": "float({0})", "__complex__": "complex({0})", "__index__": "operator.index({0})", "__round__": "round({0})",
        "__floor__": "math.floor({0})", "__ceil__": "math.ceil({0})", "__trunc__": "math.trunc({0})",
        "__divmod__": "divmod({0}, _0)", "__rdivmod__": "divmod(_0, {0})", "__hash__": "{0} in {{{0}}}",
        "__iter__": "list({0})", "__next__": "next({0})", "__reversed__": "list(reversed({0}))", "__contains__": "_0 in {0}",
        "__getitem__": "{0}[_0]", "__missing__": "{0}[_0]", "__setitem__": "operator.setitem({0}, _0, _1)",
        "__delitem__": "operator.delitem({0}, _0)", "__getattr__": "getattr({0}, _0)", "__getattribute__": "getattr({0}, _0)",
        "__setattr__": "setattr({0}, _0, _1)", "__delattr__": "delattr({0}, _0)", "__format__": "format({0}, _0)",
        "__copy__": "copy.copy({0})", "__fspath__": "{0}.__fspath__()", "__length_hint__": "operator.length_hint({0})",
        "__enter__": "{0}.__enter__()", "__exit__": "{0}.__exit__(None, None, None)", "__aenter__": "{0}.__aenter__()",
        "__aexit__": "{0}.__aexit__(None, None, None)", "__aiter__": "{0}.__aiter__()", "__anext__": "{0}.__anext__()",
        "__get__": f"{_OWNER}().field",
    }
)  # fmt: skip
"""Method -> the expression that calls it: ``{0}`` is the instance, ``_0`` the first argument. Arguments that it has no place for
are those at the end.
"""
CLASS_FORMS = MappingProxyType({"__get__": f"{_OWNER}.field"})
"""How a method is called through a class, where there is no object of it."""
OPERATORS = frozenset(FORMS) | {"__call__"}
TAKES_LIKE = frozenset(f"__{side}{name}__" for name in _BINARY for side in ("", "r", "i"))
"""Methods whose argument is most often made as the instance is."""
GIVES_OTHER = frozenset(
    {
        *COPIES,
        "__copy__",
        "__hash__",
        "__iter__",
        "__reversed__",
        "__round__",
        "__length_hint__",
        "__get__",
        "__aiter__",
    }
)
"""Methods of which the expression gives something else than they return."""
_SETTERS = {"operator.setitem": 3, "operator.delitem": 2, "setattr": 3, "delattr": 2}


def answering(method: str) -> str:
    """The source of an operand that does what a binary ``method`` leaves to its other operand; "" for another method.

    Such an operand shows whether the method gives way (``NotImplemented``) or raises first.
    """
    name = method.removeprefix("__").removesuffix("__")
    name = name if name in _BINARY else name.removeprefix("i")
    if name not in _BINARY or not method.startswith("__"):
        return ""
    reflected = f"__{_MIRRORED.get(name, f'r{name}')}__"
    return f"type('Operand', (), {{{reflected!r}: lambda *_: 'answer'}})()"


def statement(expression: str) -> str:
    """An expression that sets or deletes something as the statement that does so; another one as it is."""
    tree = ast.parse(expression, mode="eval").body
    called = ast.unparse(tree.func) if isinstance(tree, ast.Call) else ""
    if not isinstance(tree, ast.Call) or _SETTERS.get(called) != len(tree.args) or tree.keywords:
        return expression
    place = _place(called, tree.args[0], tree.args[1])
    if place is None:
        return expression
    return f"{place} = {ast.unparse(tree.args[2])}" if len(tree.args) == 3 else f"del {place}"


def _place(called: str, owner: ast.expr, key: ast.expr) -> str | None:
    """What is set or deleted, as it stands on the left side; None for an attribute whose name is not written out."""
    if called.startswith("operator."):
        return f"{ast.unparse(owner)}[{ast.unparse(key)}]"
    if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier():
        return f"{ast.unparse(owner)}.{key.value}"
    return None
