"""How calls and their outputs are written: a :class:`ToolCallFormat` of text around a call's name and arguments.

:data:`HERMES` is for a model whose chat template does not know calls, in the widespread form of Hermes and Qwen:
``<tool_call>{"name": ..., "arguments": ...}</tool_call>`` by the assistant, ``<tool_response>...</tool_response>`` in the
user's turn. The form of a template that knows them is found out by :mod:`kodo.server.engines.llama.prompting.template_tools`.
"""

from __future__ import annotations

import hashlib
import json

import msgspec
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


class CallStartMark(Struct, frozen=True):
    """A mark that begins a call, and how the call is written then."""

    mark: str
    prefix: str
    separator: str
    at_start: bool = False
    """It counts only where an answer begins."""


class ToolCallFormat(Struct, frozen=True):
    """The text around calls: ``prefix`` name ``separator`` arguments ``suffix`` (``next_call`` name ...) ``closing``."""

    prefix: str
    separator: str
    suffix: str
    closing: str = ""
    """Behind the last call of a turn."""
    next_call: str | None = None
    """Between the end of a call and the name of the next one; None if a turn has one call."""
    text_gap: str = "\n"
    """Between words and a call."""
    trigger: str = ""
    """What begins a call in a model's free text."""
    trigger_at_start: bool = False
    """The mark is not a word of its own, and counts only where an answer begins."""
    tag_placeholder: str = ""
    """Stands in ``suffix`` for the call's own tag, where the template writes one."""
    from_template: bool = False
    """From the template."""
    control_separated: bool = False
    """``next_call`` or ``closing`` begins with a mark, which may be a control token: no grammar can let a model choose it."""
    other_starts: tuple[CallStartMark, ...] = ()
    """Further marks that begin a call in a model's free text."""

    @property
    def stop_marks(self) -> tuple[str, ...]:
        """The marks that begin a call wherever they stand."""
        own = () if self.trigger_at_start else (self.trigger,)
        return own + tuple(start.mark for start in self.other_starts if not start.at_start)

    @property
    def opening_marks(self) -> tuple[str, ...]:
        """The marks that begin a call where the text begins."""
        own = (self.trigger,) if self.trigger_at_start else ()
        return own + tuple(start.mark for start in self.other_starts if start.at_start)

    def begun_by(self, mark: str | None) -> ToolCallFormat | None:
        """The form of a call that a mark has begun; None: that mark begins none."""
        if mark is not None and mark == self.trigger:
            return self
        found = next((start for start in self.other_starts if start.mark == mark), None)
        if found is None:
            return None
        return msgspec.structs.replace(self, prefix=found.prefix, separator=found.separator)

    def suffix_of(self, call_id: str) -> str:
        """``suffix`` of this very call."""
        return (
            self.suffix.replace(self.tag_placeholder, call_tag(call_id))
            if self.tag_placeholder
            else self.suffix
        )


HERMES = ToolCallFormat(
    prefix='<tool_call>\n{"name": "',
    separator='", "arguments": ',
    suffix="}\n</tool_call>",
    next_call='\n<tool_call>\n{"name": "',
    trigger="<tool_call>",
)


CHANNELS = ToolCallFormat(
    prefix="<|channel|>commentary to=functions.",
    separator=" <|constrain|>json<|message|>",
    suffix="<|call|>",
    trigger="<|channel|>commentary to=functions.",
    from_template=True,
    other_starts=(
        CallStartMark(
            "<|channel|>analysis to=functions.",
            "<|channel|>commentary to=functions.",
            " <|constrain|>json<|message|>",
        ),
        CallStartMark(
            "<|start|>assistant to=functions.",
            "<|start|>assistant to=functions.",
            "<|channel|>commentary <|constrain|>json<|message|>",
        ),
        CallStartMark(
            "to=functions.",
            " to=functions.",
            "<|channel|>commentary <|constrain|>json<|message|>",
            at_start=True,
        ),
    ),
)
"""gpt-oss': a call is a message to a recipient, which it names in the channel or in the role."""


def call_tag(call_id: str) -> str:
    """A call's tag for the model: letters and digits, the same for call and output."""
    return hashlib.sha256(call_id.encode()).hexdigest()[:TAG_LENGTH]


def name_and_arguments(call: Call) -> tuple[str, str]:
    """A call's name and arguments, as the model writes them."""
    match call:
        case FunctionCall():
            return qualified_name(call.name, call.namespace or None), call.arguments or "{}"
        case CustomToolCall():
            return qualified_name(call.name, call.namespace or None), call.input
        case LocalShellCall():
            return "local_shell", json.dumps(call.action, ensure_ascii=False)
        case ShellCall():
            return "shell", json.dumps(call.action, ensure_ascii=False)
        case ApplyPatchCall():
            return "apply_patch", json.dumps(call.operation, ensure_ascii=False)


def qualified_name(name: str, namespace: str | None) -> str:
    """A tool's name as the model sees it: namespaces are put in front."""
    return f"{namespace}.{name}" if namespace else name


def output_text(output: CallOutput, call_format: ToolCallFormat) -> str:
    """What a call gave back, as the model is shown it."""
    match output:
        case ShellCallOutput():
            text = json.dumps(output.output, ensure_ascii=False)
        case ApplyPatchCallOutput():
            text = f"{output.status}: {output.output or ''}"
        case _:
            text = output.output if isinstance(output.output, str) else text_of(output.output)
    return text if call_format.from_template else f"<tool_response>\n{text}\n</tool_response>"
