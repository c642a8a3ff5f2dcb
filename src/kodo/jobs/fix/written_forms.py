"""Whether a change decides by how values are written: by the letters of ``str(args)``, ``f"{a}"``, a pickle, a printed line.

A fix writes a value to show it, to look it up, or to read it as another type. One that takes such a text apart, counts it
or compares it with a constant can tell any call from any other one; where the function's own words or its old text do
not speak of digits and the like, nothing shows that this is what was wrong. Texts only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from kodo.jobs.fix.flows import Flows, function_names, parameters, results, touched

_WRITERS = frozenset({"str", "repr", "ascii", "format", "bytes", "bytearray", "bin", "oct", "hex"})
_WRITING_METHODS = frozenset(
    {"format", "format_map", "vformat", "substitute", "safe_substitute", "dumps", "pformat", "safe_repr", "saferepr", "repr",
     "unparse", "urlencode", "quote", "pack", "to_bytes", "tobytes", "hexlify", "b64encode", "__str__", "__repr__",
     "__format__", "__bytes__", "__reduce__", "__reduce_ex__", "mod", "str", "ascii", "bin", "oct", "hex"}
)  # fmt: skip  # a table reads better in rows
"""What makes a text or bytes of any value."""
_HANDING = frozenset({"map", "filter", "reduce", "starmap", "accumulate", "max", "min", "partial", "groupby"})
"""What calls a function that it is given."""
_READERS = frozenset({"int", "float", "Decimal", "Fraction", "complex", "loads", "literal_eval"})
"""What makes a value again of the whole text of one."""
_COUNTING = frozenset(
    {
        "len",
        "sum",
        "min",
        "max",
        "ord",
        "int",
        "float",
        "bool",
        "any",
        "all",
        "hash",
        "enumerate",
        "Counter",
        "from_bytes",
    }
)
_COUNTING_METHODS = frozenset(
    {"count", "find", "index", "rfind", "rindex", "startswith", "endswith", "isdigit", "isalpha", "isalnum", "isupper",
     "islower", "isspace", "isnumeric", "isdecimal", "isidentifier", "istitle", "isprintable", "isascii", "fullmatch",
     "match", "search", "findall", "finditer", "__len__", "__contains__", "__eq__", "__lt__", "__gt__", "__le__", "__ge__"}
)  # fmt: skip  # same
"""What makes a number or a yes of a text."""
_OF_DIGITS = re.compile(
    r"\b(digits?|palindrom\w*|binary|bits? set|hexadecimal|octal|columns?|width|align\w*|padd\w+|truncat\w+|shorten\w*)\b",
    re.IGNORECASE,
)
"""Words for work with the writing of a number."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """What is asked, in which function, and of which functions that write the values; ``single``: each writes one parameter."""

    where: str
    asked: str
    writers: frozenset[str]
    single: bool


def written_forms(before: ast.Module | None, after: ast.Module, test: ast.Module | None) -> tuple[str, ...]:
    """The functions by which the module after writes values to decide by their text, and the one before not.

    Args:
        before, after: the module without and with the patch.
        test: the frozen test; it says which parameters are texts themselves, and may speak of digits.
    """
    base = before or ast.Module([], [])
    where = touched(base, after)
    old = list(_Module(base, base, test).decisions(where))
    known = {(one.where, one.asked): one.writers for one in old}
    of_digits = {one.where for one in old if one.single}
    if _OF_DIGITS.search(f"{_words(before)} {_words(test)}"):
        of_digits |= function_names(base)
    found: set[str] = set()
    for one in _Module(after, base, test).decisions(where):
        is_work = one.single and one.where in of_digits
        if not is_work:
            found |= one.writers - known.get((one.where, one.asked), frozenset())
    return tuple(sorted(found))


def _constants(tree: ast.Module) -> frozenset[tuple[str, str]]:
    """The variables at the top of a module, with their values."""
    return frozenset(
        (target.id, ast.dump(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _words(tree: ast.Module | None) -> str:
    """The names and texts of a module, with spaces in the place of underscores."""
    found: list[str] = []
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case (
                ast.Name(id=word)
                | ast.Attribute(attr=word)
                | ast.arg(arg=word)
                | ast.Constant(value=str(word))
            ):
                found.append(word)
            case ast.FunctionDef(name=word) | ast.ClassDef(name=word):
                found.append(word)
    return " ".join(found).replace("_", " ")


class _Module:
    """The decisions of one module."""

    def __init__(self, tree: ast.Module, before: ast.Module, test: ast.Module | None) -> None:
        self.old = function_names(before)
        self.flows = Flows(tree, self.old)
        self._keys: dict[tuple[int, int], bool] = {}
        self.tables = _constants(before) & _constants(tree)
        self.texts = frozenset(_text_parameters(tree, test))

    def decisions(self, functions: Collection[str]) -> Iterator[_Decision]:
        """The decisions of some functions on how a value is written."""
        for node in self.flows.nodes(functions):
            for part in self._asked(node):
                writers = self._writers(part)
                if writers and not self._is_shown(node, writers):
                    where = getattr(self.flows.scope(node), "name", "")
                    single = all(self._writes_one(one) for one in writers.values())
                    yield _Decision(where, ast.unparse(node), frozenset(name for name, _ in writers), single)

    def _writers(self, part: ast.AST) -> dict[tuple[str, int], ast.AST]:
        """The nodes that write a value, of all that a part of a decision depends on; by the names of what they use."""
        return {
            (name, id(node)): node
            for node in self.flows.reaching(part, self._is_whole)
            if (name := self._writer(node))
        }

    def _asked(self, node: ast.AST) -> list[ast.AST]:
        """The parts of a node that decide, or that a number is made of."""
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
                return [] if _is_presence(test) else [test]
            case ast.comprehension(ifs=ifs):
                return [one for one in ifs if not _is_presence(one)]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return [] if _is_presence(operand) else [operand]
            case ast.BoolOp(values=values):
                return [one for one in values if not _is_presence(one)]
            case ast.Compare():
                return [node]
            case ast.Match(subject=subject):
                return [subject]
            case ast.Subscript(value=value, slice=place) if not self._is_key(place, value):
                return [place]
            case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[key, *_]) if not self._is_key(
                key, value
            ):
                return [key]
            case ast.Call(func=ast.Name(id=name)) if name in _COUNTING and not self._is_whole(node):
                return [node]
            case ast.Call(func=ast.Attribute(attr=name)) if (
                name in _COUNTING_METHODS | _COUNTING and not self._is_whole(node)
            ):
                return [node]
        return []

    def _writer(self, node: ast.AST) -> str:
        """The name of what a node writes a value with; empty for a node that writes none."""
        match node:
            case ast.Call(func=ast.Name() as function, args=[value, *_]) if name := self._function(function):
                known = isinstance(value, ast.Constant) or (
                    name in ("str", "format") and self._is_text(value)
                )
                return "" if known else name
            case ast.Call(
                func=ast.Call(func=ast.Name(id="type")) | ast.Attribute(attr="__class__"), args=[_, *_]
            ):
                return "type"
            case ast.Call(func=ast.Attribute(attr=name)) if name in _WRITING_METHODS:
                return name
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords
            ) if name in _HANDING:
                handed = [*args, *(one.value for one in keywords)]
                return next(
                    filter(None, (self._function(one) for one in handed if isinstance(one, ast.Name))), ""
                )
            case ast.Call(func=ast.Name(id="print"), keywords=keywords) if any(
                one.arg == "file" for one in keywords
            ):
                return "print"
            case ast.JoinedStr(values=values):
                return "f-string" if any(self._is_written(one) for one in values) else ""
            case ast.BinOp(left=left, op=ast.Mod(), right=right) if self._is_pattern(left):
                return "%" if not isinstance(right, ast.Constant) else ""
        return ""

    def _function(self, name: ast.Name) -> str:
        """The writing function that a name stands for."""
        if name.id in _WRITERS:
            return name.id
        stands_for = [
            value for value in self.flows.values(name) if isinstance(value, ast.Name | ast.Attribute)
        ]
        for value in stands_for:
            own = value.id if isinstance(value, ast.Name) else value.attr
            if own in _WRITERS or (isinstance(value, ast.Attribute) and own in _WRITING_METHODS):
                return own
        return ""

    def _is_written(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.FormattedValue)
            and not isinstance(node.value, ast.Constant)
            and not (node.conversion == -1 and self._is_text(node.value))
        )

    def _is_pattern(self, node: ast.expr) -> bool:
        """Whether this is a text that ``%`` puts values into."""
        if isinstance(node, ast.Name):
            return any(_is_text_constant(value) for value in self.flows.values(node))
        return _is_text_constant(node)

    def _is_text(self, node: ast.expr) -> bool:
        """Whether a value is a text by itself: a parameter that is one, a part of it, or what a method of it gives."""
        match node:
            case ast.Constant():
                return isinstance(node.value, str)
            case ast.Subscript(value=value) | ast.Call(func=ast.Attribute(value=value)):
                return self._is_text(value)
            case ast.Name(id=name):
                others = [one for one in self.flows.values(node) if name not in _names(one)]
                is_given = (getattr(self.flows.scope(node), "name", ""), name) in self.texts
                return (is_given or bool(others)) and all(map(self._is_text, others))
        return False

    def _is_whole(self, node: ast.AST) -> bool:
        """Whether a node reads the whole text of one value as a value again, or compares it with another given value."""
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[written]) if (
                name in _READERS
            ):
                return self._writes_one(written)
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass" | "type" | "callable")):
                return True
            case ast.Compare(
                left=left, ops=[ast.In() | ast.NotIn() | ast.Eq() | ast.NotEq()], comparators=[right]
            ):
                return self._is_key(left, right)
        return False

    def _is_key(self, key: ast.expr, table: ast.expr) -> bool:
        """Whether the whole text is looked up in what is given, or was there before."""
        pair = id(key), id(table)
        if pair not in self._keys:
            self._keys[pair] = self._reads_key(key, table)
        return self._keys[pair]

    def _reads_key(self, key: ast.expr, table: ast.expr) -> bool:
        if not (self._writer(key) or isinstance(key, ast.Name)):
            return False
        tables = {name for name, _ in self.tables}
        reached = list(self.flows.reaching(table, lambda one: isinstance(one, ast.Name) and one.id in tables))
        return not any(isinstance(one, ast.Constant | ast.Lambda) or self._writer(one) for one in reached)

    def _writes_one(self, node: ast.AST) -> bool:
        """Whether a node writes one parameter of a function that was there before, or an item of it."""
        match node:
            case ast.Call(func=ast.Name() as function, args=[value, *_]) if self._function(function):
                return self._is_one(value)
            case ast.JoinedStr(values=[ast.FormattedValue(value=value)]):
                return self._is_one(value)
            case ast.BinOp(op=ast.Mod(), right=value):
                return self._is_one(value)
            case ast.Name():
                return any(self._writes_one(value) for value in self.flows.values(node))
        return False

    def _is_one(self, value: ast.expr) -> bool:
        while isinstance(value, ast.Subscript | ast.Attribute):
            value = value.value
        scope = self.flows.scope(value)
        if not isinstance(value, ast.Name) or not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        several = {one.arg for one in (scope.args.vararg, scope.args.kwarg) if one is not None}
        bound = self.flows.values(value)
        packed = any(isinstance(one, ast.Tuple | ast.List | ast.Dict | ast.Set | ast.Call) for one in bound)
        return value.id not in several and not packed and scope.name in self.old

    def _is_shown(self, node: ast.AST, writers: dict[tuple[str, int], ast.AST]) -> bool:
        """Whether the function gives the same text of one parameter back, as one that shortens a long one does."""
        scope = self.flows.scope(node)
        if isinstance(scope, ast.Module | ast.Lambda) or not all(map(self._writes_one, writers.values())):
            return False
        assert isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - the only other scopes
        asked = {id(part) for inner in ast.walk(scope) for part in self._asked(inner)}
        given = {
            id(one)
            for value in results(scope)
            for one in self.flows.reaching(value, lambda inner: id(inner) in asked)
        }
        return all(id(writer) in given for writer in writers.values())


def _is_presence(test: ast.expr) -> bool:
    """Whether only this is asked, that a variable is something; also of a text without the spaces at its ends."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_presence(operand)
        case ast.Call(func=ast.Attribute(value=value, attr="strip"), args=[]):
            return _is_presence(value)
    return isinstance(test, ast.Name)


def _is_text_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _text_parameters(tree: ast.Module, test: ast.Module | None) -> Iterator[tuple[str, str]]:
    """The functions and their parameters that are annotated as texts, or that are texts in all calls of the test."""
    calls = [node for node in (ast.walk(test) if test is not None else ()) if isinstance(node, ast.Call)]
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        places = [arg for arg in parameters(function) if arg.arg not in ("self", "cls")]
        given = [
            one for one in calls if getattr(one.func, "id", getattr(one.func, "attr", "")) == function.name
        ]
        for at, arg in enumerate(places):
            values = [one.args[at] for one in given if at < len(one.args)]
            is_annotated = isinstance(arg.annotation, ast.Name) and arg.annotation.id == "str"
            is_last = arg in (function.args.vararg, function.args.kwarg)
            if not is_last and (is_annotated or (values and all(map(_is_text_constant, values)))):
                yield function.name, arg.arg
