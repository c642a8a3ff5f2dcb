"""Every parameter that a method of the SDK has is in the published document, or is refused by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Final

import openai
import pytest
from tests.serving import MODEL, served, settings

from kodo.server.http.endpoints import ENDPOINTS, openapi_document

METHODS: Final = {
    "responses.create": "POST /v1/responses",
    "responses.retrieve": "GET /v1/responses/{response_id}",
    "responses.compact": "POST /v1/responses/compact",
    "responses.input_tokens.count": "POST /v1/responses/input_tokens",
    "responses.input_items.list": "GET /v1/responses/{response_id}/input_items",
    "conversations.create": "POST /v1/conversations",
    "conversations.update": "POST /v1/conversations/{conversation_id}",
    "conversations.items.create": "POST /v1/conversations/{conversation_id}/items",
    "conversations.items.list": "GET /v1/conversations/{conversation_id}/items",
    "conversations.items.retrieve": "GET /v1/conversations/{conversation_id}/items/{item_id}",
    "chat.completions.create": "POST /v1/chat/completions",
    "chat.completions.list": "GET /v1/chat/completions",
    "chat.completions.update": "POST /v1/chat/completions/{completion_id}",
    "chat.completions.messages.list": "GET /v1/chat/completions/{completion_id}/messages",
    "completions.create": "POST /v1/completions",
    "embeddings.create": "POST /v1/embeddings",
    "files.create": "POST /v1/files",
    "files.list": "GET /v1/files",
    "uploads.create": "POST /v1/uploads",
    "uploads.parts.create": "POST /v1/uploads/{upload_id}/parts",
    "uploads.complete": "POST /v1/uploads/{upload_id}/complete",
    "batches.create": "POST /v1/batches",
    "batches.list": "GET /v1/batches",
    "vector_stores.create": "POST /v1/vector_stores",
    "vector_stores.update": "POST /v1/vector_stores/{vector_store_id}",
    "vector_stores.list": "GET /v1/vector_stores",
    "vector_stores.search": "POST /v1/vector_stores/{vector_store_id}/search",
    "vector_stores.files.create": "POST /v1/vector_stores/{vector_store_id}/files",
    "vector_stores.files.update": "POST /v1/vector_stores/{vector_store_id}/files/{file_id}",
    "vector_stores.files.list": "GET /v1/vector_stores/{vector_store_id}/files",
    "vector_stores.file_batches.create": "POST /v1/vector_stores/{vector_store_id}/file_batches",
    "vector_stores.file_batches.list_files": (
        "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files"
    ),
    "containers.create": "POST /v1/containers",
    "containers.list": "GET /v1/containers",
    "containers.files.create": "POST /v1/containers/{container_id}/files",
    "containers.files.list": "GET /v1/containers/{container_id}/files",
    "beta.assistants.create": "POST /v1/assistants",
    "beta.assistants.update": "POST /v1/assistants/{assistant_id}",
    "beta.assistants.list": "GET /v1/assistants",
    "beta.threads.create": "POST /v1/threads",
    "beta.threads.update": "POST /v1/threads/{thread_id}",
    "beta.threads.create_and_run": "POST /v1/threads/runs",
    "beta.threads.messages.create": "POST /v1/threads/{thread_id}/messages",
    "beta.threads.messages.update": "POST /v1/threads/{thread_id}/messages/{message_id}",
    "beta.threads.messages.list": "GET /v1/threads/{thread_id}/messages",
    "beta.threads.runs.create": "POST /v1/threads/{thread_id}/runs",
    "beta.threads.runs.update": "POST /v1/threads/{thread_id}/runs/{run_id}",
    "beta.threads.runs.list": "GET /v1/threads/{thread_id}/runs",
    "beta.threads.runs.submit_tool_outputs": "POST /v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
    "beta.threads.runs.steps.list": "GET /v1/threads/{thread_id}/runs/{run_id}/steps",
    "beta.threads.runs.steps.retrieve": "GET /v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}",
    "realtime.client_secrets.create": "POST /v1/realtime/client_secrets",
}
OWN: Final = {"POST /v1/messages", "POST /v1/messages/count_tokens"}
"""Endpoints that another SDK calls: ``tests/unit/test_anthropic_parameters.py``."""
OF_THE_SDK: Final = {"extra_headers", "extra_query", "extra_body", "timeout"}
REFUSED: Final = {
    "responses.create": {"access_programs", "background_options", "image", "moderation", "prompt"},
    "responses.compact": {"image"},
    "responses.input_tokens.count": {"personality"},
    "chat.completions.create": {"audio", "moderation"},
}
"""What is known and not honoured; the next test asks for each."""


def _described(name: str) -> set[str]:
    """The fields of an endpoint's path, query, form and body; an object in a form has its name before a bracket."""
    method, _, path = METHODS[name].partition(" ")
    document: dict[str, Any] = openapi_document()
    operation = document["paths"][path][method.lower()]
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        names |= _properties(content["schema"], document["components"]["schemas"])
    return {given.partition("[")[0] for given in names}


def _properties(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _properties(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    inner = [one for word in ("allOf", "anyOf", "oneOf") for one in schema.get(word, ())]
    return set(schema.get("properties", ())).union(*(_properties(one, schemas) for one in inner))


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_is_decided(name: str) -> None:
    """What the document does not have is refused, and nothing else."""
    sdk: Any = openai.OpenAI(api_key="x")
    method: Callable[..., Any] = reduce(getattr, name.split("."), sdk)
    given = set(inspect.signature(method).parameters) - OF_THE_SDK
    assert given - _described(name) == REFUSED.get(name, set())


def test_every_endpoint_with_parameters_is_compared() -> None:
    """A new one has to be added to the methods above."""
    known = {
        f"{one.method} {one.path}"
        for one in ENDPOINTS
        if one.path.startswith("/v1/") and (one.body or one.form or one.query)
    }
    assert known - OWN == set(METHODS.values())


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, one) for name in REFUSED for one in sorted(REFUSED[name])]
)
async def test_what_is_refused_is_named(tmp_path: Path, name: str, parameter: str) -> None:
    """400 ``unsupported_parameter`` with a value; null is as if it were not there."""
    say = [{"role": "user", "content": "x"}]
    bodies: dict[str, dict[str, Any]] = {
        "chat.completions.create": {"model": MODEL, "messages": say},
        "beta.threads.messages.create": say[0],
    }
    async with served(settings(tmp_path)) as server, server.http() as http:
        path = METHODS[name].partition(" ")[2]
        if "{thread_id}" in path:
            path = path.format(thread_id=(await http.post("/v1/threads")).json()["id"])
        body = bodies.get(name, {"model": MODEL, "input": "x"})
        refused = await http.post(path, json={**body, parameter: [{"id": "x"}]})
        taken = await http.post(path, json={**body, parameter: None})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, parameter, "unsupported_parameter")
    assert taken.status_code == 200
