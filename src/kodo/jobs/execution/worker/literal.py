"""Source text that evaluates to a value equal to a given one, where there is any.

Used to write expected values. What is made from an address, a time or an open file has no such source.
"""

import ast
import builtins
import collections
import datetime
import decimal
import enum
import fractions
import keyword
import pathlib
import types
import uuid
from collections.abc import Mapping

from kodo.jobs.execution.worker.data_fields import data_fields

_DEPTH = 12
_LENGTH = 2000


_SHOWN = frozenset(
    {
        bool,
        int,
        str,
        bytes,
        complex,
        range,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
    }
)
"""Types whose ``repr`` is their source."""
_SIZED = (str, bytes, list, tuple, set, frozenset, dict, collections.deque)


class NoSource(Exception):
    """The value has no source text that a test could hold."""


def source(value: object, defined: Mapping[str, object], depth: int = 0) -> str:
    """The source of a value; names in ``defined`` (name -> object of the module under test) may be used.

    Raises:
        NoSource: the value has no literal, or it is longer than 2,000 characters.
    """
    text = _source(value, defined, depth)
    if len(text) > _LENGTH:
        raise NoSource("the value is longer than 2,000 characters")
    return text


def _source(value: object, defined: Mapping[str, object], depth: int) -> str:
    _check_size(value, depth)
    kind = type(value)
    if value is None or kind in _SHOWN:
        if has_unwritten_zone(value):
            raise NoSource("the time's zone cannot be written down")
        return repr(value)
    if isinstance(value, enum.Enum) and kind.__name__ in defined:
        return f"{kind.__name__}.{value.name}"
    if kind is float:
        return (
            repr(value)
            if value == value and value not in (float("inf"), float("-inf"))
            else f"float('{value}')"
        )
    if isinstance(value, list | tuple | set | frozenset | dict | collections.deque):
        return _container(value, defined, depth)
    if isinstance(value, decimal.Decimal):
        return f"decimal.{value!r}"
    if isinstance(value, fractions.Fraction):
        return f"fractions.{value!r}"
    if isinstance(value, uuid.UUID):
        return f"uuid.{value!r}"
    if isinstance(value, pathlib.PurePath):
        return f"pathlib.Path({str(value)!r})"
    if kind.__module__ == "typing" or kind in (types.GenericAlias, types.UnionType):
        return _annotation(value, defined)
    if isinstance(value, type):
        return _type_name(value, defined)
    return _instance(value, defined, depth)


def has_unwritten_zone(value: object) -> bool:
    """Whether a value is a time in a zone of another class than ``datetime.timezone``: its ``repr`` need be no source."""
    zone = getattr(value, "tzinfo", None)
    return zone is not None and type(zone) is not datetime.timezone


def _check_size(value: object, depth: int) -> None:
    """Leave what is too deep or too large before it is written down, as some values hold millions."""
    if depth > _DEPTH:
        raise NoSource("the value is nested too deep")
    if isinstance(value, _SIZED) and len(value) > _LENGTH:
        raise NoSource("the value is longer than 2,000 characters")


def _container(value: object, defined: Mapping[str, object], depth: int) -> str:
    kind = type(value)
    if isinstance(value, dict):
        inner = ", ".join(
            f"{_source(key, defined, depth + 1)}: {_source(item, defined, depth + 1)}"
            for key, item in value.items()
        )
        return _wrapped(kind, dict, "{" + inner + "}", defined)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        if kind.__name__ not in defined:
            raise NoSource(f"{kind.__name__} is not defined in the module")
        return f"{kind.__name__}({', '.join(_source(item, defined, depth + 1) for item in value)})"
    assert isinstance(value, list | tuple | set | frozenset | collections.deque)  # noqa: S101 - the caller asked
    items = [_source(item, defined, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        items = sorted(items)
    inner = ", ".join(items)
    if kind is list:
        return f"[{inner}]"
    if kind is tuple:
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    if kind is set:
        return "{" + inner + "}" if items else "set()"
    if kind is frozenset:
        return f"frozenset([{inner}])"
    if kind is collections.deque:
        return f"collections.deque([{inner}])"
    raise NoSource(f"a {kind.__name__} cannot be written down")


def _wrapped(kind: type, base: type, text: str, defined: Mapping[str, object]) -> str:
    """A dict, or one of the standard library's kinds of it; they compare equal to a plain dict."""
    if kind is base or kind in (collections.defaultdict, collections.Counter, collections.OrderedDict):
        return text
    raise NoSource(f"a {kind.__name__} cannot be written down")


def _type_name(value: type, defined: Mapping[str, object]) -> str:
    if value is types.NoneType:
        return "type(None)"
    if value.__module__ == "builtins":
        return value.__name__
    if defined.get(value.__name__) is value:
        return value.__name__
    raise NoSource("a class of another module")


def _annotation(value: object, defined: Mapping[str, object]) -> str:
    """A form of ``typing``, or a generic type, of types that can be named.

    Raises:
        NoSource: it names something else, as a type variable does.
    """
    text = repr(value).replace("NoneType", "type(None)")
    try:
        names = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    except SyntaxError:
        names = {""}
    if not all(name == "typing" or name in defined or hasattr(builtins, name) for name in names):
        raise NoSource("a type of another module")
    return text


def _instance(value: object, defined: Mapping[str, object], depth: int) -> str:
    """An instance of a class of fields whose equality is by value."""
    kind = type(value)
    fields = data_fields(value) if kind.__name__ in defined and kind.__eq__ is not object.__eq__ else None
    if fields is not None:
        parts = [f"{name}={_source(one, defined, depth + 1)}" for name, one in fields.items()]
        return f"{kind.__name__}({', '.join(parts)})"
    raise NoSource(f"a {kind.__name__} cannot be written down")


def attributes(value: object, defined: Mapping[str, object]) -> dict[str, str]:
    """The public attributes of an instance that have a source; empty for modules, functions and classes."""
    if isinstance(value, type | types.ModuleType | types.FunctionType):
        return {}
    names = list(getattr(value, "__dict__", {})) + [
        name for name in getattr(type(value), "__slots__", ()) if isinstance(name, str)
    ]
    out: dict[str, str] = {}
    for name in names:
        is_readable = name.isidentifier() and not keyword.iskeyword(name)  # setattr takes any text for a name
        if is_readable and not name.startswith("_") and hasattr(value, name):
            try:
                out[name] = source(getattr(value, name), defined)
            except NoSource:
                continue
    return out
