"""The JSON Schemas of what the built-in client tools are called with: shells and patches.

Sources: openai-python 3.54, ``LocalShellCallAction``, ``ResponseFunctionShellToolCall.Action`` and
``ResponseApplyPatchToolCall.operation``.
"""

from __future__ import annotations

from typing import Any

from kodo.server.wire.tools import ApplyPatchTool, LocalShellTool, ShellTool

_STRING = {"type": "string"}
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_COMMANDS = {"type": "array", "items": _STRING, "minItems": 1, "maxItems": 32}


def _object(**properties: object) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


LOCAL_SHELL = _object(command=_COMMANDS, env=NO_ARGUMENTS)
SHELL = _object(commands=_COMMANDS)
APPLY_PATCH = {
    "anyOf": [
        _object(type={"const": "create_file"}, path=_STRING, diff=_STRING),
        _object(type={"const": "update_file"}, path=_STRING, diff=_STRING),
        _object(type={"const": "delete_file"}, path=_STRING),
    ]
}
BUILT_IN: dict[str, tuple[str, dict[str, Any]]] = {
    "local_shell": ("Run a command on the user's computer.", LOCAL_SHELL),
    "shell": ("Run commands in the user's shell.", SHELL),
    "apply_patch": ("Create, update or delete a file.", APPLY_PATCH),
}
"""For each such tool its description and the schema of its arguments."""


def built_in(tool: LocalShellTool | ShellTool | ApplyPatchTool) -> tuple[str, str, dict[str, Any]]:
    """The name of a tool, its description, which names the skills of a shell, and the schema of its arguments."""
    name = str(tool.__struct_config__.tag)
    description, schema = BUILT_IN[name]
    environment = tool.environment if isinstance(tool, ShellTool) else None
    skills = environment.get("skills") if isinstance(environment, dict) else None
    if skills:
        lines = [f"- {skill['name']} ({skill['path']}): {skill['description']}" for skill in skills]
        description = "\n".join(
            (f"{description} Folders with skills; SKILL.md in each says how to use it:", *lines)
        )
    return name, description, schema
