"""Token counts under all the names that servers have for them."""

from __future__ import annotations

from typing import Any, Final

from kodo.server.lifecycle.ports import Usage

MAX_TOKENS: Final = 2**40
"""A server that counts more is wrong; sums of such counts still fit the store's 64 bits."""
_INPUT: Final = (("prompt_tokens",), ("input_tokens",), ("prompt_eval_count",))
_OUTPUT: Final = (("completion_tokens",), ("output_tokens",), ("eval_count",))
_CACHED: Final = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Moonshot
    ("cache_read_input_tokens",),  # Anthropic's name, which some gateways hand on
    ("num_cached_tokens",),
)
_CACHE_WRITE: Final = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("prompt_tokens_details", "cache_creation_tokens"),
    ("cache_creation_input_tokens",),
)
_REASONING: Final = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),  # SGLang
)


def read_usage(value: Any) -> Usage | None:
    """The counts of a ``usage`` object. None if it has no counts, or they are null."""
    if not isinstance(value, dict):
        return None
    read, written = _first(value, _INPUT), _first(value, _OUTPUT)
    if read is None and written is None:
        return None
    read, written = read or 0, written or 0
    cached, cache_write = _first(value, _CACHED) or 0, _first(value, _CACHE_WRITE) or 0
    reasoning, total = _first(value, _REASONING) or 0, _first(value, (("total_tokens",),)) or 0
    if "cache_read_input_tokens" in value and "prompt_tokens" not in value:
        read += cached + cache_write  # Anthropic counts them apart
    apart = total - read - written if read else 0
    if apart > 0 and apart in (cached, cached + cache_write):
        read += apart
    elif apart > 0 and (not reasoning or apart == reasoning):
        written, reasoning = written + apart, apart  # xAI and Gemini count the thinking in the sum only
    return Usage(
        input=read,
        cached=min(cached, read),
        cache_write=cache_write,
        output=written,
        reasoning=min(reasoning, written),
    )


def merge_usage(before: Usage | None, now: Usage) -> Usage:
    """Counts of one answer that came in pieces: the later ones stand, but a zero says nothing."""
    if before is None:
        return now
    return Usage(
        input=now.input or before.input,
        cached=now.cached or before.cached,
        cache_write=now.cache_write or before.cache_write,
        output=now.output or before.output,
        reasoning=now.reasoning or before.reasoning,
    )


def _first(value: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> int | None:
    for path in paths:
        found: Any = value
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str) and found.isdecimal():
            found = int(found[:18])
        if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0:
            return int(min(found, MAX_TOKENS))
    return None
