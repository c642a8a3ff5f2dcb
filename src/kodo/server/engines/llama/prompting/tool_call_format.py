"""How calls and their outputs are written: a :class:`Frame` of text around a call's name and arguments.

:data:`OWN` is for a model whose chat template does not know calls, in the widespread form of Hermes and Qwen:
``<tool_call>{"name": ..., "arguments": ...}</tool_call>`` by the assistant, ``<tool_response>...</tool_response>`` in the
user's turn. The frame of a template that knows them is found out by :mod:`kodo.server.engines.llama.prompting.template_tools`.
"""

from __future__ import annotations

import hashlib
import json

from msgspec import Struct

from kodo.server.wire.items import (
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

TAG_LENGTH = 9
"""Characters of a call's tag: the one length that Mistral's templates accept."""


class Frame(Struct, frozen=True):
    """The text around calls: ``open`` name ``middle`` arguments ``end`` (``more`` name ...) ``last``."""

    open: str
    middle: str
    end: str
    last: str = ""
    """Behind the last call of a turn."""
    more: str | None = None
    """Between the end of a call and the name of the next one; None: a turn has one call."""
    gap: str = "\n"
    """Between words and a call."""
    mark: str = ""
    """What begins a call in a model's free text."""
    opening: bool = False
    """The mark is no word of its own, and counts only where an answer begins."""
    tag: str = ""
    """Stands in ``end`` for the call's own tag, where the template writes one."""
    native: bool = False
    """From the template."""
    marked: bool = False
    """``more`` or ``last`` begins with a mark, which may be a control token: no grammar can let a model choose it."""

    def ending(self, call_id: str) -> str:
        """``end`` of this very call."""
        return self.end.replace(self.tag, tag_of(call_id)) if self.tag else self.end


OWN = Frame(
    open='<tool_call>\n{"name": "',
    middle='", "arguments": ',
    end="}\n</tool_call>",
    more='\n<tool_call>\n{"name": "',
    mark="<tool_call>",
)


def tag_of(call_id: str) -> str:
    """A call's tag for the model: letters and digits, the same for call and output."""
    return hashlib.sha256(call_id.encode()).hexdigest()[:TAG_LENGTH]


def written(call: Call) -> tuple[str, str]:
    """A call's name and arguments, as the model writes them."""
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


def output_text(output: CallOutput, frame: Frame) -> str:
    """What a call gave back, as the model is shown it."""
    match output:
        case ShellCallOutput():
            text = json.dumps(output.output, ensure_ascii=False)
        case ApplyPatchCallOutput():
            text = f"{output.status}: {output.output or ''}"
        case _:
            text = output.output if isinstance(output.output, str) else text_of(output.output)
    return text if frame.native else f"<tool_response>\n{text}\n</tool_response>"
