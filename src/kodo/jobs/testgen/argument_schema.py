"""Arguments as a small model fills them in: a JSON schema for each type, and the source of what came back."""

from typing import Any

from kodo.jobs.execution.param_types import ParamType


def schema(type_: ParamType) -> dict[str, Any] | None:
    """The JSON schema of a type; None for what JSON cannot hold."""
    match type_.kind:
        case "int":
            return {"type": "integer", "minimum": -10000, "maximum": 10000}
        case "float" | "decimal":
            return {"type": "number", "minimum": -10000, "maximum": 10000}
        case "bool":
            return {"type": "boolean"}
        case "str":
            return {"type": "string", "maxLength": 40}
        case "none":
            return {"type": "null"}
        case "any":
            return {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 20}]}
        case "list" | "tuple" | "set" | "frozenset":
            inner = schema(type_.args[0]) if type_.args else {"type": "integer"}
            return None if inner is None else {"type": "array", "items": inner, "maxItems": 6}
        case "dict":
            inner = schema(type_.args[1]) if type_.args[0].kind in ("str", "any") else None
            return (
                None
                if inner is None
                else {"type": "object", "additionalProperties": inner, "maxProperties": 4}
            )
        case "union":
            parts = [schema(arg) for arg in type_.args]
            return None if None in parts else {"anyOf": parts}
        case _:
            return None


def source(value: object, type_: ParamType) -> str:
    """The source of a JSON value as a value of the type."""
    if type_.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return repr(float(value))
    if type_.kind == "decimal":
        return f"decimal.Decimal({str(value)!r})"
    if type_.kind == "tuple" and isinstance(value, list):
        return repr(tuple(value))
    if type_.kind in ("set", "frozenset") and isinstance(value, list):
        items = ", ".join(map(repr, value))
        return f"frozenset([{items}])" if type_.kind == "frozenset" else f"{{{items}}}" if items else "set()"
    return repr(value)
