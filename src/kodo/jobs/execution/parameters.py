"""Read the parameters of a function from its source: types by annotation, default, use and name; no code is run."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kodo.jobs.execution.asked_types import questions
from kodo.jobs.execution.awaited_calls import awaited_calls
from kodo.jobs.execution.keyword_options import options_read, variables_of_option
from kodo.jobs.execution.mocks import calls_methods, is_talked_to
from kodo.jobs.execution.param_types import ANY, ParamType, from_name, from_use, from_value
from kodo.jobs.execution.scope import Scope

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_TAKE_ITERABLES = frozenset(
    ["chain", "zip", "zip_longest", "product", "map", "starmap", "merge", "union", "intersection", "difference", "update",
     "intersection_update", "difference_update"]
)  # fmt: skip
"""Functions and methods that take any number of iterables, or any number after a function."""
_READ_ITERABLES = frozenset(
    ["tuple", "list", "set", "frozenset", "iter", "len", "sorted", "sum", "reversed", "max", "min", "any", "all"]
)  # fmt: skip
"""Functions that read an iterable: what each of the values is that one of them is mapped over."""

# A guess may be wrong, so a parameter that nothing is known of gets values of these as well.
_FALLBACK_TYPES = (ParamType("str"), ParamType("int"), ParamType("list", (ParamType("int"),)))


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. ``typed`` says whether ``type`` comes from an annotation, and so may be relied on; ``annotation`` is its text.

    ``talked_to``: nothing is known of its type, but that it is an object whose methods are called, or by its annotation; ``asked``: the
    first of these alone, seen in the code. ``awaited``: its calls that the
    code awaits.
    """

    name: str
    type: ParamType
    typed: bool
    default: str | None = None
    keyword_only: bool = False
    variadic: bool = False
    positional_only: bool = False
    annotation: str = ""
    talked_to: bool = False
    awaited: tuple[str, ...] = ()
    asked: bool = False


def read_params(
    node: FunctionNode, scope: Scope, *, skip_first: bool, owner: Sequence[ast.stmt] = ()
) -> tuple[Param, ...]:
    """The parameters of a function; ``owner`` are the statements of the class that it is the constructor of."""
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(
        arguments.defaults
    )
    rows = list(zip(plain, defaults, strict=True))[1 if skip_first else 0 :]
    out = [
        _read_param(arg, default, scope, node.body, keyword_only=False, owner=owner) for arg, default in rows
    ]
    positional = {arg.arg for arg in arguments.posonlyargs}
    out = [replace(one, positional_only=one.name in positional) for one in out]
    if arguments.vararg:
        one = _read_param(arguments.vararg, None, scope, node.body, keyword_only=False)
        type_ = one.type if one.typed else _item_of(one.name, node.body)
        out.append(Param(one.name, type_, one.typed, variadic=True, annotation=one.annotation))
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    out += [
        _read_param(arg, default, scope, node.body, keyword_only=True, owner=owner)
        for arg, default in keyword_only
    ]
    if arguments.kwarg:
        names = {one.name for one in out} | {arg.arg for arg in plain}
        read = options_read(node, arguments.kwarg.arg, scope.texts)
        for name, value in read.items():
            held = variables_of_option(node, arguments.kwarg.arg, name)
            used = [use for one in held if (use := from_use(one, node.body)) is not None]
            out += [_read_option(name, value, used)] if name not in names else []
    return tuple(out)


def _asked_items(name: str, body: list[ast.stmt]) -> ParamType | None:
    """What loops over the values ask each of them for, as ``read``; None where they ask nothing."""
    nodes = [inner for statement in body for inner in ast.walk(statement)]
    loops = [node for node in nodes if isinstance(node, ast.For | ast.comprehension)]
    for node in loops:
        match node:
            case (
                ast.For(target=ast.Name(id=item), iter=ast.Name(id=found))
                | ast.comprehension(target=ast.Name(id=item), iter=ast.Name(id=found))
            ) if found == name:
                asked = [one for one in questions(item, body, frozenset()) if one.kind != "none"]
                if asked:
                    return ParamType("union", tuple(asked))
    return None


def _item_of(name: str, body: list[ast.stmt]) -> ParamType:
    """What one of the values of ``*args`` is, by what the body does with all of them; a number where it says nothing.

    Where the first one is read by itself, it may also be a list that stands for all of them; where all are handed on to
    what takes iterables, each is a list.
    """
    if (asked := _asked_items(name, body)) is not None:
        return asked
    type_ = from_use(name, body)
    item = type_.args[0] if type_ is not None and type_.kind == "list" and type_.args else ParamType("int")
    for node in (inner for statement in body for inner in ast.walk(statement)):
        match node:
            case ast.Subscript(value=ast.Name(id=found), slice=ast.Constant(value=0)) if found == name:
                return ParamType("union", (item, ParamType("list", (item,))))
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[*_, ast.Starred(value=ast.Name(id=found))],
            ) if found == name and called in _TAKE_ITERABLES:
                return ParamType("list", (item,))
            case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=called), given]) if (
                called in _READ_ITERABLES and _names(given, name)
            ):
                return ParamType("list", (item,))
    return item


def _names(node: ast.AST, name: str) -> bool:
    return any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node))


def _read_option(name: str, default: ast.expr | None, used: Sequence[ParamType]) -> Param:
    """An option that a body takes out of its ``**options``, as a parameter by keyword; ``used``: what it is by what is done with it."""
    is_none = isinstance(default, ast.Constant) and default.value is None
    known = from_value(default) if default is not None and not (is_none and used) else None
    type_ = known or ParamType("union", tuple(used) or (from_name(name), *_FALLBACK_TYPES))
    return Param(
        name, type_, typed=False, default=ast.unparse(default or ast.Constant(None)), keyword_only=True
    )


def _read_param(
    arg: ast.arg,
    default: ast.expr | None,
    scope: Scope,
    body: list[ast.stmt],
    *,
    keyword_only: bool,
    owner: Sequence[ast.stmt] = (),
) -> Param:
    type_, typed = scope.type_of(arg.annotation)
    talked_to = not typed and type_ is not None and type_.only_none
    asked = False
    if type_ is None and default is not None:
        type_ = from_value(default)
    if type_ == ANY:  # the annotation leaves it open, the name or the body may not
        guess = from_use(arg.arg, body) or from_name(arg.arg)
        if guess != ANY:
            type_ = ParamType("union", (guess, ANY))
    if type_ is None:
        guess = from_use(arg.arg, body) or from_name(arg.arg)
        sure = guess.kind == "callable"  # what is called can be nothing else
        asked = guess == ANY and calls_methods(arg.arg, body, owner)
        talked_to = guess == ANY and (
            arg.annotation is not None or asked or is_talked_to(arg.arg, body, owner)
        )
        others = () if sure else tuple(other for other in _FALLBACK_TYPES if other != guess)
        type_ = ParamType("union", (guess, *others))
    return Param(
        arg.arg,
        type_,
        typed,
        ast.unparse(default) if default else None,
        keyword_only,
        annotation=ast.unparse(arg.annotation) if arg.annotation else "",
        talked_to=talked_to,
        awaited=awaited_calls(arg.arg, body, owner),
        asked=asked,
    )
