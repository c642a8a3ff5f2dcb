"""``/v1/vector_stores`` as openai-python 3.54 has them: stores, their files, batches of files, and searches."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from kodo.server.wire.items import StrictWire, Wire
from kodo.server.wire.request import Metadata

FileStatus: TypeAlias = Literal["in_progress", "completed", "cancelled", "failed"]
FileId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
AttributeName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
AttributeText: TypeAlias = Annotated[str, Meta(max_length=512)]
AttributeWhole: TypeAlias = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)]
Attributes: TypeAlias = Annotated[
    dict[AttributeName, AttributeText | bool | AttributeWhole | float], Meta(max_length=16)
]
"""What a file is filtered by: at most 16 names of 64 characters, texts of 512."""
MAX_BATCH_FILES = 2000


class StaticChunking(StrictWire, frozen=True, kw_only=True):
    """Sizes in tokens. The overlap is at most half of a chunk."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)] = 800
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=2048)] = 400


class StaticStrategy(StrictWire, frozen=True, kw_only=True, tag="static"):
    """Chunks of a size that the client chose."""

    static: StaticChunking


class AutoStrategy(StrictWire, frozen=True, kw_only=True, tag="auto"):
    """Chunks of 800 tokens that overlap by 400."""


ChunkingStrategy: TypeAlias = StaticStrategy | AutoStrategy


class StoreExpiry(StrictWire, frozen=True, kw_only=True):
    """A store expires this many days after its last use."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class FileCounts(Wire, frozen=True, kw_only=True):
    """Files by their status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class VectorStore(Wire, frozen=True, kw_only=True):
    """A vector store. Times are in seconds since the epoch, ``usage_bytes`` counts texts and vectors."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str = ""
    description: str | None = None
    usage_bytes: int = 0
    file_counts: FileCounts = FileCounts()
    status: Literal["expired", "in_progress", "completed"] = "completed"
    expires_after: StoreExpiry | None = None
    expires_at: int | None = None
    last_active_at: int | None = None
    metadata: dict[str, str] | None = None


class LastError(Wire, frozen=True, kw_only=True):
    """Why a file could not be read."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class VectorStoreFile(Wire, frozen=True, kw_only=True):
    """A file in a store; ``id`` is the file's."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    usage_bytes: int = 0
    created_at: int
    vector_store_id: str
    status: FileStatus = "in_progress"
    last_error: LastError | None = None
    chunking_strategy: StaticStrategy
    attributes: dict[str, str | bool | int | float] = field(default_factory=dict)


class FileBatch(Wire, frozen=True, kw_only=True):
    """Files that were added together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus = "in_progress"
    file_counts: FileCounts = FileCounts()


# --- bodies ----------------------------------------------------------------------------------------------------------

StoreName: TypeAlias = Annotated[str, Meta(max_length=256)]


class CreateVectorStore(StrictWire, frozen=True, kw_only=True):
    """The body that creates a store."""

    name: StoreName | None = None
    description: Annotated[str, Meta(max_length=4096)] | None = None
    file_ids: Annotated[tuple[FileId, ...], Meta(max_length=500)] | None = None
    expires_after: StoreExpiry | None = None
    chunking_strategy: ChunkingStrategy | None = None
    metadata: Metadata | None = None


class UpdateVectorStore(StrictWire, frozen=True, kw_only=True):
    """The body that modifies a store; what is left out stays."""

    name: StoreName | UnsetType | None = UNSET
    expires_after: StoreExpiry | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class AddFile(StrictWire, frozen=True, kw_only=True):
    """The body that adds a file to a store."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class UpdateFile(StrictWire, frozen=True, kw_only=True):
    """The new attributes of a file, in the place of all it had."""

    attributes: Attributes | None


class CreateFileBatch(StrictWire, frozen=True, kw_only=True):
    """The files of a batch: ``file_ids`` with common options, or ``files`` with their own."""

    file_ids: Annotated[tuple[FileId, ...], Meta(min_length=1, max_length=MAX_BATCH_FILES)] | None = None
    files: Annotated[tuple[AddFile, ...], Meta(min_length=1, max_length=MAX_BATCH_FILES)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class HybridSearch(StrictWire, frozen=True, kw_only=True):
    """What the two rankings weigh in their reciprocal rank fusion."""

    embedding_weight: Annotated[float, Meta(ge=0)]
    text_weight: Annotated[float, Meta(ge=0)]


class RankingOptions(StrictWire, frozen=True, kw_only=True):
    """How results are ordered. Every ``ranker`` here is the same fusion of words and vectors."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    hybrid_search: HybridSearch | None = None


Query: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]


class SearchRequest(StrictWire, frozen=True, kw_only=True):
    """A search in a store. ``filters`` is a comparison or a compound of filters."""

    query: Query | Annotated[tuple[Query, ...], Meta(min_length=1, max_length=16)]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=50)] = 10
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False


class TextContent(Wire, frozen=True, kw_only=True, tag="text"):
    """Text of a file."""

    text: str


class SearchResult(Wire, frozen=True, kw_only=True):
    """A chunk that was found; ``score`` is from 0 to 1."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, str | bool | int | float]
    content: tuple[TextContent, ...]


class SearchPage(Wire, frozen=True, kw_only=True):
    """The results of a search; there is one page."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: tuple[str, ...]
    data: tuple[SearchResult, ...]
    has_more: bool = False
    next_page: str | None = None


class FileContentPage(Wire, frozen=True, kw_only=True):
    """The text of a file as it was read, by chunks without their overlap."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: tuple[TextContent, ...]
    has_more: bool = False
    next_page: str | None = None


class DeletedStore(Wire, frozen=True, kw_only=True):
    """Confirms that a store was deleted."""

    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: Literal[True] = True


class DeletedStoreFile(Wire, frozen=True, kw_only=True):
    """Confirms that a file was taken out of a store."""

    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: Literal[True] = True
