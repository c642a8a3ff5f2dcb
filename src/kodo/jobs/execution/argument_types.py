"""What a parameter may be given: its annotated or guessed type, and what else fits what the body does with it.

Knows types and source only, and nothing of how values of a type are made.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace

from kodo.jobs.execution.asked_types import questions, read_attributes
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.dict_shapes import dict_shape
from kodo.jobs.execution.odd_values import HOLE
from kodo.jobs.execution.param_types import ANY, ParamType, from_use, from_value
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.target import TargetModule

_MOSTLY = 6  # of the values of a parameter that is read as a dict of known keys, to one of another type


def argument_type(param: Param, rows: list[dict[str, str]]) -> ParamType:
    """The annotated type, else that of the first example's argument, else the guess."""
    if param.typed and param.type != ANY:
        return param.type
    for row in rows:
        if param.name in row:
            found = from_value(ast.parse(row[param.name], mode="eval").body)
            if found is not None:
                return found
    return param.type


def widened(module: TargetModule, type_: ParamType, param: Param, function: Function) -> ParamType:
    """A guessed type and what else fits: the other members of the enum that a default is of, an iterator for a list,
    an object with the attributes that the body reads, a dict of the keys that it reads, and what it asks for.
    """
    classes = frozenset(module.constructible)
    asked = () if param.typed else questions(param.name, function.node.body, classes)
    if (shape := dict_shape(module, function, param.name)) is not None and _is_open(param):
        others = (*asked, members(type_)[0])
        return shape if param.typed else ParamType("union", (*(shape,) * _MOSTLY, *others))
    if not param.typed and param.default is None and from_use(param.name, function.node.body) is None:
        type_ = ParamType("union", (*members(type_), ANY))
    if param.type == ANY or not param.typed:
        read = read_attributes(param.name, function.node.body)
        if read:
            type_ = ParamType("union", (*members(type_), ParamType("namespace", text=" ".join(read))))
    owner = (param.default or "").partition(".")[0]
    known = module.constructible.get(owner)
    if known is not None and known.kind == "enum" and not param.typed:
        return ParamType("class", text=owner)
    new = [one for one in asked if one not in members(type_)]
    return _with_iterators(ParamType("union", (*members(type_), *new)) if new else type_, param)


def _is_open(param: Param) -> bool:
    """Whether a parameter may be a dict of any keys, or a list of such, as far as its annotation says."""
    return not param.typed or any(
        one == ANY
        or (one.kind in ("dict", "list") and any(part == ANY or _is_open_dict(part) for part in one.args))
        for one in members(param.type)
    )


def _is_open_dict(type_: ParamType) -> bool:
    return type_.kind == "dict" and ANY in type_.args


def members(type_: ParamType) -> tuple[ParamType, ...]:
    """The types that a union is of; of another type that one alone."""
    return type_.args if type_.kind == "union" else (type_,)


def with_odd(type_: ParamType, odd: Iterable[str]) -> ParamType:
    """A type, or one of the odd values that a caller may give as well, alone or in a container."""
    values = tuple(ParamType("literal", text=one) for one in odd_sources(type_, odd))
    return ParamType("union", (*members(type_), ParamType("union", values))) if values else type_


def odd_sources(type_: ParamType, odd: Iterable[str]) -> Iterator[str]:
    """The odd values, each alone and in the containers that a type has, where it is not in one already."""
    are_pairs = any(part.kind == "record" for one in members(type_) for part in one.args)
    items = "[(1, 2), (3, 4)]" if are_pairs else "[1, 2]"
    forms = list(dict.fromkeys(form for member in members(type_) for form in _forms(member)))
    for one in odd:
        yield one.replace(HOLE, items)
        if HOLE not in one:
            yield from (form.replace(HOLE, one) for form in forms)


def _forms(type_: ParamType) -> tuple[str, ...]:
    """Containers of one value each, as a type has them."""
    if type_.kind in ("list", "tuple") and type_.args and type_.args[0].kind == "record":
        return f"[('a', {HOLE})]", f"[({HOLE}, 1), ({HOLE}, 1)]"
    return {"list": (f"[{HOLE}]",), "tuple": (f"({HOLE},)",), "dict": (f"{{'a': {HOLE}}}",)}.get(
        type_.kind, ()
    )


def with_iterator_items(param: Param) -> Param:
    """Any number of values, each of which may be an iterator where it may be a list."""
    return replace(param, type=_with_iterators(param.type, param)) if param.variadic else param


def _with_iterators(type_: ParamType, param: Param) -> ParamType:
    """A type that is guessed to be a list, or any iterable, or one of the iterators that a caller may give as well."""
    lists = [one for one in members(type_) if one.kind == "list"]
    is_open = not param.typed or "Iterable" in param.annotation
    if not is_open or not lists:
        return type_
    return ParamType("union", (*members(type_), ParamType("iterator", lists[0].args)))
