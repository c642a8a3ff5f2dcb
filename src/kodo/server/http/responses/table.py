"""The part of the table of endpoints that is about responses."""

from __future__ import annotations

from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import DeletedObject, ItemPage
from kodo.server.http.responses import endpoints as responses
from kodo.server.wire.request import CompactRequest, CreateResponse
from kodo.server.wire.response import CompactedResponse, InputTokens, Response

_PAGE = ("after", "limit", "order")

RESPONSE_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/responses",
        responses.create,
        "Create a response.",
        body=CreateResponse,
        answer=Response,
        streams=True,
    ),
    Endpoint(
        "POST",
        "/v1/responses/input_tokens",
        responses.input_tokens,
        "Count the input tokens of a request.",
        body=CreateResponse,
        answer=InputTokens,
    ),
    Endpoint(
        "POST",
        "/v1/responses/compact",
        responses.compact,
        "Compact a conversation history into one item.",
        body=CompactRequest,
        answer=CompactedResponse,
    ),
    Endpoint(
        "GET",
        "/v1/responses/{response_id}",
        responses.retrieve,
        "Retrieve a response, or stream its events.",
        answer=Response,
        query=("stream", "starting_after", "include_obfuscation", "include[]"),
        streams=True,
    ),
    Endpoint(
        "DELETE", "/v1/responses/{response_id}", responses.delete, "Delete a response.", answer=DeletedObject
    ),
    Endpoint(
        "POST",
        "/v1/responses/{response_id}/cancel",
        responses.cancel,
        "Cancel a background response.",
        answer=Response,
    ),
    Endpoint(
        "GET",
        "/v1/responses/{response_id}/input_items",
        responses.input_items,
        "List the input items of a response.",
        answer=ItemPage,
        query=("before", "include[]", *_PAGE),
    ),
)
