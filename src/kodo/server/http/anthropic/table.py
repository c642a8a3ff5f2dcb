"""The part of the table of endpoints that is about Anthropic's Messages."""

from __future__ import annotations

from kodo.server.http.anthropic import endpoints as anthropic
from kodo.server.http.errors import AnthropicError
from kodo.server.http.openapi import Endpoint
from kodo.server.wire.anthropic import AnthropicMessage, CountTokensRequest, MessagesRequest, TokensCount

MESSAGE_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/messages",
        anthropic.create,
        "Create a message (Anthropic's Messages API).",
        body=MessagesRequest,
        answer=AnthropicMessage,
        streams=True,
        error=AnthropicError,
    ),
    Endpoint(
        "POST",
        "/v1/messages/count_tokens",
        anthropic.count_tokens,
        "Count the input tokens of a message (Anthropic's Messages API).",
        body=CountTokensRequest,
        answer=TokensCount,
        error=AnthropicError,
    ),
)
