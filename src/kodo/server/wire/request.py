"""``POST /v1/responses``: every parameter of openai-python 3.54's ``responses.create`` and of Open Responses 2026-04-24.

Which are honoured, echoed or refused: docs/reference/parameters.md, held together with :data:`REFUSED` and the Struct below by a
test. Refused ones are declared, so that the error can name the reason instead of calling them unknown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.items import CompactionTrigger, InputItem, StrictWire
from kodo.server.wire.response import PromptCacheOptions, ReasoningConfig, TextConfig
from kodo.server.wire.tools import RequestTool, RequestToolChoice

Include: TypeAlias = Literal[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
]
Short: TypeAlias = Annotated[str, Meta(max_length=64)]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]

REFUSED: dict[str, str] = {
    "access_programs": "access programs belong to the hosted service",
    "background_options": "completion windows belong to the hosted service",
    "image": "this server has no image compression",
    "moderation": "this server has no moderation models",
    "prompt": "stored prompt templates belong to the hosted service; send instructions and input",
}
"""Parameters that are known and not honoured, and why."""
COUNT_REFUSED: dict[str, str] = {"personality": "style presets belong to the hosted models"}
"""The same, of ``POST /v1/responses/input_tokens`` alone."""


class StreamOptions(StrictWire, frozen=True, kw_only=True):
    """Options of a stream. Obfuscation, which pads events against observers of the network, is not supported."""

    include_obfuscation: Literal[False] | UnsetType = UNSET


class ContextManagement(StrictWire, frozen=True, kw_only=True):
    """Compaction by the server as soon as the context exceeds ``compact_threshold`` tokens."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int, Meta(ge=1)] | None = None


class CreateResponse(StrictWire, frozen=True, kw_only=True, omit_defaults=True):
    """A request for a response."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    input: str | tuple[InputItem, ...] | None = None
    instructions: Annotated[str, Meta(max_length=10 * 2**20)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    previous_response_id: Short | None = None
    conversation: str | None = None
    store: bool | None = None
    background: bool | None = None
    include: tuple[Include, ...] | None = None
    tools: tuple[RequestTool, ...] = ()
    tool_choice: RequestToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: tuple[ContextManagement, ...] | None = None
    metadata: Metadata | None = None
    user: Annotated[str, Meta(max_length=512)] | UnsetType | None = UNSET
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | UnsetType | None = UNSET
    prompt_cache_options: PromptCacheOptions | UnsetType | None = UNSET
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    client_metadata: dict[str, Any] | None = None
    """Codex CLI's own telemetry: accepted, not used, not stored."""

    @property
    def wants_logprobs(self) -> bool:
        """Whether the request asks for log probabilities."""
        return "message.output_text.logprobs" in (self.include or ()) or bool(self.top_logprobs)

    @property
    def compacts(self) -> bool:
        """Whether the context is to be compacted, and nothing generated."""
        return isinstance(self.input, tuple) and isinstance(
            self.input[-1] if self.input else None, CompactionTrigger
        )


class CompactRequest(StrictWire, frozen=True, kw_only=True):
    """A conversation history to compact."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    input: str | tuple[InputItem, ...] | None = None
    previous_response_id: Short | None = None
    instructions: str | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | UnsetType | None = UNSET
    prompt_cache_options: PromptCacheOptions | UnsetType | None = UNSET
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
