"""The type that the values of a parameter are drawn of, which is more than its annotation: instances of a class that it seems to be
of, types for what takes types, mocks for what is talked to, odd values where nothing is said.

Draws nothing itself (``values``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from kodo.jobs.execution.argument_types import argument_type, members, widened, with_odd
from kodo.jobs.execution.class_hints import classes_of
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.mocks import awaitable, holding, of_class
from kodo.jobs.execution.operators import TAKES_LIKE
from kodo.jobs.execution.param_types import ANY, ParamType
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.reached_code import reached_functions
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.types_as_values import KIND, is_kind, works_on_types
from kodo.jobs.execution.worker.literal_value import is_literal

_MOSTLY_INSTANCES = (
    4  # instances of a class that a parameter seems to be of, to one value of each guessed type
)
_MAX_KINDS = 6  # classes of the module that a parameter for types is given
_MOSTLY_MOCKS = (
    6  # of the values for an annotation with a class of which nothing is known, mocks, to one of each guess
)


class DrawnTypes:
    """Of the functions of one module. The arguments are those of ``CandidateGenerator``; ``instances`` may grow."""

    def __init__(
        self,
        module: TargetModule,
        instances: Mapping[str, tuple[str, ...]],
        attributes: Mapping[str, frozenset[str]],
        odd: tuple[str, ...],
        *,
        deep: bool,
        mocked: bool,
    ) -> None:
        self._module = module
        self._instances = instances
        self._attributes = attributes
        self._odd = odd
        self._deep = deep
        self._mocked = mocked
        self.learned = False
        """Whether it is known which instances can be made: a class that is in none of ``instances`` cannot, then."""

    def of(self, param: Param, function: Function, rows: list[dict[str, str]]) -> ParamType:
        """The type that a parameter's values are drawn of; ``rows``: arguments of documented calls."""
        type_ = argument_type(param, rows)
        type_ = widened(self._module, type_, param, function) if self._deep else type_
        type_ = self.of_class(self._as_kind(type_, param, function), param, function) if self._deep else type_
        type_ = self._with_mocks(type_, param, function) if self._mocked else type_
        if self._deep and not self._mocked and param.asked and not any(class_names(type_)):
            type_ = ParamType("union", (awaitable(param.awaited), *members(type_)))
        return with_odd(type_, self._odd) if takes_odd(type_, param, function) else type_

    def of_class(self, type_: ParamType, param: Param, function: Function) -> ParamType:
        """A type that was guessed, or mostly an instance of a class that the documentation or the attributes read say it is."""
        found = [
            one
            for one in classes_of(param, function, self._attributes)
            if one.text in self._instances or one.text in self._module.constructible or not self.learned
        ]
        return ParamType("union", (*found * _MOSTLY_INSTANCES, *members(type_))) if found else type_

    def _as_kind(self, type_: ParamType, param: Param, function: Function) -> ParamType:
        """A type, and for a parameter that takes types also types, those of the module's own classes among them.

        The first parameter of a function that works on types takes them too, where nothing says what it takes.
        """
        is_first = function.params[:1] == (param,) and param.type == ANY
        takes_types = is_kind(param.name, param.annotation) or (is_first and self._works_on_types(function))
        if not takes_types or (param.default not in (None, "None") and is_literal(param.default or "")):
            return type_
        names = [name for name in self._module.constructible if not name.startswith("_")][:_MAX_KINDS]
        kinds = (KIND, *(ParamType("literal", text=name) for name in names))
        return ParamType("union", (*kinds, *(one for one in members(type_) if one.kind != "kind")))

    def _works_on_types(self, function: Function) -> bool:
        here = [(self._module, function), *reached_functions(self._module, function)]
        return works_on_types("\n".join(ast.unparse(one.node) for _, one in here if one.node.body))

    def _with_mocks(self, type_: ParamType, param: Param, function: Function) -> ParamType:
        """A type, and what takes the place of what cannot be made: a mock for an object that is talked to, or that holds what is read
        of it, or a type.
        """
        kind = type_.text if type_.kind == "class" else ""
        is_foreign = kind in self._module.foreign_classes
        is_held = self._deep and (is_foreign or not param.typed)
        sources = holding(param.name, function.node.body, kind) if is_held else ()
        held = tuple(ParamType("literal", text=one) for one in sources)
        if is_kind(param.name, param.annotation) and not self._deep:
            return ParamType("union", (KIND, *members(type_)))
        if is_foreign:
            return ParamType(
                "union", (type_, ParamType("literal", text=of_class(kind, param.awaited)), *held)
            )
        if not param.talked_to:
            return ParamType("union", (*held, *members(type_))) if held else type_
        made = (awaitable(param.awaited),) * (_MOSTLY_MOCKS if param.annotation else 1)
        return ParamType("union", (*made, *held, *members(type_)))


def takes_odd(type_: ParamType, param: Param, function: Function) -> bool:
    """Whether a parameter leaves open what it is given; any object may be the other operand."""
    return not param.typed or ANY in members(type_) or function.name in TAKES_LIKE


def class_names(type_: ParamType) -> Iterator[str]:
    """The classes that a type names, at any depth."""
    if type_.kind == "class":
        yield type_.text
    for arg in type_.args:
        yield from class_names(arg)
