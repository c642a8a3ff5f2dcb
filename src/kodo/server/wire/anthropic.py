"""``/v1/messages``: the request as anthropic-sdk-python 2.14 sends it, and its answer.

Parameters that are known and not honoured are in :data:`REFUSED`; docs/guides/anthropic.md has the table, held together
with these by a test. Unlike the other families this one takes parameters that it does not know: clients of this API send
those of betas with every request. They are left out and named in the answer's ``x-kodo-ignored-parameters`` header.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.items import Wire

REFUSED: dict[str, str] = {
    "container": "containers belong to the hosted service",
    "mcp_servers": "this server connects to no MCP servers for this API",
}
IGNORED = frozenset(
    {
        "cache_control",
        "context_management",
        "diagnostics",
        "inference_geo",
        "service_tier",
        "speed",
        "user_profile_id",
        "workspace_id",
    }
)
"""Parameters that are known and change nothing here."""

StopReason: TypeAlias = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


class MessagesMetadata(Wire, frozen=True, kw_only=True):
    """Who asks. Requests of one ``user_id`` go to the slot that holds their prefix."""

    user_id: Annotated[str, Meta(max_length=4096)] | None = None


class ThinkingConfig(Wire, frozen=True, kw_only=True):
    """Whether to think, and for how many tokens."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Wire, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    schema_: dict[str, Any]


class OutputConfig(Wire, frozen=True, kw_only=True):
    """The form of the answer, and the effort that goes into it."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class MessagesToolChoice(Wire, frozen=True, kw_only=True):
    """Which tools may or must be called; ``name`` goes with ``tool``."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class CountTokensRequest(Wire, frozen=True, kw_only=True):
    """The body of ``POST /v1/messages/count_tokens``, checked; messages and tools are translated apart."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=100_000)]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: MessagesToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None


class MessagesRequest(CountTokensRequest, frozen=True, kw_only=True):
    """The body of ``POST /v1/messages``, checked. ``max_tokens`` 0 only reads the prompt into the cache."""

    max_tokens: Annotated[int, Meta(ge=0, le=2**31)]
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    stop_sequences: (
        Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=16)] | None
    ) = None
    metadata: MessagesMetadata | None = None


# --- answers ---------------------------------------------------------------------------------------------------------


class MessageTextBlock(Wire, frozen=True, kw_only=True, tag="text"):
    """Text from the model."""

    text: str
    citations: None = None


class ThinkingBlock(Wire, frozen=True, kw_only=True, tag="thinking"):
    """How the model got there. ``signature`` is opaque: the reasoning, sealed for its owner."""

    thinking: str
    signature: str


class ToolUseBlock(Wire, frozen=True, kw_only=True, tag="tool_use"):
    """The model wants a tool called."""

    id: str
    name: str
    input: dict[str, Any]


Block: TypeAlias = MessageTextBlock | ThinkingBlock | ToolUseBlock


class ThinkingTokens(Wire, frozen=True, kw_only=True):
    """A part of the output, in tokens."""

    thinking_tokens: int


class MessagesUsage(Wire, frozen=True, kw_only=True):
    """Tokens, as the engine counted them. The three kinds of input add up to the prompt."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int
    output_tokens_details: ThinkingTokens | None = None
    service_tier: Literal["standard"] | UnsetType = UNSET


class AnthropicMessage(Wire, frozen=True, kw_only=True, tag="message"):
    """One turn of the model."""

    id: str
    role: Literal["assistant"] = "assistant"
    model: str
    content: tuple[Block, ...] = ()
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: MessagesUsage


class TokensCount(Wire, frozen=True, kw_only=True):
    """The answer of ``POST /v1/messages/count_tokens``."""

    input_tokens: int


# --- events ----------------------------------------------------------------------------------------------------------


class MessageStart(Wire, frozen=True, kw_only=True, tag="message_start"):
    """The message exists."""

    message: AnthropicMessage


class Ping(Wire, frozen=True, kw_only=True, tag="ping"):
    """Nothing happened: the answer is still being worked on."""


class BlockStart(Wire, frozen=True, kw_only=True, tag="content_block_start"):
    """A block begins."""

    index: int
    content_block: Block


class MessageTextDelta(Wire, frozen=True, kw_only=True, tag="text_delta"):
    """More text."""

    text: str


class ThinkingDelta(Wire, frozen=True, kw_only=True, tag="thinking_delta"):
    """More of the thinking."""

    thinking: str


class SignatureDelta(Wire, frozen=True, kw_only=True, tag="signature_delta"):
    """The signature of the thinking, before its block ends."""

    signature: str


class InputJsonDelta(Wire, frozen=True, kw_only=True, tag="input_json_delta"):
    """More of a call's input, as JSON text."""

    partial_json: str


BlockDelta: TypeAlias = MessageTextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class BlockDeltaEvent(Wire, frozen=True, kw_only=True, tag="content_block_delta"):
    """More of a block."""

    index: int
    delta: BlockDelta


class BlockStop(Wire, frozen=True, kw_only=True, tag="content_block_stop"):
    """A block is over."""

    index: int


class StopDelta(Wire, frozen=True, kw_only=True):
    """Why the message ended."""

    stop_reason: StopReason
    stop_sequence: str | None = None


class MessageDelta(Wire, frozen=True, kw_only=True, tag="message_delta"):
    """The end of the message and its usage, which replaces that of ``message_start``."""

    delta: StopDelta
    usage: MessagesUsage


class MessageStop(Wire, frozen=True, kw_only=True, tag="message_stop"):
    """The last event."""


MessagesEvent: TypeAlias = (
    MessageStart | Ping | BlockStart | BlockDeltaEvent | BlockStop | MessageDelta | MessageStop
)
