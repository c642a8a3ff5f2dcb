"""``/v1/embeddings``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from kodo.server.wire.items import StrictWire, Wire


class EmbeddingsRequest(StrictWire, frozen=True, kw_only=True):
    """The texts to embed. Arrays of tokens are not supported, because the tokenizer they come from is unknown."""

    input: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=2048)]
    )
    model: Annotated[str, Meta(min_length=1, max_length=512)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None


class Embedding(Wire, frozen=True, kw_only=True):
    """The vector of one text: numbers, or little-endian 32-bit floats in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Wire, frozen=True, kw_only=True):
    """The number of tokens in the texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(Wire, frozen=True, kw_only=True):
    """The vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingsUsage
