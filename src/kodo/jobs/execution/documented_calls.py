"""The calls of a function that documentation shows, the literal arguments in them, and the results it states for some arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Arg, Call, Expectation
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.values import Values

_ROUND_TRIPS = 30
"""Boundaries, and as many random values, for which a function is asked to undo another one."""


@dataclass(frozen=True, slots=True)
class DocumentedCalls:
    """What the documentation of a module shows and states of its functions."""

    module: TargetModule

    def examples(self, function: Function) -> list[doc_contracts.Example]:
        """Examples of this function: in its own docstring, its class's, the module's and those of the class's other methods."""
        module = self.module
        docs = [(function.doc, True)]
        if function.owner:
            docs.append((module.classes[function.owner].doc, False))
        docs.append((ast.get_docstring(module.tree) or "", False))
        docs += [
            (one.doc, False)
            for one in module.functions
            if one.name != function.name and one.owner == function.owner and function.owner
        ]
        out: list[doc_contracts.Example] = []
        for doc, own in docs:
            found = doc_contracts.examples(doc, frozenset({function.name}))
            out += [one for one in found if own or self._is_about(one.expression, function)]
        return list(dict.fromkeys(out))

    def _is_about(self, expression: str, function: Function) -> bool:
        """Whether an example elsewhere is one of this function: it makes the outermost call, or stands inside operators."""
        tree = ast.parse(expression, mode="eval").body
        last = (
            _called(tree)
            if isinstance(tree, ast.Call)
            else tree.attr
            if isinstance(tree, ast.Attribute)
            else ""
        )
        if last in {one.name for one in self.module.functions}:
            return last == function.name
        return any(isinstance(node, ast.Call) and _called(node) == function.name for node in ast.walk(tree))

    def conditions(self, function: Function) -> Iterator[tuple[dict[str, str], Expectation]]:
        """Arguments for which a result is stated, as parameter -> source, with what is stated."""
        for claim in doc_contracts.read_contracts(function, frozenset(self._siblings)):
            if claim.given:
                for at in range(max(len(sources) for sources in claim.given.values())):
                    yield (
                        {name: sources[min(at, len(sources) - 1)] for name, sources in claim.given.items()},
                        claim.expect,
                    )

    def round_trips(self, function: Function, values: Values) -> Iterator[Call]:
        """Calls of two functions of which one is said to undo the other, over the values of the inner one."""
        siblings = self._siblings
        for claim in [] if function.owner else doc_contracts.read_contracts(function, frozenset(siblings)):
            way, _, name = claim.expect.text.rpartition(" ")
            if claim.given or way not in ("undoes", "undone by") or len(siblings[name].params) != 1:
                continue
            both = (function, siblings[name]) if way == "undoes" else (siblings[name], function)
            yield from _round_trip(function.qualname, *both, claim.expect, values)

    @property
    def _siblings(self) -> dict[str, Function]:
        """The functions of the module that are no methods, by name."""
        return {one.name: one for one in self.module.functions if not one.owner}


def literal_rows(expressions: Iterable[str], function: Function) -> list[dict[str, str]]:
    """Of each expression that calls the function with literals, parameter -> source of its argument."""
    return [row for row in (_literal_row(one, function) for one in expressions) if row]


def _literal_row(expression: str, function: Function) -> dict[str, str]:
    """Parameter name -> source of a literal argument, where the expression calls the function; else empty."""
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        return {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == function.name:
            names = [param.name for param in function.params if not param.variadic and not param.keyword_only]
            given = dict(zip(names, node.args, strict=False)) | {
                word.arg: word.value for word in node.keywords if word.arg
            }
            if len(node.args) > len(names) or any(isinstance(item, ast.Starred) for item in node.args):
                return {}
            if any(
                isinstance(inner, ast.Name) and inner.id not in ("True", "False")
                for value in given.values()
                for inner in ast.walk(value)
            ):
                return {}
            return {name: ast.unparse(value) for name, value in given.items()}
    return {}


def _round_trip(
    name: str, outer: Function, inner: Function, stated: Expectation, values: Values
) -> Iterator[Call]:
    expect = Expectation("property", "result == _0", stated.basis, stated.quote)
    param = inner.params[0]
    sources = [
        *values.edges(param.type)[:_ROUND_TRIPS],
        *(values.random(param.type) for _ in range(_ROUND_TRIPS)),
    ]
    for source in dict.fromkeys(sources):
        arg = Arg(param.name, source)
        yield Call(0, name, f"{outer.name}({inner.name}(_0))", (arg,), (), "", "claim", expect)


def _called(node: ast.Call) -> str:
    """The last name of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
