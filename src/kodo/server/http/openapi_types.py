"""Bodies, answers and forms that only the OpenAPI document needs as types; the server reads and writes plain objects.

The document has these docstrings as descriptions. A test that generates requests from the document checks every answer
against these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar, get_args

from msgspec import Struct

from kodo.server.wire import batches, files
from kodo.server.wire.items import InputItem, Item, StrictWire
from kodo.server.wire.request import Metadata

T = TypeVar("T")


class ListPage(Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list. Send ``last_id`` as ``after`` for the next page."""

    object: Literal["list"]
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ItemPage(ListPage[Item], frozen=True, kw_only=True):
    """A page of items."""


class MessagePage(ListPage[dict[str, Any]], frozen=True, kw_only=True):
    """A page of chat messages as they were sent, each with an id."""


class DeletedObject(Struct, frozen=True, kw_only=True):
    """Confirms that an object was deleted."""

    id: str
    object: str
    deleted: Literal[True]


class Health(Struct, frozen=True, kw_only=True):
    """The server's name and version."""

    status: Literal["ok"]
    server: Literal["kodo"]
    version: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether every engine is ready; ``waiting_for`` lists the models whose engine is not."""

    status: Literal["ready", "waiting"]
    waiting_for: list[str]


class ModelPricing(Struct, frozen=True, kw_only=True):
    """The prices that the cost of usage is computed with, in USD per million tokens."""

    unit: Literal["USD per 1M tokens"]
    input: float | None
    cached_input: float | None
    output: float | None


class ModelBacking(Struct, frozen=True, kw_only=True):
    """The engine and the model that answer for this name."""

    engine: str
    model: str
    source: str


class ModelCapabilities(Struct, frozen=True, kw_only=True):
    """Whether the model accepts images, whether it reasons, and whether an interrupted answer is continued after a
    restart."""

    images: bool
    reasoning: bool
    continues: bool


class Model(Struct, frozen=True, kw_only=True):
    """A model that this server offers. Sizes are in tokens."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_window: int
    max_output_tokens: int | None
    default_output_tokens: int | None
    pricing: ModelPricing
    backing: ModelBacking
    capabilities: ModelCapabilities


class Models(Struct, frozen=True, kw_only=True):
    """All models; this list is not paginated."""

    object: Literal["list"]
    data: list[Model]


class ClientSecret(Struct, frozen=True, kw_only=True):
    """A short-lived key. ``expires_at`` is in seconds since the epoch."""

    value: str
    expires_at: int
    session: dict[str, Any]


class UpdateMetadata(StrictWire, frozen=True, kw_only=True):
    """The new metadata of an object; null removes what it has."""

    metadata: Metadata | None


class CreateConversation(StrictWire, frozen=True, kw_only=True):
    """A new conversation: its metadata and its first items."""

    metadata: Metadata | None = None
    items: list[InputItem] | None = None


class CreateItems(StrictWire, frozen=True, kw_only=True):
    """The items to add, at most 20."""

    items: list[InputItem]


class BatchBody(batches.CreateBatch, frozen=True, kw_only=True):
    """A new batch for one of the endpoints that batches support."""

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
CONTAINER_FILE_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {"file": _FILE},
    "required": ["file"],
    "additionalProperties": False,
}
PART_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {"data": _FILE},
    "required": ["data"],
    "additionalProperties": False,
}
