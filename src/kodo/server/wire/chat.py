"""``/v1/chat/completions``: the request as openai-python 3.54 sends it, and its answer.

Parameters that are known and not honoured are in :data:`REFUSED`; docs/guides/chat.md has the table, held together with these
by a test.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from kodo.server.wire.items import Logprob, StrictWire, Wire
from kodo.server.wire.request import Metadata
from kodo.server.wire.response import PromptCacheOptions

REFUSED: dict[str, str] = {
    "audio": "this server has no audio",
    "moderation": "this server has no moderation models",
}


class ChatStreamOptions(StrictWire, frozen=True, kw_only=True):
    """Options of a stream. ``include_usage`` adds a last chunk with the usage; obfuscation is not supported."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | UnsetType = UNSET


class ChatUserLocation(StrictWire, frozen=True, kw_only=True):
    """About where the user is; ``approximate`` is checked by the tool."""

    type: Literal["approximate"]
    approximate: dict[str, Any]


class WebSearchOptions(StrictWire, frozen=True, kw_only=True):
    """A search on the web before the answer."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: ChatUserLocation | None = None


class ChatRequest(StrictWire, frozen=True, kw_only=True):
    """A request for a chat completion."""

    messages: list[dict[str, Any]]
    model: Annotated[str, Meta(min_length=1, max_length=512)]
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Annotated[int, Meta(ge=-(2**53), le=2**53)] | None = None
    stop: (
        Annotated[str, Meta(min_length=1, max_length=256)]
        | Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=4)]
        | None
    ) = None
    logit_bias: Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=300)] | None = (
        None
    )
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    functions: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=128)] | None = None
    function_call: Any = None
    """``functions`` and this are the first form of ``tools`` and ``tool_choice``; the answer is in that form then."""
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: list[Literal["text"]] | None = None
    prediction: dict[str, Any] | None = None
    """Accepted; no engine here can use it, and the usage says that none of it was."""
    store: bool | None = None
    metadata: Metadata | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prompt_cache_options: PromptCacheOptions | UnsetType | None = UNSET
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None
    web_search_options: WebSearchOptions | None = None


class ToolCallFunction(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The name and the arguments (JSON text) of a function call; in a stream, what is added to them."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolCallCustom(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The name and the input of a call to a free-form tool; in a stream, what is added to them."""

    name: str | UnsetType = UNSET
    input: str | UnsetType = UNSET


class ToolCall(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call by the model. Only streams send ``index``."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: Literal["function", "custom"] | UnsetType = UNSET
    function: ToolCallFunction | UnsetType = UNSET
    custom: ToolCallCustom | UnsetType = UNSET


class ChatMessage(Wire, frozen=True, kw_only=True):
    """The model's answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    annotations: tuple[dict[str, Any], ...] = ()
    tool_calls: tuple[ToolCall, ...] | UnsetType = UNSET
    function_call: ToolCallFunction | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    """What the model thought; a field that many local servers have, and OpenAI's does not."""


class Delta(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds to an answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    tool_calls: tuple[ToolCall, ...] | UnsetType = UNSET
    function_call: ToolCallFunction | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    annotations: tuple[dict[str, Any], ...] | UnsetType = UNSET
    """Citations; a field that OpenAI's streams have, and the SDK's types do not."""


class ChoiceLogprobs(Wire, frozen=True, kw_only=True):
    """Log probabilities of the tokens of the answer."""

    content: tuple[Logprob, ...]
    refusal: None = None


FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class Choice(Wire, frozen=True, kw_only=True):
    """One of the ``n`` answers."""

    index: int
    message: ChatMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason


class ChunkChoice(Wire, frozen=True, kw_only=True):
    """What a chunk adds to one of the ``n`` answers."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None = None


class PromptTokensDetails(Wire, frozen=True, kw_only=True):
    """How the tokens of the prompt are made up."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(Wire, frozen=True, kw_only=True):
    """How the tokens of the answers are made up."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class CompletionUsage(Wire, frozen=True, kw_only=True):
    """The number of tokens used, as counted by the engine. The prompt counts once, regardless of ``n``."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class ChatCompletion(Wire, frozen=True, kw_only=True):
    """A chat completion. ``created`` is in seconds since the epoch."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: CompletionUsage
    service_tier: str = "default"
    system_fingerprint: str | None = None
    metadata: dict[str, str] | UnsetType = UNSET


class StoredChatCompletion(ChatCompletion, frozen=True, kw_only=True):
    """A chat completion as it is stored: with what it was asked with. ``temperature`` and the like are those that were used;
    ``seed`` is the client's."""

    metadata: dict[str, str] = field(default_factory=dict)
    input_user: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None


class ChatChunk(Wire, frozen=True, kw_only=True):
    """One chunk of a streamed chat completion. ``created`` is in seconds since the epoch."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...] = ()
    usage: CompletionUsage | UnsetType | None = UNSET
    service_tier: str = "default"
    system_fingerprint: str | None = None
