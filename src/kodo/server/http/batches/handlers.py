"""The table of endpoints that a batch may name, each with the function behind it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from kodo.server.http import embeddings
from kodo.server.http.batches.request_runner import Handler
from kodo.server.http.chat.endpoints import chat_completions
from kodo.server.http.chat.endpoints import completions as completions_endpoint
from kodo.server.http.chat.manager import CompletionManager
from kodo.server.http.responses import endpoints as responses
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.service import Service
from kodo.server.wire.embeddings import EmbeddingsResponse


async def _run_embeddings(
    service: Service, call: CallContext, raw: Mapping[str, object]
) -> EmbeddingsResponse:
    return await embeddings.embed(service, call, embeddings.parse_request(raw))


def batch_handlers(completions: CompletionManager) -> Mapping[str, Handler]:
    """Return the function behind each endpoint that a batch may name; ``completions`` takes what a line asks to store."""
    return {
        "/v1/responses": responses.run_to_completion,
        "/v1/chat/completions": partial(chat_completions.run_to_completion, completions),
        "/v1/completions": partial(completions_endpoint.run_to_completion, completions),
        "/v1/embeddings": _run_embeddings,
    }
