"""Forms that the grammar engine does not take, written as ones that it does: whatever fits the new form fits the old one.

- Names of properties by a pattern (``propertyNames``) are ``patternProperties``.
- One of several sets of required properties (``oneOf`` of ``required``, "a or b, not both") are objects without the others.

Knows JSON Schema's keywords; knows nothing of grammars.
"""

from __future__ import annotations

from typing import Any


def enforceable(node: dict[str, Any]) -> dict[str, Any]:
    """A part of a schema in a form that can be enforced; as it is, where it has neither."""
    return _without_required_choices(_without_name_pattern(node))


def _without_name_pattern(node: dict[str, Any]) -> dict[str, Any]:
    names, others = node.get("propertyNames"), node.get("additionalProperties", {})
    if not isinstance(names, dict) or names.keys() != {"pattern"} or not isinstance(names["pattern"], str):
        return node
    if node.keys() & {"properties", "patternProperties", "required"} or others is False:
        return node
    rest = {key: value for key, value in node.items() if key != "propertyNames"}
    return {**rest, "patternProperties": {names["pattern"]: others}, "additionalProperties": False}


def _without_required_choices(node: dict[str, Any]) -> dict[str, Any]:
    choices, properties = node.get("oneOf"), node.get("properties")
    always = _required({"required": node.get("required", [])})
    if not isinstance(choices, list) or not isinstance(properties, dict) or "anyOf" in node or always is None:
        return node
    sets = [names for choice in choices if (names := _required(choice)) is not None]
    if len(sets) < len(choices) or not all(names <= properties.keys() for names in sets):
        return node
    replaced = ("oneOf", "properties", "required", "additionalProperties")
    rest = {key: value for key, value in node.items() if key not in replaced}
    objects = _exclusive_objects(properties, sets, always)
    return {**rest, "anyOf": objects} if objects else node


def _exclusive_objects(
    properties: dict[str, Any], sets: list[frozenset[str]], always: frozenset[str]
) -> list[dict[str, Any]]:
    """An object for each set of required names, without what would complete another one."""
    objects = []
    for index, own in enumerate(sets):
        required = own | always
        others = [names for other, names in enumerate(sets) if other != index]
        if any(names <= required for names in others):
            continue
        left_out = frozenset().union(*others) - required
        kept = {name: part for name, part in properties.items() if name not in left_out}
        objects.append(
            {
                "type": "object",
                "properties": kept,
                "required": sorted(required),
                "additionalProperties": False,
            }
        )
    return objects


def _required(choice: object) -> frozenset[str] | None:
    """The names that a choice requires; None if it is, or says, anything else."""
    if (
        not isinstance(choice, dict)
        or choice.keys() != {"required"}
        or not isinstance(choice["required"], list)
    ):
        return None
    names = choice["required"]
    return frozenset(names) if all(isinstance(name, str) for name in names) else None
