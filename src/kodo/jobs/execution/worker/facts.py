"""What a test can assert of a value that no source text equals: its type, text, truth, length and attributes.

Facts are expressions over ``result`` with the source of what they give. A text that holds an address of memory is no
fact, because the next run has another.
"""

import contextlib
import re
import types
from collections.abc import Mapping

from kodo.jobs.execution.worker import literal

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
_MAX_TEXT = 300
_MAX_ATTRIBUTES = 8
_OPAQUE = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.CodeType, type,
)  # fmt: skip


def facts(value: object, defined: Mapping[str, object]) -> dict[str, str]:
    """Expression over ``result`` -> source of its value; empty for functions, modules and classes."""
    if isinstance(value, _OPAQUE):
        return {}
    kind = type(value)
    out: dict[str, str] = {}
    if defined.get(kind.__name__) is not kind and kind.__module__ != "builtins":
        out["type(result).__name__"] = repr(kind.__name__)
    attributes = literal.attributes(value, defined).items()
    out |= {f"result.{name}": text for name, text in list(attributes)[:_MAX_ATTRIBUTES]}
    out |= texts(value)
    with contextlib.suppress(Exception):  # as above
        if hasattr(kind, "__len__"):
            out["len(result)"] = repr(len(value))  # type: ignore[arg-type] # it has __len__
        elif hasattr(kind, "__bool__"):
            out["bool(result)"] = repr(bool(value))
    return out


def texts(value: object) -> dict[str, str]:
    """The texts that the class of a value writes itself; ``repr`` alone where ``str`` is the same."""
    kind = type(value)
    out: dict[str, str] = {}
    with contextlib.suppress(Exception):  # foreign code may raise anything; then there is no such fact
        if _writes_own(kind, "__repr__") and _is_stable(text := repr(value)):
            out["repr(result)"] = repr(text)
        if _writes_own(kind, "__str__") and _is_stable(text := str(value)) and repr(text) not in out.values():
            out["str(result)"] = repr(text)
    return out


def _writes_own(kind: type, method: str) -> bool:
    """Whether a class, or a base other than object, defines a method."""
    return any(method in vars(one) for one in kind.__mro__ if one is not object)


def _is_stable(text: str) -> bool:
    return len(text) <= _MAX_TEXT and not _ADDRESS.search(text)
