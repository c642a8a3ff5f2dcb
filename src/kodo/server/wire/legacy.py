"""``/v1/completions``, the API before chat."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.chat import CompletionUsage
from kodo.server.wire.items import StrictWire, Wire


class LegacyRequest(StrictWire, frozen=True, kw_only=True):
    """A request for a completion. Parameters shared with chat completions follow the same rules."""

    model: Annotated[str, Meta(min_length=1, max_length=512)]
    prompt: str | Annotated[list[str], Meta(min_length=1, max_length=128)]
    suffix: str | None = None
    echo: bool | None = None
    best_of: Annotated[int, Meta(ge=1, le=16)] | None = None
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None


class LegacyLogprobs(Wire, frozen=True, kw_only=True):
    """Log probabilities: four lists with one entry per token."""

    tokens: tuple[str, ...]
    token_logprobs: tuple[float, ...]
    top_logprobs: tuple[dict[str, float], ...]
    text_offset: tuple[int, ...]


class LegacyChoice(Wire, frozen=True, kw_only=True):
    """One completion; in a stream, the text added to it."""

    index: int
    text: str
    logprobs: LegacyLogprobs | None = None
    finish_reason: Literal["stop", "length", "content_filter"] | None = None


class LegacyCompletion(Wire, frozen=True, kw_only=True):
    """A completion, or one frame of its stream. ``created`` is in seconds since the epoch."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: tuple[LegacyChoice, ...]
    usage: CompletionUsage | UnsetType | None = UNSET
    system_fingerprint: str | None = None
