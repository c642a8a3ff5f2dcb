"""What a row keeps of a request and its Response, and how both are read back."""

from __future__ import annotations

import msgspec

from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.context import History
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import Sampling, Usage
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.wire.items import Compaction
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import Response


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart needs to run a request again."""

    request: CreateResponse
    sampling: Sampling
    priority: int
    spent: Usage = Usage()
    """Tokens that went into it before it began: a compaction's summary."""
    stands_on: str | None = None
    """The last item of its conversation when it began; None: it was empty, or there is no conversation."""


def encode_request(
    request: CreateResponse, call: CallContext, priority: Priority, spent: Usage, found: History
) -> bytes:
    """What is kept of a request, as bytes: its items are rows of their own."""
    stands_on = found.before[-1].item.id if request.conversation is not None and found.before else None
    return msgspec.json.encode(
        StoredRequest(
            request=msgspec.structs.replace(request, input=None, client_metadata=None),
            sampling=call.sampling,
            priority=priority,
            spent=spent,
            stands_on=stands_on,
        )
    )


def decode_request(row: ResponseRow) -> StoredRequest:
    """The request behind a row."""
    return msgspec.json.decode(row.request, type=StoredRequest)


def decode_response(row: ResponseRow) -> Response:
    """The Response in a row. Raises ``StoreFailed``."""
    try:
        return msgspec.json.decode(row.response, type=Response)
    except msgspec.DecodeError as error:
        raise StoreFailed(f"Response '{row.id}' cannot be read.") from error


def response_at_start(response: Response) -> Response:
    """A response as it was when its log began."""
    begins_with = tuple(item for item in response.output[:1] if isinstance(item, Compaction))
    return msgspec.structs.replace(
        response,
        status="queued" if response.background else "in_progress",
        output=begins_with,
        usage=None,
        completed_at=None,
        error=None,
        incomplete_details=None,
    )
