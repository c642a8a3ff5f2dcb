"""``/v1/embeddings``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from kodo.server.wire.items import Wire


class EmbeddingsRequest(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. Token arrays are refused: whose tokens they are cannot be known."""

    input: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=2048)]
    )
    model: Annotated[str, Meta(min_length=1, max_length=512)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None


class Embedding(Wire, frozen=True, kw_only=True):
    """One text's vector: numbers, or base64 of 32-bit floats, little-endian."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Wire, frozen=True, kw_only=True):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(Wire, frozen=True, kw_only=True):
    """All vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingsUsage
