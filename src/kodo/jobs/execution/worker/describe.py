"""What a value looks like from outside, so that two runs can be compared where no source text equals it.

A value with source text is that text. Any other is its type, its text with addresses and paths removed, its
public attributes to a small depth, and for a collection of the project's own what is in it.
"""

import functools
import itertools
import os
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping

from kodo.jobs.execution.worker import literal

_ADDRESS = re.compile(
    r"\bat 0x[0-9a-fA-F]+|0x[0-9a-fA-F]{6,}|\b(?:7f|5[56])[0-9a-f]{10}\b|\b(?:139|140)\d{12}\b"
)
_FUNCTION = re.compile(r"<(?:function|method|bound method|built-in function|built-in method) [^;]*>")
_MOCK_ID = re.compile(r" id='\d+'(?=>)")
_CACHE = re.compile(r"cache|memo(?:$|_|ize)")
"""Names of attributes that only keep what was worked out before: what is in them shows where it is used, or not at all."""
_MOCK_MODULE = "unittest.mock"
_FOLDER = re.compile(r"/[\w/.-]*/(?:files|case)-\w+")
_MAX_TEXT = 4000
_MAX_ATTRIBUTES = 40
_MAX_ITEMS = 200
_MAX_DEPTH = 2
_PROPERTIES = (property, functools.cached_property)
# Whose text says nothing but a place in memory or in a file.
_OPAQUE = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.GeneratorType,
)


def describe(
    value: object, defined: Mapping[str, object], root: str, without: Collection[str] = ()
) -> dict[str, str]:
    """The parts of a value by where they are: ``result``, and for a value without source ``type`` and attributes.

    ``root`` is the folder of the version under test; it does not appear in the texts. ``without`` are attributes to leave out.
    """
    if (text := _source(value, defined, root)) is not None:
        return {"result": text}
    parts = {"type": _type_name(value), "result": _text(value, root)}
    if isinstance(value, list | tuple | set | frozenset | dict) and not isinstance(value, os.stat_result):
        parts["result"] = described(value, defined, root, 0, without=without)
    is_own = _is_own(value, root)
    for name, item in _attributes(value, without, properties=is_own):
        parts[f"result.{name}"] = described(item, defined, root, 1, without=without)
    if is_own and _is_collection(value):
        parts["list(result)"] = _items(value, lambda item: described(item, defined, root, 1, without=without))
    return parts


def _is_collection(value: object) -> bool:
    """Whether a value has a length and can be gone through any number of times."""
    kind = type(value)
    return all(hasattr(kind, name) for name in ("__len__", "__iter__")) and not hasattr(kind, "__next__")


def _items(value: object, inner: Callable[[object], str]) -> str:
    """The first items of a collection, in its order."""
    try:
        items = list(itertools.islice(iter(value), _MAX_ITEMS))  # type: ignore[call-overload] # it has __iter__
        return f"[{', '.join(map(inner, items))}]"
    except Exception as error:  # noqa: BLE001 - a collection of foreign code may raise anything
        return f"raises {type(error).__name__}"


def printed(text: str, root: str) -> str:
    """A text without addresses and without the version's own folder, cut to a bound."""
    clean = placeless(_ADDRESS.sub("at 0x", _MOCK_ID.sub("", text)), root)
    return clean if len(clean) <= _MAX_TEXT else clean[:_MAX_TEXT] + f"... ({len(clean)} characters)"


def _source(value: object, defined: Mapping[str, object], root: str) -> str | None:
    try:
        return placeless(literal.source(value, defined), root)
    except literal.NoSource:
        return None


def placeless(source: str, root: str) -> str:
    """A source text without the version's own folder and those of a call's files, whole and with all its digits."""
    for folder in (root, _resolved(root)) if root else ():
        source = source.replace(folder, "<project>")
    return _FOLDER.sub("<tmp>", source)


@functools.lru_cache(maxsize=4)
def _resolved(root: str) -> str:
    """A folder without the links on the way to it: code may ask for that."""
    return os.path.realpath(root)


def is_function(text: str) -> bool:
    """Whether a text describes a function and nothing else: its name says nothing of what it does."""
    return bool(_FUNCTION.fullmatch(text))


def described(
    value: object,
    defined: Mapping[str, object],
    root: str,
    depth: int,
    *,
    properties: bool = True,
    without: Collection[str] = (),
) -> str:
    """One text for a value inside another: its source, its items, or its text and attributes.

    ``properties``: also what properties give, which runs the code under test; without them, the attributes are also those
    that a class keeps to itself, which is the state that its methods see. ``without`` are attributes to leave out.
    """
    inside = not properties
    if (text := _source(value, defined, root)) is not None:
        return text
    if depth > _MAX_DEPTH:
        return _type_name(value)

    def inner(item: object) -> str:
        return described(item, defined, root, depth + 1, properties=properties, without=without)

    if isinstance(value, list | tuple | set | frozenset | dict) and not isinstance(value, os.stat_result):
        return printed(_container(value, inner), root)
    properties = properties and _is_own(value, root)
    attributes = ", ".join(
        f"{name}={inner(item)}"
        for name, item in _attributes(value, without, properties=properties, private=inside)
    )
    return printed(f"{_text(value, root)}{{{attributes}}}" if attributes else _text(value, root), root)


def _container(value: object, inner: Callable[[object], str]) -> str:
    if isinstance(value, dict):
        rows = [f"{inner(key)}: {inner(item)}" for key, item in list(value.items())[:_MAX_ITEMS]]
        return "{" + ", ".join(rows) + "}"
    assert isinstance(value, list | tuple | set | frozenset)  # noqa: S101 - the caller asked
    items = [inner(item) for item in list(value)[:_MAX_ITEMS]]
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(items)) + "}"
    return f"[{', '.join(items)}]" if isinstance(value, list) else f"({', '.join(items)})"


def _text(value: object, root: str) -> str:
    if isinstance(value, _OPAQUE):
        return f"<{type(value).__name__} {getattr(value, '__qualname__', getattr(value, '__name__', ''))}>"
    if isinstance(value, os.stat_result):
        # The rest is of one copy of a file: its number, its times, its owner.
        return f"os.stat_result(st_mode={value.st_mode:#o}, st_size={value.st_size})"
    try:
        return printed(repr(value), root)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything in its repr
        return f"<{_type_name(value)} whose repr raises {type(error).__name__}>"


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _is_own(value: object, root: str) -> bool:
    """Whether a value is of a class of the project: only then do its properties belong to what is compared."""
    module = sys.modules.get(type(value).__module__)
    return (getattr(module, "__file__", None) or "").startswith(root)


def _attributes(
    value: object, without: Collection[str], *, properties: bool = True, private: bool = False
) -> Iterator[tuple[str, object]]:
    """The public attributes an instance holds itself, sorted, ``private`` ones too where asked, and none of those ``without``; none
    for what has no state of its own.
    """
    if isinstance(value, (type, *_OPAQUE)) or type(value).__module__ == _MOCK_MODULE:
        return  # of a mock counts its calls, and that is seen for itself
    own = getattr(value, "__dict__", {})
    names = set(own) if isinstance(own, dict) else set()
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
        if properties:
            names.update(name for name, one in kind.__dict__.items() if isinstance(one, _PROPERTIES))
    hidden = "__" if private else "_"
    names = {name for name in names if isinstance(name, str) and not (private and _CACHE.search(name))}
    names.difference_update(without)
    for name in sorted(name for name in names if not name.startswith(hidden))[:_MAX_ATTRIBUTES]:
        try:
            yield name, getattr(value, name)
        except Exception as error:  # noqa: BLE001 - a property of foreign code may raise anything
            yield name, f"raises {type(error).__name__}"
