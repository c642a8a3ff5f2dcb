"""How calls and their outputs are written for a model whose chat template does not know them.

The form is the widespread one of Hermes and Qwen: ``<tool_call>{"name": ..., "arguments": ...}</tool_call>`` by the
assistant, ``<tool_response>...</tool_response>`` in the user's turn.
"""

from __future__ import annotations

import json

from kodo.wire.items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    Call,
    CallOutput,
    CustomToolCall,
    FunctionCall,
    LocalShellCall,
    ShellCall,
    ShellCallOutput,
    text_of,
)

CALL_MARK = "<tool_call>"
CALL_OPEN = '<tool_call>\n{"name": "'
CALL_MIDDLE = '", "arguments": '
CALL_CLOSE = "}\n</tool_call>"
CALL_NEXT = "\n"
"""A call is its open mark, the tool's name, the middle, the arguments and the close; the next one follows behind."""


def call_text(call: Call) -> str:
    """A call, as the model is taught to write it."""
    name, arguments = _written(call)
    return f"{CALL_OPEN}{name}{CALL_MIDDLE}{arguments}{CALL_CLOSE}"


def _written(call: Call) -> tuple[str, str]:
    match call:
        case FunctionCall():
            return full_name(call.name, call.namespace or None), call.arguments or "{}"
        case CustomToolCall():
            return full_name(call.name, call.namespace or None), call.input
        case LocalShellCall():
            return "local_shell", json.dumps(call.action, ensure_ascii=False)
        case ShellCall():
            return "shell", json.dumps(call.action, ensure_ascii=False)
        case ApplyPatchCall():
            return "apply_patch", json.dumps(call.operation, ensure_ascii=False)


def full_name(name: str, namespace: str | None) -> str:
    """A tool's name as the model sees it: namespaces are put in front."""
    return f"{namespace}.{name}" if namespace else name


def output_text(output: CallOutput) -> str:
    """What a call gave back, as the model is shown it."""
    match output:
        case ShellCallOutput():
            text = json.dumps(output.output, ensure_ascii=False)
        case ApplyPatchCallOutput():
            text = f"{output.status}: {output.output or ''}"
        case _:
            text = output.output if isinstance(output.output, str) else text_of(output.output)
    return f"<tool_response>\n{text}\n</tool_response>"
