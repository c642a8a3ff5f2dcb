"""The Response: every key that Open Responses 2026-04-24 requires, and the fields of openai-python 3.54 that kodo fills."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType, field

from kodo.server.wire.items import Item, StrictWire, Wire
from kodo.server.wire.tools import Format, RequestTool, RequestToolChoice, TextFormat

Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class InputTokensDetails(Wire, frozen=True, kw_only=True):
    """How many input tokens were read from the cache and written to it."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Wire, frozen=True, kw_only=True):
    """How many output tokens were spent on reasoning."""

    reasoning_tokens: int = 0


class ResponseUsage(Wire, frozen=True, kw_only=True):
    """The number of tokens used, as counted by the engine."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(Wire, frozen=True, kw_only=True):
    """Why a response is incomplete: ``max_output_tokens`` or ``content_filter``."""

    reason: str


class ResponseError(Wire, frozen=True, kw_only=True):
    """Why a response failed."""

    code: str
    message: str


class ReasoningConfig(StrictWire, frozen=True, kw_only=True):
    """How much the model should reason, and how its reasoning is summarised."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | UnsetType | None = UNSET
    """The first name of ``summary``."""
    context: Literal["auto", "current_turn", "all_turns"] | UnsetType | None = UNSET
    mode: str | UnsetType = UNSET
    """This and ``context`` are echoed."""


class TextConfig(StrictWire, frozen=True, kw_only=True):
    """The format and verbosity of the answer's text."""

    format: Format = TextFormat()
    verbosity: Literal["low", "medium", "high"] | UnsetType | None = UNSET


class ConversationRef(Wire, frozen=True, kw_only=True):
    """The conversation that a response belongs to."""

    id: str


class PromptCacheOptions(StrictWire, frozen=True, kw_only=True):
    """How the processed prompt is kept for later requests."""

    mode: Literal["implicit", "explicit"] = "implicit"
    ttl: Literal["30m", "12h"] = "30m"
    prewarm: bool | UnsetType = UNSET
    comparison_response_id: str | UnsetType | None = UNSET


class WebSearchUsage(Wire, frozen=True, kw_only=True):
    """How many searches on the web were made."""

    num_requests: int = 0


def _no_images() -> dict[str, Any]:
    details = {"image_tokens": 0, "text_tokens": 0}
    return {"input_tokens": 0, "input_tokens_details": details, "output_tokens": 0, "total_tokens": 0}


class ToolUsage(Wire, frozen=True, kw_only=True):
    """What the tools that this server ran count as, where they were offered."""

    image_gen: dict[str, Any] = field(default_factory=_no_images)
    """No image is ever made; the contract wants the zeros."""
    web_search: WebSearchUsage = WebSearchUsage()


class Response(Wire, frozen=True, kw_only=True):
    """A response. Times are in seconds since the epoch."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    incomplete_details: IncompleteDetails | None = None
    model: str
    previous_response_id: str | None = None
    conversation: ConversationRef | None = None
    instructions: str | None = None
    output: tuple[Item, ...] = ()
    error: ResponseError | None = None
    tools: tuple[RequestTool, ...] = ()
    tool_choice: RequestToolChoice = "auto"
    truncation: Literal["auto", "disabled"] = "disabled"
    parallel_tool_calls: bool = True
    text: TextConfig = TextConfig()
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    temperature: float = 1.0
    reasoning: ReasoningConfig | None = None
    usage: ResponseUsage | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    store: bool = True
    background: bool = False
    service_tier: str = "default"
    metadata: dict[str, str] = field(default_factory=dict)
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | UnsetType | None = UNSET
    prompt_cache_options: PromptCacheOptions | UnsetType = UNSET
    user: str | UnsetType | None = UNSET
    tool_usage: ToolUsage | UnsetType = UNSET
    input_transformations: tuple[dict[str, Any], ...] | UnsetType = UNSET


class CompactedResponse(Wire, frozen=True, kw_only=True):
    """A compacted conversation history. Times are in seconds since the epoch."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: tuple[Item, ...]
    usage: ResponseUsage


class InputTokens(Wire, frozen=True, kw_only=True):
    """The number of input tokens of a request."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
