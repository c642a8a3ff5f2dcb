"""``POST /v1/embeddings``, for models whose engine supports it."""

from __future__ import annotations

import array
import base64
import sys
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import cancel_on_disconnect, json_response
from kodo.server.http.state import get_caller, get_state, get_ticket, json_body
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.service import Service
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.embeddings import Embedding, EmbeddingsRequest, EmbeddingsResponse, EmbeddingsUsage


async def create(request: Request) -> Response:
    """``POST /v1/embeddings``."""
    state, caller = get_state(request), get_caller(request)
    ticket = get_ticket(request)
    try:
        body = parse_request(await json_body(request))
        call = CallContext(owner=caller.owner, key_id=caller.key_id)
        value = await cancel_on_disconnect(request, embed(state.service, call, body))
        ticket.count(value.usage)
    finally:
        ticket.close()
    return json_response(value, headers=ticket.headers)


def parse_request(raw: Mapping[str, Any]) -> EmbeddingsRequest:
    """Check a body. Raises :class:`BadBody`."""
    given = raw.get("input")
    if isinstance(given, list) and any(isinstance(one, int | list) for one in given):
        raise BadBody(
            "Token arrays are not supported, because the tokenizer they come from is unknown: send text "
            "(with LangChain, check_embedding_ctx_length=False).",
            "input",
            "unsupported_value",
        )
    body: EmbeddingsRequest = convert(raw, EmbeddingsRequest)
    return body


async def embed(service: Service, call: CallContext, body: EmbeddingsRequest) -> EmbeddingsResponse:
    """Compute the vectors of a request when its turn comes, and charge them.

    Raises:
        InvalidRequest: the model has no embeddings, or vectors of another size than ``dimensions``.
    """
    backend = service.backend(body.model)
    texts = [body.input] if isinstance(body.input, str) else body.input
    backend.admission.check(call.priority)
    lease = await backend.admission.acquire(call.owner, call.priority)
    try:
        vectors, tokens = await backend.engine.embed(texts)
    finally:
        backend.admission.release(lease)
    await service.charge(call, body.model, Usage(input=tokens))
    if body.dimensions is not None and vectors and body.dimensions != len(vectors[0]):
        raise InvalidRequest(f"This model's vectors have {len(vectors[0])} dimensions.", param="dimensions")
    as_text = body.encoding_format == "base64"
    return EmbeddingsResponse(
        data=tuple(
            Embedding(index=index, embedding=_base64(vector) if as_text else list(vector))
            for index, vector in enumerate(vectors)
        ),
        model=body.model,
        usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def _base64(vector: object) -> str:
    numbers = array.array("f", vector)  # type: ignore[call-overload]  # any sequence of floats
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
