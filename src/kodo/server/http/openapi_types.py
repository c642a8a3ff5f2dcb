"""Bodies, answers and forms that only the OpenAPI document needs as types; the server reads and writes plain objects.

The document has these docstrings as descriptions. A test that generates requests from the document checks every answer
against these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar, get_args

from msgspec import Struct

from kodo.server.wire import batches, files
from kodo.server.wire.items import InputItem, Item
from kodo.server.wire.request import Metadata

T = TypeVar("T")


class Listed(Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list; ``after`` its ``last_id`` begins the next."""

    object: Literal["list"]
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Items(Listed[Item], frozen=True, kw_only=True):
    """A page of items."""


class Messages(Listed[dict[str, Any]], frozen=True, kw_only=True):
    """A page of chat messages, as they were sent, each with an id."""


class Gone(Struct, frozen=True, kw_only=True):
    """What was deleted."""

    id: str
    object: str
    deleted: Literal[True]


class Health(Struct, frozen=True, kw_only=True):
    """A kodo, and which."""

    status: Literal["ok"]
    server: Literal["kodo"]
    version: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether every engine is there, and which are not."""

    status: Literal["ready", "waiting"]
    waiting_for: list[str]


class Pricing(Struct, frozen=True, kw_only=True):
    """What the usage's ledger counts with."""

    unit: Literal["USD per 1M tokens"]
    input: float | None
    cached_input: float | None
    output: float | None


class Backing(Struct, frozen=True, kw_only=True):
    """What stands behind a name."""

    engine: str
    model: str
    source: str


class Capabilities(Struct, frozen=True, kw_only=True):
    """What it can do beside text."""

    images: bool
    reasoning: bool
    continues: bool


class Model(Struct, frozen=True, kw_only=True):
    """A name that is answered. Sizes in tokens."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_window: int
    max_output_tokens: int | None
    default_output_tokens: int | None
    pricing: Pricing
    backing: Backing
    capabilities: Capabilities


class Models(Struct, frozen=True, kw_only=True):
    """All of them; this list has no pages."""

    object: Literal["list"]
    data: list[Model]


class ClientSecret(Struct, frozen=True, kw_only=True):
    """A short-lived key; ``expires_at`` in seconds since the epoch."""

    value: str
    expires_at: int
    session: dict[str, Any]


class Metadated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New metadata for an object."""

    metadata: Metadata


class ConversationBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new conversation: its metadata, and the items that it begins with."""

    metadata: Metadata | None = None
    items: list[InputItem] | None = None


class ItemsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items to add, at most 20."""

    items: list[InputItem]


class BatchBody(batches.CreateBatch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new batch; its endpoint is one of those that batches here have."""

    endpoint: Literal["/v1/responses", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


_FILE: Mapping[str, Any] = {"type": "string", "format": "binary"}
FILE_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "file": _FILE,
        "purpose": {"enum": list(get_args(files.Purpose))},
        "expires_after[anchor]": {"const": "created_at"},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
    },
    "required": ["file", "purpose"],
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
    "additionalProperties": False,
}
PART_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {"data": _FILE},
    "required": ["data"],
    "additionalProperties": False,
}
