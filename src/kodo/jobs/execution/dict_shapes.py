"""What keys a parameter has that is read as a dict of known keys, a node of a tree or a record, and what each holds.

``node["children"]`` says that there is such a key, a loop over it that it is a list, and where its items are handed to a
function whose parameter is read so too, that they are nodes. Parameters of one name in one module take one kind of
value. Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.param_types import ANY, ParamType, from_name, from_use, from_value
from kodo.jobs.execution.parameters import FunctionNode
from kodo.jobs.execution.reached_code import words_of_form
from kodo.jobs.execution.target import TargetModule

_DEEPEST, _MAX_HOPS = 2, 3
"""How deep dicts stand in dicts, and through how many functions a value is followed that is handed on."""
_MAX_LISTS = 4
"""How many lists stand in one another: ``for names in names`` says so without an end."""
_MAX_KEYS, _MAX_OTHERS = 12, 6
_MAX_LITERALS = 24
_CLOSED = 4
"""So many texts that stand in the code are taken for all there are."""
_MAX_SAME_NAME = 3
_VALUE = "value"
"""The variable by which what holds a key's value is asked for, as ``from_use`` asks for variables."""
_EMPTY_DICT, _EMPTY_LIST = ParamType("literal", text="{}"), ParamType("literal", text="[]")


@dataclass
class _Reads:
    """What some expressions of a body are seen to be: the keys read of them, their items, and texts they are compared with."""

    keys: dict[str, bool] = field(default_factory=dict)
    """Key -> whether it has to be there."""
    defaults: dict[str, ParamType] = field(default_factory=dict)
    asked: dict[str, bool] = field(default_factory=dict)
    """Keys that are asked for by ``in``, which a text may be asked for as well."""
    loops: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    """The items, by what a loop binds, and by their places, which a text has too."""
    literals: dict[str, None] = field(default_factory=dict)
    handed_on: list[tuple[Function, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Some expressions of one function, and how far they may be followed; equal where these are, as one is often asked again."""

    module: TargetModule
    function: Function
    expressions: frozenset[str]
    depth: int
    hops: int = _MAX_HOPS
    lists: int = _MAX_LISTS

    def __hash__(self) -> int:
        """By what it is compared by."""
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        """Whether the same is asked of the same function."""
        return isinstance(other, _Asked) and self._key == other._key

    @property
    def _key(self) -> tuple[object, ...]:
        return id(self.function.node), self.expressions, self.depth, self.hops, self.lists

    def of(self, expressions: Iterable[str], *, deeper: bool = False) -> _Asked:
        """Others of the same function."""
        return replace(self, expressions=frozenset(expressions), depth=self.depth - deeper)

    def at(self, function: Function, param: str) -> _Asked:
        """A parameter of a function that one of the expressions is handed to."""
        return replace(self, function=function, expressions=frozenset({param}), hops=self.hops - 1)


@lru_cache(maxsize=1024)
def dict_shape(module: TargetModule, function: Function, name: str) -> ParamType | None:
    """The type of a parameter that is read as a dict of known keys, or as a list of such; None for any other.

    Of the same parameter of other functions of the module come further keys, which may be there.
    """
    found = _typed(_Asked(module, function, frozenset({name}), _DEEPEST), name)
    return found if found is not None and _holds_fields(found) else None


def _holds_fields(type_: ParamType) -> bool:
    return type_.kind == "fields" or (type_.kind == "list" and any(map(_holds_fields, type_.args)))


@lru_cache(maxsize=4096)
def _typed(asked: _Asked, name: str = "") -> ParamType | None:
    """The type of what the expressions stand for, ``name`` where they are a parameter."""
    asked = asked.of(_with_aliases(asked.function, asked.expressions))
    reads = _read(asked)
    if reads.keys:
        return _fields(asked, reads, name) if asked.depth >= 0 else _EMPTY_DICT
    if reads.loops or reads.places:
        return _listed(asked, reads)
    if reads.literals:
        literals = [ParamType("literal", text=one) for one in list(reads.literals)[:_MAX_LITERALS]]
        return ParamType("union", (*literals, *([ParamType("str")] if len(literals) < _CLOSED else [])))
    for other, param in reads.handed_on if asked.hops else ():
        if (found := _typed(asked.at(other, param), param)) is not None:
            return found
    return _simple(asked)


def _listed(asked: _Asked, reads: _Reads) -> ParamType:
    """A list of what its items are; a text too, where no loop goes through it."""
    items = replace(asked.of(reads.loops | reads.places), lists=asked.lists - 1)
    item = None if asked.depth < 0 or items.lists < 0 else _typed(items)
    if item is None and not reads.loops and (plain := _simple(asked)) is not None:
        return plain
    found = _EMPTY_LIST if asked.depth < 0 else ParamType("list", (item or ANY,))
    return found if reads.loops or item is not None else ParamType("union", (found, ParamType("str")))


def _fields(asked: _Asked, reads: _Reads, name: str) -> ParamType:
    """A dict of the keys that are read here, where it is handed on, and elsewhere of a parameter of this name."""
    types: dict[str, ParamType] = {}
    for key, is_needed in list((reads.asked | reads.keys).items())[:_MAX_KEYS]:
        type_ = _value_of(asked, key, reads)
        types[key] = type_ if is_needed else ParamType("optional", (type_,))
    more = _of_called(asked, reads) | (_of_others(asked, name) if name else {})
    for key, type_ in more.items():
        is_open = key in types and ANY in (types[key], *types[key].args)
        if key not in types or is_open:
            types[key] = (
                type_.args[0] if is_open and types[key] == ANY and type_.kind == "optional" else type_
            )
    return ParamType("fields", tuple(types.values()), "\n".join(types))


def _of_called(asked: _Asked, reads: _Reads) -> dict[str, ParamType]:
    """The keys that functions read which are given the dict."""
    out: dict[str, ParamType] = {}
    for other, param in reads.handed_on if asked.hops and asked.depth >= 0 else ():
        found = _typed(asked.at(other, param))
        if found is not None and found.kind == "fields":
            for key, type_ in zip(found.text.split("\n"), found.args, strict=True):
                if key not in out or ANY in (out[key], *out[key].args):
                    out[key] = type_
    return out


def _value_of(asked: _Asked, key: str, reads: _Reads) -> ParamType:
    found = _typed(asked.of(_values_of(asked, key), deeper=True))
    return found or reads.defaults.get(key) or from_name(key)


def _of_others(asked: _Asked, name: str) -> dict[str, ParamType]:
    """The keys that other functions read of a parameter of this name, those that most of them read first."""
    found: dict[str, list[tuple[_Asked, _Reads]]] = {}
    for other in asked.module.every_function.values():
        if other.qualname != asked.function.qualname and any(one.name == name for one in other.params):
            there = replace(asked, function=other, expressions=_with_aliases(other, frozenset({name})))
            reads = _read(there)
            for key in reads.keys:
                found.setdefault(key, []).append((there, reads))
    out: dict[str, ParamType] = {}
    for key in sorted(found, key=lambda key: (-len(found[key]), key))[:_MAX_OTHERS]:
        types = (_value_of(there, key, reads) for there, reads in found[key][:_MAX_SAME_NAME])
        out[key] = ParamType("optional", (next((one for one in types if one != ANY), ANY),))
    return out


def _simple(asked: _Asked) -> ParamType | None:
    """What the body does with a value, where it is plain, as ``from_use`` reads it of variables."""
    renamed = _Renamed(asked.expressions)
    tree = ast.Module([ast.parse(_text(one)).body[0] for one in asked.function.node.body], [])
    renamed.visit(tree)
    return from_use(_VALUE, tree.body)


class _Renamed(ast.NodeTransformer):
    """Writes some expressions as one variable."""

    def __init__(self, expressions: frozenset[str]) -> None:
        self._expressions = expressions

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and _text(node) in self._expressions:
            return ast.Name(_VALUE, ast.Load())
        return self.generic_visit(node)


def _with_aliases(function: Function, expressions: frozenset[str]) -> frozenset[str]:
    """The expressions, and the variables that are bound to one of them."""
    found = set(expressions)
    for node in _nodes(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=alias)], value=value) if _inner(value) & found:
                found.add(alias)
    return frozenset(found)


def _inner(value: ast.expr) -> set[str]:
    """What a value may be: itself, what ``cast`` leaves as it is, and each side of ``or``."""
    match value:
        case ast.Call(func=ast.Name(id="cast") | ast.Attribute(attr="cast"), args=[_, inner]):
            return _inner(inner)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return set().union(*map(_inner, parts))
    return {_text(value)}


@lru_cache(maxsize=4096)
def _read(asked: _Asked) -> _Reads:
    out = _Reads()
    for node in _nodes(asked.function):
        key = _key(node, asked.expressions)
        if key is None:
            _read_node(asked, node, out)
            continue
        name, is_needed = key
        kept = out.asked if isinstance(node, ast.Compare) else out.keys
        kept[name] = kept.get(name, False) or is_needed
        if isinstance(node, ast.Call) and len(node.args) > 1 and (type_ := from_value(node.args[1])):
            out.defaults[name] = type_
    return out


def _read_node(asked: _Asked, node: ast.AST, out: _Reads) -> None:
    expressions = asked.expressions
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(value=int())) if _text(value) in expressions:
            out.places.add(_text(node))
        case ast.Subscript(value=table, slice=value) if _text(value) in expressions:
            out.literals |= dict.fromkeys(_texts_of(asked.module, table))
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value) if (
            _iterated(value) in expressions
        ):
            item = target.elts[-1] if isinstance(target, ast.Tuple) and target.elts else target
            out.loops.add(_text(item))
        case ast.Compare(left=left, ops=[op], comparators=[other]) if _text(left) in expressions:
            is_part = isinstance(op, ast.In | ast.NotIn) and isinstance(other, ast.Constant)
            out.literals |= dict.fromkeys(() if is_part else _texts_of(asked.module, other))
        case ast.BinOp() | ast.JoinedStr() if any(_text(one) in expressions for one in _expressions(node)):
            forms = (word for part in ast.walk(node) for word in words_of_form(asked.module, part))
            out.literals |= {repr(word): None for word in forms}
        case ast.Call(args=args):
            for called in _called(asked, node):
                params = [one.name for one in called.params if not one.variadic]
                given = zip(params, args, strict=False)
                out.handed_on += [(called, param) for param, arg in given if _text(arg) in expressions]


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    return (one for one in ast.walk(node) if isinstance(one, ast.expr))


def _texts_of(module: TargetModule, node: ast.expr) -> Iterator[str]:
    """The texts in a literal, or in one that a name of the module or of one of its classes is bound to, as source."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    found = module.bound.get(name, ()) if name else (node,)
    for value in found:
        texts = value.keys if isinstance(value, ast.Dict) else ast.walk(value)
        for one in texts:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield repr(one.value)


def _iterated(value: ast.expr) -> str:
    """What a loop goes through, also under ``enumerate``, ``reversed`` and the like."""
    match value:
        case ast.Call(func=ast.Name(id="enumerate" | "reversed" | "list" | "sorted"), args=[inner, *_]):
            return _text(inner)
    return _text(value)


def _called(asked: _Asked, node: ast.Call) -> Iterable[Function]:
    """The function that a call calls, or of methods of a class that is not known those of the name, if they are few."""
    known = asked.module.every_function
    match node.func:
        case ast.Name(id=name):
            return (known[name],) if name in known else ()
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            own = known.get(f"{asked.function.owner}.{name}")
            same = [own] if own else [one for one in known.values() if one.owner and one.name == name]
            return same if len(same) <= _MAX_SAME_NAME else ()
    return ()


def _key(node: ast.AST, expressions: frozenset[str]) -> tuple[str, bool] | None:
    """The key that a node reads of one of the expressions, and whether it has to be there."""
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key)), ctx=ast.Load()):
            return (key, True) if _text(value) in expressions else None
        case ast.Call(
            func=ast.Attribute(value=value, attr="get" | "pop"), args=[ast.Constant(value=str(key)), *_]
        ):
            return (key, False) if _text(value) in expressions else None
        case ast.Compare(
            left=ast.Constant(value=str(key)), ops=[ast.In() | ast.NotIn()], comparators=[value]
        ):
            return (key, False) if _text(value) in expressions else None
    return None


def _values_of(asked: _Asked, key: str) -> Iterator[str]:
    """The expressions that read one key."""
    for node in _nodes(asked.function):
        found = _key(node, asked.expressions)
        if found is not None and found[0] == key and not isinstance(node, ast.Compare):
            yield _text(node)


def _nodes(function: Function) -> tuple[ast.AST, ...]:
    return _inside(function.node)


@lru_cache(maxsize=1024)
def _inside(node: FunctionNode) -> tuple[ast.AST, ...]:
    """The nodes of a function's body."""
    return tuple(inner for statement in node.body for inner in ast.walk(statement))


@lru_cache(maxsize=1 << 15)
def _text(node: ast.AST) -> str:
    """An expression as a text that is equal for equal ones, whether they are read or bound."""
    return ast.unparse(node)
