"""Calls that ask an instance something after a call: what a method did may show only through the other methods.

The call becomes a statement, and what is asked then is the call under test. Methods that are asked so are known as
observers (Xie, "Augmenting Automatically Generated Unit-Test Suites with Regression Oracle Checking", ECOOP 2006).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import msgspec

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.follow_ups import MADE
from kodo.jobs.execution.model import Call, Observed
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.target import TargetModule

_PROTOCOLS: Mapping[str, str] = {
    "__len__": "len({})", "__iter__": "list({})", "__str__": "str({})", "__repr__": "repr({})", "__bool__": "bool({})",
    "__call__": "{}()", "__next__": "next({})",
}  # fmt: skip
_OF_AN_ARGUMENT: Mapping[str, str] = {
    "__contains__": "{1} in {0}",
    "__getitem__": "{0}[{1}]",
    "__call__": "{0}({1})",
}
_MAX_ARGUMENTS = 2


def queried(call: Call, seen: Observed, module: TargetModule) -> Iterator[Call]:
    """For a call of a method or of a constructor that returned, each query of the instance after it, the plainest first.

    The numbers of the calls are 0. What the call itself runs is not seen by a trace of the query.
    """
    owner = call.function.rpartition(".")[0]
    if seen.kind != "value" or owner not in module.classes:
        return
    is_made = call.function.endswith(".__init__")
    receiver = MADE if is_made else call.receiver
    if not receiver or seen.wrap.partition(" ")[0] in ("list", "first", "each", "async"):
        return  # a generator does nothing before it is read
    if not isinstance(ast.parse(call.expression, mode="eval").body, ast.Call):
        return  # a comparison, or an attribute, that stands alone is no statement that somebody would keep
    statement = f"{MADE} = {call.expression}" if is_made else call.expression
    for expression in dict.fromkeys(_queries(call, receiver, _methods(module, owner))):
        if expression != call.expression:
            yield msgspec.structs.replace(
                call, id=0, expression=expression, setup=(*call.setup, statement), receiver="",
                origin="follow-up", expect=None,
            )  # fmt: skip


def _methods(module: TargetModule, owner: str) -> dict[str, Function]:
    """The methods and properties of a class that give something back, those of its bases in the module included."""
    out: dict[str, Function] = {}
    left, known = [owner], set[str]()
    while left:
        name = left.pop(0)
        if name in known or name not in module.classes:
            continue
        known.add(name)
        left += module.classes[name].bases
        for one in module.every_function.values():
            if one.owner == name and one.kind in ("method", "property"):
                out.setdefault(one.name, one)
    return {name: one for name, one in out.items() if _gives_back(one)}


def _gives_back(function: Function) -> bool:
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        or (isinstance(node, ast.Return) and node.value is not None)
        for node in ast.walk(function.node)
    )


def _queries(call: Call, receiver: str, methods: Mapping[str, Function]) -> Iterator[str]:
    plain = {name: one for name, one in methods.items() if len(_needed(one)) == 0}
    yield from (f"{receiver}.{name}" for name, one in _public(plain) if one.kind == "property")
    yield from (form.format(receiver) for name, form in _PROTOCOLS.items() if name in plain)
    yield from (f"{receiver}.{name}()" for name, one in _public(plain) if one.kind == "method")
    of_one = {name: one for name, one in methods.items() if len(_needed(one)) == 1}
    for at in range(min(_MAX_ARGUMENTS, len(call.args))):
        yield from (
            form.format(receiver, f"_{at}") for name, form in _OF_AN_ARGUMENT.items() if name in of_one
        )
        yield from (f"{receiver}.{name}(_{at})" for name, _ in _public(of_one))


def _public(methods: Mapping[str, Function]) -> list[tuple[str, Function]]:
    return [(name, one) for name, one in methods.items() if not name.startswith("_")]


def _needed(function: Function) -> list[Param]:
    """The parameters that have to be given."""
    return [one for one in function.params if one.default is None and not one.variadic]
