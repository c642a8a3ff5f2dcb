"""Arguments as a small model fills them in: a JSON schema for each shape, and the source of what came back."""

from typing import Any

from kodo.jobs.testgen.shapes import Shape


def schema(shape: Shape) -> dict[str, Any] | None:
    """The JSON schema of a shape; None for what JSON cannot hold."""
    match shape.kind:
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
            inner = schema(shape.args[0]) if shape.args else {"type": "integer"}
            return None if inner is None else {"type": "array", "items": inner, "maxItems": 6}
        case "dict":
            inner = schema(shape.args[1]) if shape.args[0].kind in ("str", "any") else None
            return (
                None
                if inner is None
                else {"type": "object", "additionalProperties": inner, "maxProperties": 4}
            )
        case "union":
            parts = [schema(arg) for arg in shape.args]
            return None if None in parts else {"anyOf": parts}
        case _:
            return None


def source(value: object, shape: Shape) -> str:
    """The source of a JSON value as a value of the shape."""
    if shape.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return repr(float(value))
    if shape.kind == "decimal":
        return f"decimal.Decimal({str(value)!r})"
    if shape.kind == "tuple" and isinstance(value, list):
        return repr(tuple(value))
    if shape.kind in ("set", "frozenset") and isinstance(value, list):
        items = ", ".join(map(repr, value))
        return f"frozenset([{items}])" if shape.kind == "frozenset" else f"{{{items}}}" if items else "set()"
    return repr(value)
