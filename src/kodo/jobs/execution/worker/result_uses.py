"""What can be done with a result that no source text equals: call it, or call what it holds.

A use is written as text over the result: ``(name, *more)`` for a call with these parameters, ``.name(param)`` for a method or
a function that it holds. So a decorator's function, a factory's closure and an object of a private class can be tested.
"""

import contextlib
import functools
import inspect
import types
from collections.abc import Iterator, Mapping

_MAX_USES = 8
_MAX_PARAMETERS = 8
_BUILT_IN = frozenset({"builtins", "functools", "operator", "itertools", "re", "typing"})
_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)


def uses(value: object, defined: Mapping[str, object]) -> tuple[str, ...]:
    """The uses of a result, a call of itself first; empty for classes and modules.

    Of an instance of one of the module's classes, whose methods are tested by themselves, what it inherits from others.
    """
    if isinstance(value, type | types.ModuleType):
        return ()
    found: list[str] = []
    with contextlib.suppress(
        Exception
    ):  # values of foreign classes may raise anything while they are looked at
        found = list(_uses(value, defined))
    return tuple(found[:_MAX_USES])


def taken_by(value: object) -> str:
    """The parameters of a function that is a value, as ``(name, *more)``, without optional ones that it keeps to itself; "" for what is
    no function, or does not say what it takes.
    """
    if not isinstance(value, _FUNCTIONS):
        return ""
    try:
        return _parameters(value, hidden=False)
    except (TypeError, ValueError):
        return ""


def _uses(value: object, defined: Mapping[str, object]) -> Iterator[str]:
    kind = type(value)
    is_tested = defined.get(kind.__name__) is kind and not kind.__name__.startswith("_")
    is_foreign = not is_tested and callable(value) and kind.__module__ not in _BUILT_IN
    if isinstance(value, _FUNCTIONS) or is_foreign:
        yield _parameters(value)
    for name in _held(value, kind, is_tested=is_tested):
        one = getattr(value, name)
        if callable(one) and not isinstance(one, type):
            with contextlib.suppress(TypeError, ValueError):  # a function in C may not say what it takes
                yield f".{name}{_parameters(one)}"


def _held(value: object, kind: type, *, is_tested: bool) -> Iterator[str]:
    """The public names of what a value holds: of its class, and of a function what was kept on it."""
    names: list[str] = []
    if kind.__module__ not in _BUILT_IN:
        tested = [one for one in kind.__mro__ if is_tested and one.__module__ == kind.__module__]
        names = [name for name in dir(kind) if not any(name in vars(one) for one in tested)]
        names += [name for name in getattr(value, "__dict__", {}) if name not in names]
    elif isinstance(value, types.FunctionType):
        names = list(vars(value))
    yield from (name for name in names if name.isidentifier() and not name.startswith("_"))


def _parameters(function: object, *, hidden: bool = True) -> str:
    """The parameters that can be given by position, as a signature has them; ``hidden``: also optional ones whose names begin with a
    line, which often only keep a value.

    Raises:
        TypeError, ValueError: it does not say what it takes.
    """
    params = list(inspect.signature(function).parameters.values())  # type: ignore[arg-type] # it is callable
    shown = [
        f"*{one.name}" if one.kind is inspect.Parameter.VAR_POSITIONAL else one.name
        for one in params
        if one.kind is not inspect.Parameter.KEYWORD_ONLY
        and one.kind is not inspect.Parameter.VAR_KEYWORD
        and (hidden or one.default is one.empty or not one.name.startswith("_"))
    ]
    return f"({', '.join(shown[:_MAX_PARAMETERS])})"
