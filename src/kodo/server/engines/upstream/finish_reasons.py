"""The ends of an answer under all the names that servers have for them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Ending: TypeAlias = Literal["stop", "length", "content_filter", "failed", "unknown"]

_LENGTH: Final = {
    "length",
    "max_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "model_length",
    "token_limit",
    "model_context_window_exceeded",  # GLM, and Anthropic behind gateways
    "context_length_exceeded",
}
_FILTERED: Final = {"content_filter", "content_filtered", "safety", "image_safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal", "sensitive", "model_armor", "guardrail_intervened"}  # fmt: skip
_STOPPED: Final = {"stop", "tool_calls", "tool_use", "function_call", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "completed", "complete", "done", "finished", "null", ""}  # fmt: skip
_FAILED: Final = {"error", "server_error", "network_error", "timeout", "cancelled", "insufficient_system_resource", "abort", "malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"}  # fmt: skip


def read_finish_reason(reason: str) -> Ending:
    """What a server means. Gemini puts a word in front: ``function_call_filter: MALFORMED_FUNCTION_CALL``."""
    name = reason.rpartition(":")[2].strip().lower().replace("-", "_")
    if name in _LENGTH:
        return "length"
    if name in _FILTERED:
        return "content_filter"
    if name in _FAILED:
        return "failed"
    return "stop" if name in _STOPPED else "unknown"
