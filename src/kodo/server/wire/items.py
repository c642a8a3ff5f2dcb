"""Items: what goes into a response and what comes out of it.

Sources: Open Responses 2026-04-24 (``ItemParam``, ``ItemField``) and the types of openai-python 3.54
(``ResponseInputItem``, ``ResponseOutputItem``). One Struct serves both directions; ``UNSET`` fields are left out of the
JSON. Fields that a newer client adds to an item are dropped on decoding: items travel back and forth between servers
and versions, and refusing a foreign mark on one would break a whole history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Text: TypeAlias = Annotated[str, Meta(max_length=10 * 2**20)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_.:-]+$")]
CallId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Role: TypeAlias = Literal["user", "assistant", "system", "developer"]
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class Wire(Struct, frozen=True, kw_only=True):
    """Base of everything on the wire. Subclasses repeat the options: msgspec does not pass `kw_only` on."""


# --- content parts ---------------------------------------------------------------------------------------------------


class TopLogprob(Wire, frozen=True, kw_only=True):
    """One alternative at a position. ``logprob`` is natural-log probability, ``bytes`` the token's UTF-8."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class Logprob(TopLogprob, frozen=True, kw_only=True):
    """The token that was chosen, and the likeliest ones."""

    top_logprobs: tuple[TopLogprob, ...] = ()


class InputText(Wire, frozen=True, kw_only=True, tag="input_text"):
    """Text from the caller."""

    text: Text
    prompt_cache_breakpoint: dict[str, Any] | UnsetType | None = UNSET


class InputImage(Wire, frozen=True, kw_only=True, tag="input_image"):
    """An image by URL, data URL or file. It is never fetched: see ``Settings.images``."""

    image_url: Annotated[str, Meta(max_length=20 * 2**20)] | None = None
    file_id: str | UnsetType | None = UNSET
    detail: Literal["low", "high", "auto", "original"] | None = "auto"


class InputFile(Wire, frozen=True, kw_only=True, tag="input_file"):
    """A file, inline or by id."""

    filename: str | UnsetType | None = UNSET
    file_data: Annotated[str, Meta(max_length=32 * 2**20)] | UnsetType | None = UNSET
    file_url: str | UnsetType | None = UNSET
    file_id: str | UnsetType | None = UNSET
    detail: str | UnsetType | None = UNSET


class OutputText(Wire, frozen=True, kw_only=True, tag="output_text"):
    """Text from the model."""

    text: Text
    annotations: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[Logprob, ...] = ()


class Refusal(Wire, frozen=True, kw_only=True, tag="refusal"):
    """The model's refusal, in words."""

    refusal: Text


class PlainText(Wire, frozen=True, kw_only=True, tag="text"):
    """Text with no direction."""

    text: Text


class SummaryText(Wire, frozen=True, kw_only=True, tag="summary_text"):
    """A part of a reasoning summary."""

    text: Text


class ReasoningText(Wire, frozen=True, kw_only=True, tag="reasoning_text"):
    """A part of the reasoning itself."""

    text: Text


Part: TypeAlias = (
    InputText | InputImage | InputFile | OutputText | Refusal | PlainText | SummaryText | ReasoningText
)
ToolOutput: TypeAlias = Text | tuple[InputText | InputImage | InputFile | OutputText, ...]

# --- items -----------------------------------------------------------------------------------------------------------


class Message(Wire, frozen=True, kw_only=True, tag="message"):
    """What somebody said. A string as ``content`` is turned into one part when it is decoded."""

    id: str | None = None
    status: ItemStatus | None = "completed"
    role: Role
    content: tuple[Part, ...]
    phase: Literal["commentary", "final_answer"] | UnsetType | None = UNSET


class FunctionCall(Wire, frozen=True, kw_only=True, tag="function_call"):
    """The model wants a function called. ``arguments`` is JSON text."""

    id: str | None = None
    call_id: CallId
    name: Name
    arguments: Text
    status: ItemStatus | None = "completed"
    namespace: str | UnsetType | None = UNSET


class FunctionCallOutput(Wire, frozen=True, kw_only=True, tag="function_call_output"):
    """What the function gave back."""

    id: str | None = None
    call_id: CallId
    output: ToolOutput
    status: ItemStatus | None = "completed"


class CustomToolCall(Wire, frozen=True, kw_only=True, tag="custom_tool_call"):
    """A call of a free-form tool."""

    id: str | None = None
    call_id: CallId
    name: Name
    input: Text
    status: ItemStatus | UnsetType | None = UNSET
    namespace: str | UnsetType | None = UNSET


class CustomToolCallOutput(Wire, frozen=True, kw_only=True, tag="custom_tool_call_output"):
    """What a free-form tool gave back."""

    id: str | None = None
    call_id: CallId
    output: ToolOutput


class LocalShellCall(Wire, frozen=True, kw_only=True, tag="local_shell_call"):
    """The model wants a command run by the client. ``action`` is openai-python's ``LocalShellCallAction``."""

    id: str | None = None
    call_id: CallId
    action: dict[str, Any]
    status: ItemStatus | None = "completed"


class LocalShellCallOutput(Wire, frozen=True, kw_only=True, tag="local_shell_call_output"):
    """What the command printed, as JSON text. ``id`` carries the call's id in the first version of the contract."""

    id: str
    call_id: CallId | UnsetType = UNSET
    output: Text
    status: ItemStatus | None = "completed"


class ShellCall(Wire, frozen=True, kw_only=True, tag="shell_call"):
    """Commands for the client's shell. ``action``: ``{"commands": [...], "timeout_ms", "max_output_length"}``."""

    id: str | None = None
    call_id: CallId
    action: dict[str, Any]
    status: ItemStatus | None = "completed"
    environment: dict[str, Any] | UnsetType | None = UNSET


class ShellCallOutput(Wire, frozen=True, kw_only=True, tag="shell_call_output"):
    """What the commands printed: a list of ``{"stdout", "stderr", "outcome"}``."""

    id: str | None = None
    call_id: CallId
    output: tuple[dict[str, Any], ...]
    max_output_length: int | UnsetType | None = UNSET
    status: ItemStatus | None = "completed"


class ApplyPatchCall(Wire, frozen=True, kw_only=True, tag="apply_patch_call"):
    """A patch for the client to apply. ``operation``: create, update or delete of one file."""

    id: str | None = None
    call_id: CallId
    operation: dict[str, Any]
    status: ItemStatus | None = "completed"


class ApplyPatchCallOutput(Wire, frozen=True, kw_only=True, tag="apply_patch_call_output"):
    """Whether the patch was applied."""

    id: str | None = None
    call_id: CallId
    output: Text | None = None
    status: Literal["completed", "failed"] = "completed"


class Reasoning(Wire, frozen=True, kw_only=True, tag="reasoning"):
    """How the model got there. ``encrypted_content`` is opaque to the client."""

    id: str | None = None
    summary: tuple[SummaryText, ...] = ()
    content: tuple[ReasoningText, ...] | UnsetType | None = UNSET
    encrypted_content: str | UnsetType | None = UNSET
    status: ItemStatus | UnsetType | None = UNSET


class Compaction(Wire, frozen=True, kw_only=True, tag="compaction"):
    """A history folded into one opaque item."""

    id: str | None = None
    encrypted_content: Text
    created_by: str | UnsetType = UNSET


class ItemReference(Wire, frozen=True, kw_only=True, tag="item_reference"):
    """An item that the server already has."""

    id: str


Item: TypeAlias = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | LocalShellCall
    | LocalShellCallOutput
    | ShellCall
    | ShellCallOutput
    | ApplyPatchCall
    | ApplyPatchCallOutput
    | Reasoning
    | Compaction
)
InputItem: TypeAlias = Item | ItemReference
Call: TypeAlias = FunctionCall | CustomToolCall | LocalShellCall | ShellCall | ApplyPatchCall
CallOutput: TypeAlias = (
    FunctionCallOutput | CustomToolCallOutput | LocalShellCallOutput | ShellCallOutput | ApplyPatchCallOutput
)


def text_of(parts: tuple[Part, ...]) -> str:
    """The words of content parts, joined; images and files count as nothing."""
    return "".join(
        part.refusal
        if isinstance(part, Refusal)
        else ""
        if isinstance(part, InputImage | InputFile)
        else part.text
        for part in parts
    )


ID_PREFIXES: Final[Mapping[type[Item], str]] = {
    Message: "msg",
    FunctionCall: "fc",
    FunctionCallOutput: "fco",
    CustomToolCall: "ctc",
    CustomToolCallOutput: "ctco",
    LocalShellCall: "lsh",
    LocalShellCallOutput: "lsho",
    ShellCall: "sh",
    ShellCallOutput: "sho",
    ApplyPatchCall: "apc",
    ApplyPatchCallOutput: "apco",
    Reasoning: "rs",
    Compaction: "cmp",
}
"""The prefix of the ids of each type of item."""
