"""Values that hold others, as source, from the sources of what they hold."""

from collections.abc import Mapping, Sequence

from kodo.jobs.execution.param_types import ParamType

EACH = "each"
"""The name of an asynchronous generator of given values, which the setup of a call defines (``call_arguments``)."""


def tuple_source(items: Sequence[str]) -> str:
    """A tuple of sources."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def container_source(kind: str, items: Sequence[str]) -> str:
    """A container of a kind of ``ParamType`` that holds one kind of items; a list for any other."""
    inner = ", ".join(items)
    match kind:
        case "set":
            return "{" + inner + "}" if items else "set()"
        case "frozenset":
            return f"frozenset([{inner}])"
        case "tuple":
            return tuple_source(items) if items else "()"
        case "deque":
            return f"collections.deque([{inner}])"
        case "iterator":
            return f"iter([{inner}])"
        case "async":
            return f"{EACH}([{inner}])"
        case _:
            return f"[{inner}]"


def known_keys(type_: ParamType) -> list[tuple[str, ParamType]]:
    """The keys of a dict of known keys and their types."""
    return list(zip(type_.text.split("\n"), type_.args, strict=True))


def dict_source(row: Mapping[str, str]) -> str:
    """A dict of texts for keys and sources for values."""
    return "{" + ", ".join(f"{key!r}: {value}" for key, value in row.items()) + "}"


def namespace_source(attributes: Mapping[str, str]) -> str:
    """An object with attributes, by their sources."""
    given = ", ".join(f"{name}={value}" for name, value in attributes.items())
    return f"types.SimpleNamespace({given})"
