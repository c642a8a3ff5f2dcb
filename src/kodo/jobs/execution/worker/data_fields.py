"""The fields of plain data by name, as its constructor takes them: dataclasses, attrs classes, msgspec structs, pydantic models.

Reads what these libraries leave on a class, and imports none of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any


def data_fields(value: Any) -> dict[str, object] | None:
    """What a constructor is given by keyword to make an equal value; None for what is no such data."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(kind) if one.init}
    if (made := getattr(kind, "__attrs_attrs__", None)) is not None:
        return {one.alias: getattr(value, one.name) for one in made if one.init}
    if (names := getattr(kind, "__struct_fields__", None)) is not None:
        return {name: getattr(value, name) for name in names}
    if isinstance(models := getattr(kind, "__pydantic_fields__", None), dict):
        given = value.__pydantic_fields_set__
        return {one.alias or name: getattr(value, name) for name, one in models.items() if name in given}
    return None
