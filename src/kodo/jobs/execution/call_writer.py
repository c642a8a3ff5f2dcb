"""Writes one call of a function with given arguments: its setup, an instance where it is a method, and the expression.

Which arguments, and how many calls, is not known here (``candidates``).
"""

from __future__ import annotations

import builtins
import keyword
import random
import re
from collections.abc import Iterator

from kodo.jobs.execution.argument_types import with_iterator_items
from kodo.jobs.execution.call_arguments import (
    asynchronous,
    operand,
    pass_arguments,
    recorded,
    with_known_keys,
)
from kodo.jobs.execution.definitions import Class, Function
from kodo.jobs.execution.model import Arg, Call, Expectation, Origin
from kodo.jobs.execution.nested_paths import with_path
from kodo.jobs.execution.operators import CLASS_FORMS, COPIES, FORMS, TAKES_LIKE
from kodo.jobs.execution.receivers import Receivers
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.values import Values

_OPERANDS = 0.7  # of the random comparisons and operations, those with another instance made alike
_BY_CLASS = 0.4  # of the random calls of a descriptor, those through the class that holds it
_RECORDED = 0.3  # of the calls, those where functions that are given keep what they are called with


class CallWriter:
    """Of the functions of one module. ``deep`` as in ``CandidateGenerator``."""

    def __init__(self, module: TargetModule, receivers: Receivers, *, deep: bool) -> None:
        self._module = module
        self._receivers = receivers
        self._deep = deep

    def write(
        self,
        function: Function,
        owner: Class | None,
        values: Values,
        given: dict[str, str],
        origin: Origin,
        expect: Expectation | None = None,
    ) -> Call:
        """One call of ``function`` with these arguments, on a fresh instance where it is a method."""
        outside, given = self._receivers.hold_still(function, given, values)
        params = [with_iterator_items(one) if self._deep else one for one in function.params]
        args, passed = pass_arguments(params, given, values)
        if self._deep and expect is None and values.rng.random() < _RECORDED:
            args, passed = recorded(function.params, args, passed)
        args, passed, generator = asynchronous(args, passed)
        outside = (*outside, *generator, *self._bring_into_state(function, args, passed, values))
        inner = ", ".join(passed)
        varies = self._deep and origin == "random"
        if owner is None or function.kind in ("static", "class") or function.name == "__init__":
            callee = owner.name if owner is not None and function.name == "__init__" else function.qualname
            args = with_path(args, (), values.rng) if varies else args
            return Call(0, function.qualname, f"{callee}({inner})", tuple(args), outside, "", origin, expect)
        receiver = _variable(owner.name)
        setup = (*outside, *self._receivers.prepare(owner, receiver, function, values, origin))
        args = self._of_instance_made(function, receiver, setup, args, values) if varies else args
        expression = self._of_instance(function, receiver, inner)
        if varies:
            expression = self._looked_at(function, owner, receiver, expression, values.rng)
        if function.name in FORMS:
            args = [one for at, one in enumerate(args) if re.search(rf"\b_{at}\b", expression)]
        return Call(0, function.qualname, expression, tuple(args), setup, receiver, origin, expect)

    def _bring_into_state(
        self, function: Function, args: list[Arg], passed: list[str], values: Values
    ) -> Iterator[str]:
        """Statements that set on instances which are given what tests set; these are given by a name then, in ``passed``."""
        for at, one in enumerate(args):
            made, dot, _ = one.source.partition("(")
            if not dot or made.rpartition(".")[2] not in self._module.constructible:
                continue
            name = f"{one.name}_" if one.name in self._module.readable else one.name
            if lines := list(self._receivers.in_state(name, one.name, function, values)):
                passed[at] = re.sub(rf"\b_{at}\b", name, passed[at])
                yield f"{name} = _{at}"
                yield from lines

    def _of_instance_made(
        self, function: Function, receiver: str, setup: tuple[str, ...], args: list[Arg], values: Values
    ) -> list[Arg]:
        """The arguments, some with what an instance was made of: its keys, a path through it, and for an operand another instance."""
        given = [Arg(one.name, with_known_keys(one.source, setup, values.rng)) for one in args]
        given = with_path(given, setup, values.rng)
        if function.name in TAKES_LIKE and given and values.rng.random() < _OPERANDS:
            given[0] = Arg(given[0].name, operand(setup, receiver, given[0].source, values))
        return given

    def _looked_at(
        self, function: Function, owner: Class, receiver: str, expression: str, rng: random.Random
    ) -> str:
        """An expression as it is, or what shows as well what a method of the data model did: a copy is asked for what its class offers,
        since its text may be that of a whole one, and a descriptor is read through the class.
        """
        if function.name in COPIES:
            kin = (owner.name, *owner.bases)
            read = [one.name for one in self._module.functions if one.owner in kin and one.kind == "property"]
            return expression + rng.choice(("", *(f".{name}" for name in read)))
        form = CLASS_FORMS.get(function.name)
        return form.format(receiver) if form is not None and rng.random() < _BY_CLASS else expression

    def _of_instance(self, function: Function, receiver: str, inner: str) -> str:
        """The expression that calls a method of ``receiver`` with ``inner``, reads a property, or sets it."""
        if function is self._module.setters.get(function.qualname):
            return f"setattr({receiver}, {function.name!r}, _0)"
        if function.kind == "property":
            return f"{receiver}.{function.name}"
        if function.name == "__call__":
            return f"{receiver}({inner})"
        form = FORMS.get(function.name)
        return form.format(receiver) if form else f"{receiver}.{function.name}({inner})"


def _variable(name: str) -> str:
    """CamelCase to snake_case, acronyms as one word, and never a name of the library, a keyword or a builtin."""
    out = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    is_taken = out == name or keyword.iskeyword(out) or out in vars(builtins)
    return f"{out}_" if is_taken else out
