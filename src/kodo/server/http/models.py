"""``/v1/models``: the model names of this server, and the engine and model behind each."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.state import get_state
from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.plan import Backend


def _wire(backend: Backend, created: int) -> dict[str, Any]:
    card, settings = backend.card, backend.settings
    return {
        "id": backend.name,
        "object": "model",
        "created": created,
        "owned_by": "kodo",
        "context_window": card.context_window,
        "max_output_tokens": card.max_output_tokens,
        "default_output_tokens": backend.own_cap,
        "pricing": {
            "unit": "USD per 1M tokens",
            "input": settings.price_input,
            "cached_input": settings.price_cached_input,
            "output": settings.price_output,
        },
        "backing": {"engine": card.engine, "model": card.name, "source": card.source},
        "capabilities": {"images": card.images, "reasoning": card.reasoning, "continues": card.continues},
    }


async def list_models(request: Request) -> Response:
    """``GET /v1/models``."""
    state = get_state(request)
    data = [_wire(backend, state.started) for backend in state.models.values()]
    return json_response({"object": "list", "data": data})


async def retrieve_model(request: Request) -> Response:
    """``GET /v1/models/{id}``."""
    state, name = get_state(request), request.path_params["model"]
    backend = state.models.get(name)
    if backend is None:
        raise NotFound(
            f"The model '{name}' does not exist on this server.", param="model", code="model_not_found"
        )
    return json_response(_wire(backend, state.started))
