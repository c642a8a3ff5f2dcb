"""Whether a value may be what an annotation says. Says no only when it is certain."""

import collections.abc
import typing
from collections.abc import Mapping


def conforms(value: object, annotation: str, names: Mapping[str, object]) -> bool:
    """Check a result against an annotation's source; True for annotations this does not understand."""
    space: dict[str, object] = {**vars(typing), **vars(collections.abc), **names}
    try:
        wanted = eval(annotation, space)  # noqa: S307 - in the sandbox, and the text is the code's own annotation
    except (NameError, SyntaxError, TypeError, AttributeError):
        return True
    if isinstance(wanted, str):
        return conforms(value, wanted, names)
    return _is(value, wanted, 0)


def _is(value: object, wanted: object, depth: int) -> bool:
    if wanted is None or wanted is type(None):
        return value is None
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if depth > 4 or wanted is typing.Any or isinstance(wanted, typing.TypeVar):
        return True
    if origin is not None:
        return _is_generic(value, origin, args, depth)
    if not isinstance(wanted, type) or getattr(wanted, "_is_protocol", False) or typing.is_typeddict(wanted):
        return True
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int)
    if wanted is complex:
        return isinstance(value, int | float | complex)
    try:
        return isinstance(value, wanted) or value is NotImplemented
    except TypeError:
        return True


def _is_generic(value: object, origin: object, args: tuple[object, ...], depth: int) -> bool:
    if str(origin) in ("typing.Union", "<class 'types.UnionType'>", "<class 'typing.Union'>"):
        return any(_is(value, arg, depth + 1) for arg in args)
    if origin is typing.Literal:
        return value in args
    if origin is typing.Annotated:
        return _is(value, args[0], depth + 1)
    if not isinstance(origin, type) or _is_consumed(origin):
        return True
    return isinstance(value, origin) and _items_conform(value, args, depth + 1)


def _is_consumed(origin: type) -> bool:
    """Whether the value was read before it came here: an iterator was turned into a list, an awaitable was awaited."""
    return (
        issubclass(origin, collections.abc.Iterator | collections.abc.Awaitable)
        or origin is collections.abc.Iterable
    )


def _items_conform(value: object, args: tuple[object, ...], depth: int) -> bool:
    if isinstance(value, tuple):
        return _tuple_conforms(value, args, depth)
    if isinstance(value, dict) and len(args) == 2:
        return all(_is(key, args[0], depth) and _is(item, args[1], depth) for key, item in value.items())
    if isinstance(value, list | set | frozenset) and len(args) == 1:
        return all(_is(item, args[0], depth) for item in value)
    return True


def _tuple_conforms(value: tuple[object, ...], args: tuple[object, ...], depth: int) -> bool:
    if len(args) == 2 and args[1] is Ellipsis:
        return all(_is(item, args[0], depth) for item in value)
    same_length = len(args) == len(value)
    return not args or (
        same_length and all(_is(item, arg, depth) for item, arg in zip(value, args, strict=True))
    )
