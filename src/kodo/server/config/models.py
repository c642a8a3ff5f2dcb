"""The settings of models: what stands behind each name, and the embedded engine."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from kodo.server.config.tables import Frozen, SentHeaders, SentSecret, Url

DEFAULT_MODEL = "smollm2-135m-instruct"
"""Name of the local model that ``make setup`` installs."""
DEFAULT_CONTEXT = 8192
"""Tokens a slot of a local model."""


class TargetSettings(Frozen):
    """One of several servers behind a name. ``[[models."NAME".targets]]``. What is not set is the model's own."""

    base_url: Url
    """The server's base URL, ending in ``/v1``."""
    name: str | None = None
    """How it is called in metadata, metrics and logs; default: ``target-1`` and so on."""
    api_key: SentSecret | None = None
    target: str | None = None
    """The model's name there."""
    profile: str | None = None
    headers: SentHeaders = Field(default_factory=dict)
    query: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)


class ModelSettings(Frozen):
    """The model behind one name. ``[models."NAME"]`` in the settings file."""

    engine: Literal["llama", "upstream", "scripted"] = "llama"
    target: str = DEFAULT_MODEL
    """llama: a name of ``kodo model list`` or a path to a GGUF; upstream: the model's name there;
    scripted: a path to a script of answers, or empty for an echo."""
    projector: str | None = None
    """llama: a path to the GGUF that turns images into tokens; default: the one that was pulled with the model."""
    base_url: Url | None = None
    """upstream: the server's base URL, ending in ``/v1``."""
    api_key: SentSecret | None = None
    """upstream: its key."""
    targets: tuple[TargetSettings, ...] = ()
    """upstream: several servers in place of ``base_url``; see docs/guides/upstream.md."""
    profile: str = "auto"
    """upstream: which kind of server it is; auto asks it."""
    api: Literal["chat", "responses"] = "chat"
    """upstream: the API that it is asked by."""
    headers: SentHeaders = Field(default_factory=dict)
    query: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)
    """upstream: sent with each request, besides what the client asks for."""
    omit: tuple[str, ...] = ()
    """upstream: fields of the body that are left out."""
    images: bool | None = None
    """upstream: whether the model sees images; default: what the server or its profile says."""
    parallel: int | None = Field(default=None, ge=1)
    """upstream: requests at the same time; default: 16 a server."""
    default_output_tokens: int | None = Field(default=None, ge=1)
    """The server's own cap on an answer, in tokens, where the client set none: the answer is ended at a sentence, a list
    item or a closed code block, and counts as completed. Reasoning does not count. ``default_cap`` says when it holds.
    Default: 256 for a model under a billion parameters, else 2,048."""
    default_cap: Literal["auto", "always", "contended"] = "auto"
    """When the server's own cap holds: always, or only where another request has to wait. ``auto``: always for
    a model under a billion parameters, which rambles; else where others wait."""
    end_loops: bool | None = None
    """llama: whether text that goes round in a loop is ended, and a string in JSON closed: in a loop, in a word of more than
    120 bytes, and behind 300 bytes at the next sentence. Never where the client sets penalties itself. With any engine: whether
    the model is offered no more hosted tools behind a call that it repeats with the same result. Default: for models under a
    billion parameters."""
    context_window: int | None = Field(default=None, ge=64)
    """Tokens; default: what the engine reports."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sampling where the client set none; default: the model card's."""
    price_input: float = Field(default=0.0, ge=0)
    price_cached_input: float = Field(default=0.0, ge=0)
    price_output: float = Field(default=0.0, ge=0)
    """US dollars a million tokens, as reported by ``/v1/models``; budgets of keys in dollars count with them."""

    @property
    def has_price(self) -> bool:
        """Whether any of its tokens costs something."""
        return max(self.price_input, self.price_cached_input, self.price_output) > 0


class LlamaSettings(Frozen):
    """The embedded engine. ``[llama]``."""

    threads: int = Field(default_factory=lambda: min(os.cpu_count() or 2, 16), ge=1)
    decode_threads: int | None = Field(default=None, ge=1)
    """Threads for a step that computes one token, as a single answer's do.
    Default: all of ``threads``, one fewer for a model below 500 MB."""
    parallel: int | None = Field(default=None, ge=1, le=64)
    """Slots: requests that are decoded together. Default: 4 to 8, by the
    machine's memory and what a slot of the model takes of it."""
    batch: int = Field(default=128, ge=32)
    """Tokens evaluated in one step of a prefill; also how long a cancel has to wait."""
    context: int = Field(default=DEFAULT_CONTEXT, ge=256)
    """Tokens per slot; never more than the model was trained for."""
