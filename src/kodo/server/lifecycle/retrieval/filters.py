"""Filters over the attributes of files: comparisons, and compounds of filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from kodo.server.lifecycle.errors import InvalidRequest

AttributeValue: TypeAlias = str | bool | int | float
MAX_DEPTH: Final = 8
MAX_FILTERS: Final = 100
"""Filters in one, on all levels."""
MAX_VALUES: Final = 100
"""Values of ``in`` and ``nin``."""
MAX_WHOLE: Final = 2**63 - 1
"""The largest whole number that is kept exactly, and its negative the smallest."""
_SINGLE: Final = frozenset({"eq", "ne", "gt", "gte", "lt", "lte"})
_LISTS: Final = frozenset({"in", "nin"})


@dataclass(frozen=True)
class Comparison:
    """``values`` has one value but for ``in`` and ``nin``. A file without the attribute passes only ``ne`` and ``nin``."""

    operator: str
    key: str
    values: tuple[AttributeValue, ...]


@dataclass(frozen=True)
class Compound:
    """All of the filters (``and``), or one of them (``or``)."""

    operator: str
    filters: tuple[Filter, ...]


Filter: TypeAlias = Comparison | Compound


def parse_filter(raw: object, path: str = "filters") -> Filter:
    """A filter as the contract has it.

    Raises:
        InvalidRequest: it is not one; ``param`` is the field's path.
    """
    return _parse(raw, path, 1, [0])


def _parse(raw: object, path: str, depth: int, count: list[int]) -> Filter:
    count[0] += 1
    if depth > MAX_DEPTH or count[0] > MAX_FILTERS:
        raise InvalidRequest(
            f"Filters may be nested {MAX_DEPTH} levels deep and be {MAX_FILTERS} in all.", param=path
        )
    if not isinstance(raw, dict):
        raise InvalidRequest(f"'{path}' must be a filter object.", param=path)
    kind = raw.get("type")
    if kind in ("and", "or"):
        _check_names(raw, ("type", "filters"), path)
        inner = raw["filters"]
        if not isinstance(inner, list) or not inner:
            raise InvalidRequest(f"'{path}.filters' must be a list of filters.", param=f"{path}.filters")
        parts = (_parse(one, f"{path}.filters[{n}]", depth + 1, count) for n, one in enumerate(inner))
        return Compound(kind, tuple(parts))
    if not isinstance(kind, str) or kind not in _SINGLE | _LISTS:
        known = "eq, ne, gt, gte, lt, lte, in, nin, and, or"
        raise InvalidRequest(f"'{path}.type' must be one of {known}.", param=f"{path}.type")
    _check_names(raw, ("type", "key", "value"), path)
    if not isinstance(raw["key"], str):
        raise InvalidRequest(f"'{path}.key' must be a string.", param=f"{path}.key")
    return Comparison(kind, raw["key"], _values(kind, raw["value"], f"{path}.value"))


def _check_names(raw: dict[str, Any], names: tuple[str, ...], path: str) -> None:
    for name in names:
        if name not in raw:
            raise InvalidRequest(
                f"Missing required parameter: '{path}.{name}'.",
                param=f"{path}.{name}",
                code="missing_required_parameter",
            )
    for name in raw:
        if name not in names:
            raise InvalidRequest(f"Unknown parameter: '{path}.{name}'.", param=f"{path}.{name}")


def _values(kind: str, value: object, path: str) -> tuple[AttributeValue, ...]:
    if kind in _LISTS:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_VALUES:
            raise InvalidRequest(f"'{path}' must be a list of 1 to {MAX_VALUES} values.", param=path)
        return tuple(_value(one, f"{path}[{number}]") for number, one in enumerate(value))
    one = _value(value, path)
    if kind not in ("eq", "ne") and isinstance(one, bool):
        raise InvalidRequest(f"'{path}' must be a string or a number for '{kind}'.", param=path)
    return (one,)


def _value(value: object, path: str) -> AttributeValue:
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise InvalidRequest(f"'{path}' must be from -{MAX_WHOLE} to {MAX_WHOLE}.", param=path)
    if isinstance(value, str | bool | int | float):
        return value
    raise InvalidRequest(f"'{path}' must be a string, a number or a boolean.", param=path)


def matches(where: Filter, attributes: dict[str, AttributeValue]) -> bool:
    """Whether a file with these attributes passes."""
    if isinstance(where, Compound):
        results = (matches(one, attributes) for one in where.filters)
        return all(results) if where.operator == "and" else any(results)
    found = attributes.get(where.key)
    if where.operator in ("ne", "nin"):
        return not any(_same(found, value) for value in where.values)
    if where.operator in ("eq", "in"):
        return any(_same(found, value) for value in where.values)
    return found is not None and _ordered(where.operator, found, where.values[0])


def kind_of(value: AttributeValue) -> str:
    """The kinds that are never equal to each other: ``text``, ``number``, ``truth``."""
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _same(found: AttributeValue | None, value: AttributeValue) -> bool:
    return found is not None and kind_of(found) == kind_of(value) and found == value


def _ordered(operator: str, found: AttributeValue, value: AttributeValue) -> bool:
    if kind_of(found) != kind_of(value):
        return False
    if isinstance(found, str) or isinstance(value, str):
        left, right = str(found), str(value)
        return _compare(operator, (left > right) - (left < right))
    return _compare(operator, (found > value) - (found < value))


def _compare(operator: str, order: int) -> bool:
    return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[operator]
