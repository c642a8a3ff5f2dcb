"""The OpenAPI 3.1 document of a table of endpoints, made from the wire types."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.errors import STATUS, Envelope


@dataclass(frozen=True)
class Endpoint:
    """One method of one path: who handles it, and what the document says of it.

    ``body`` and ``answer`` are wire types; None means no body, or an answer that is not JSON.
    """

    method: str
    path: str
    """As Starlette's routes have it."""
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    body: Any = None
    answer: Any = None
    query: tuple[str, ...] = ()
    """Names of query parameters."""
    streams: bool = False
    """Whether it can also answer with Server-Sent Events."""
    media: str = "application/json"
    """Media type of the answer."""
    form: Mapping[str, Any] | None = None
    """Schema of a multipart form that is sent in place of a JSON body; with a ``body``, of either."""
    error: Any = Envelope
    """Type of the body of an error."""
    unready: Any = None
    """Type of an answer with 503 that is not an error."""

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it: without Starlette's converters."""
        return re.sub(r":\w+}", "}", self.path)


_PARAMETER = re.compile(r"{(\w+)}")
_LONG_LIMIT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 10_000}
_QUERY: Mapping[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "include_obfuscation": {"enum": ["true", "false"]},
    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    "order": {"enum": ["asc", "desc"]},
    "stream": {"enum": ["true", "false"]},
    "starting_after": {"type": "integer", "minimum": -1, "maximum": 2**53},
    "include[]": {"type": "array", "items": {"type": "string"}},
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of a table of endpoints."""
    types = list({id(kind): kind for kind in _types(endpoints)}.values())
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, by_type)
        if links := _links(endpoint, endpoints):
            operation["responses"]["200"]["links"] = links
        paths.setdefault(endpoint.template, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kodo",
            "version": version("kodo"),
            "description": "The Codex API (Responses and its siblings) on your own machine. WebSockets, which OpenAPI "
            "cannot describe: /v1/responses and /v1/realtime.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _types(endpoints: Sequence[Endpoint]) -> Iterator[Any]:
    for endpoint in endpoints:
        kinds = (endpoint.error, endpoint.body, endpoint.answer, endpoint.unready)
        yield from (kind for kind in kinds if kind is not None)


def _operation(endpoint: Endpoint, by_type: Mapping[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, by_type),
    }
    content: dict[str, Any] = {}
    if endpoint.body is not None:
        content["application/json"] = {"schema": by_type[id(endpoint.body)]}
    if endpoint.form is not None:
        content["multipart/form-data"] = {"schema": endpoint.form}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    return re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.template}").strip("_")


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.template)
    ]
    for name in endpoint.query:
        schema = (
            _LONG_LIMIT
            if (endpoint.path, name) == ("/v1/files", "limit")
            else _QUERY.get(name, {"type": "string"})
        )
        style = {"style": "deepObject", "explode": True} if name == "metadata" else {}
        found.append({"name": name, "in": "query", "schema": schema, **style})
    if endpoint.method == "POST" and endpoint.body is not None:
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    return found


def _responses(endpoint: Endpoint, by_type: Mapping[int, Any]) -> dict[str, Any]:
    content = {endpoint.media: {"schema": by_type.get(id(endpoint.answer), {})}}
    if endpoint.streams:
        content["text/event-stream"] = {}
    responses: dict[str, Any] = {"200": {"description": endpoint.summary, "content": content}}
    envelope = {"application/json": {"schema": by_type[id(endpoint.error)]}}
    for status in sorted({405, *(status for _, status, _ in STATUS)}):
        responses[str(status)] = {"description": "An error.", "content": envelope}
    if endpoint.unready is not None:
        unready = {"application/json": {"schema": by_type[id(endpoint.unready)]}}
        responses["503"] = {"description": "Not ready yet.", "content": unready}
    return responses


def _links(endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Where the ``id`` of a new object can be used: links from a POST to every operation on the object it creates."""
    if endpoint.method != "POST":
        return {}
    within = {name: f"$request.path.{name}" for name in _PARAMETER.findall(endpoint.template)}
    below = re.compile(re.escape(endpoint.template) + r"/{(\w+)}(/\w+)?")
    return {
        _operation_id(other): {
            "operationId": _operation_id(other),
            "parameters": {**within, match[1]: "$response.body#/id"},
        }
        for other in endpoints
        if (match := below.fullmatch(other.template))
    }
