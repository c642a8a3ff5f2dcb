"""``/v1/batches`` as openai-python 3.54 has them, and the lines of a batch's files.

The lines are the Batch API's own (platform.openai.com/docs/api-reference/batch, "request input" and "request output").
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Raw

from kodo.server.wire.files import ExpiresAfter
from kodo.server.wire.items import StrictWire, Wire
from kodo.server.wire.request import Metadata
from kodo.server.wire.response import ResponseUsage

BatchStatus: TypeAlias = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]


class BatchError(Wire, frozen=True, kw_only=True):
    """A problem in the input file. ``line`` counts from 1; null if the problem concerns the whole file."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchErrors(Wire, frozen=True, kw_only=True):
    """The problems found in the input file. A long list is cut."""

    object: Literal["list"] = "list"
    data: tuple[BatchError, ...]


class RequestCounts(Wire, frozen=True, kw_only=True):
    """The number of requests in a batch. Each completed request has a line in the output file, each failed one in the
    error file."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(Wire, frozen=True, kw_only=True):
    """A batch of requests. Times are in seconds since the epoch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None = None
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: str
    status: BatchStatus = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts = RequestCounts()
    usage: ResponseUsage | None = None
    metadata: dict[str, str] | None = None


class CreateBatch(StrictWire, frozen=True, kw_only=True):
    """The body that creates a batch."""

    input_file_id: Annotated[str, Meta(min_length=1, max_length=128)]
    endpoint: Annotated[str, Meta(min_length=1, max_length=128)]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None


class RequestLine(Wire, frozen=True, kw_only=True):
    """A line of the input file. ``body`` is the request that would be posted to ``url``."""

    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    method: str
    url: str
    body: Raw


class LineAnswer(Wire, frozen=True, kw_only=True):
    """The response that the endpoint would have sent."""

    status_code: int
    request_id: str
    body: Raw


class LineError(Wire, frozen=True, kw_only=True):
    """Why a request was not run: ``batch_expired`` or ``batch_cancelled``."""

    code: str
    message: str


class ResultLine(Wire, frozen=True, kw_only=True):
    """A line of the output file or the error file. Either ``response`` or ``error`` is set."""

    id: str
    custom_id: str
    response: LineAnswer | None = None
    error: LineError | None = None
