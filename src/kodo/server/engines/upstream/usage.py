"""Token counts under all the names that servers have for them."""

from __future__ import annotations

from typing import Any, Final

from kodo.server.lifecycle.ports import Usage

MAX_TOKENS: Final = 2**40
"""A server that counts more is wrong; sums of such counts still fit the store's 64 bits."""
_INPUT: Final = (("prompt_tokens", None), ("input_tokens", None), ("prompt_eval_count", None))
_OUTPUT: Final = (("completion_tokens", None), ("output_tokens", None), ("eval_count", None))
_CACHED: Final = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens", None),  # DeepSeek
    ("cached_tokens", None),  # Moonshot
    ("cache_read_input_tokens", None),  # Anthropic's name, which some gateways hand on
    ("num_cached_tokens", None),
)
_CACHE_WRITE: Final = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("prompt_tokens_details", "cache_creation_tokens"),
    ("cache_creation_input_tokens", None),
)
_REASONING: Final = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens", None),  # SGLang
)
_TOTAL: Final = (("total_tokens", None),)


def read_usage(value: Any) -> Usage | None:
    """The counts of a ``usage`` object. None if it has no counts, or they are null."""
    if not isinstance(value, dict):
        return None
    read, written = _first(value, _INPUT), _first(value, _OUTPUT)
    if read is None and written is None:
        return None
    read, written = read or 0, written or 0
    cached, cache_write = _first(value, _CACHED) or 0, _first(value, _CACHE_WRITE) or 0
    reasoning, total = _first(value, _REASONING) or 0, _first(value, _TOTAL) or 0
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


def _first(value: dict[str, Any], paths: tuple[tuple[str, str | None], ...]) -> int | None:
    """The first count that is there, of fields and of the fields in them."""
    for name, inner in paths:
        found: Any = value.get(name)
        if inner is not None and found is not None:
            found = found.get(inner) if isinstance(found, dict) else None
        if found is None:
            continue
        if isinstance(found, str) and found.isdecimal():
            found = int(found[:18])
        if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0:
            return int(min(found, MAX_TOKENS))
    return None
