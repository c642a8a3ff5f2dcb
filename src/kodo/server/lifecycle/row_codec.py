"""What a row keeps of a request and its Response, and how both are read back."""

from __future__ import annotations

import msgspec

from kodo.server.lifecycle.context import History
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.plan import RequestPlan
from kodo.server.lifecycle.ports import Sampling, Usage
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.wire.hosted_tools import without_secrets
from kodo.server.wire.items import Compaction
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import Response


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a restart needs to run a request again. What has its default is left out, here and in the values inside: two rows
    instead of one then fit into a page of the database."""

    request: CreateResponse
    sampling: Sampling
    priority: int
    prior_usage: Usage = msgspec.field(default=Usage(), name="spent")
    """Tokens that went into it before it began: a compaction's summary."""
    input_tokens: int = 0
    """Of its first prompt: what it has used at least, if it ends with its server."""
    key_id: str | None = None
    """The key that it was accepted from."""
    last_item_at_start: str | None = msgspec.field(default=None, name="stands_on")
    """The last item of its conversation when it began. None if the conversation was empty, or without one."""


def initial_row(
    plan: RequestPlan,
    response: Response,
    now: float,
    history: History,
    prior_usage: Usage,
    input_tokens: int,
) -> ResponseRow:
    """The row of a response that begins. ``now`` in seconds since the epoch; ``input_tokens``: of its first prompt."""
    request = plan.request
    return ResponseRow(
        id=response.id,
        owner=plan.call.owner,
        status=response.status,
        created_at=now,
        parent=request.previous_response_id,
        conversation=request.conversation,
        background=plan.background,
        request=_encode_request(plan, history, prior_usage, input_tokens),
        response=msgspec.json.encode(response),
    )


def _encode_request(plan: RequestPlan, history: History, prior_usage: Usage, input_tokens: int) -> bytes:
    """The request without its items, which are rows of their own; what asks for a compaction is none of them."""
    in_conversation = plan.request.conversation is not None and history.before
    return msgspec.json.encode(
        StoredRequest(
            request=msgspec.structs.replace(
                plan.request,
                input=plan.request.input[-1:] if plan.request.compacts and plan.request.input else None,
                client_metadata=None,
                tools=tuple(without_secrets(tool) for tool in plan.request.tools),
            ),
            sampling=plan.call.sampling,
            priority=plan.priority,
            key_id=plan.call.key_id,
            prior_usage=prior_usage,
            input_tokens=input_tokens,
            last_item_at_start=history.before[-1].item.id if in_conversation else None,
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
        tool_usage=msgspec.UNSET,
        completed_at=None,
        error=None,
        incomplete_details=None,
    )
