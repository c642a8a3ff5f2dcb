"""The published document describes exactly what is served."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import schemathesis
from starlette.routing import Route
from tests.serving import served, settings

from kodo.server.http.endpoints import ENDPOINTS, ROUTES, openapi_document


def test_every_route_has_an_operation_and_every_operation_a_route() -> None:
    """Nothing is served that is not described, and nothing described that is not served."""
    served_here = {
        (method, re.sub(r":path}", "}", route.path))
        for route in ROUTES
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (method.upper(), path) for path, methods in openapi_document()["paths"].items() for method in methods
    }
    assert served_here == described


def test_references_lead_somewhere_and_names_are_unique() -> None:
    """Every $ref is in the components; every operationId is its own."""
    described = openapi_document()
    names = set(described["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/([\w.]+)", repr(described))) <= names
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_descriptions_and_names_are_for_readers_of_the_api() -> None:
    """No component is named after a Python module, and no description has a Sphinx role or names one."""
    schemas = openapi_document()["components"]["schemas"]
    assert not [name for name in schemas if not re.fullmatch(r"\w+", name)]
    descriptions = {name: schema.get("description", "") for name, schema in schemas.items()}
    assert not {
        name: text for name, text in descriptions.items() if not text or re.search(r":\w+:`|kodo\.", text)
    }


def test_it_is_an_openapi_openapi_document() -> None:
    """The specification's own JSON Schema accepts it."""
    schemathesis.openapi.from_dict(msgspec.json.decode(msgspec.json.encode(openapi_document()))).validate()


def test_every_answer_has_a_type() -> None:
    """No good answer of JSON is left open, and every POST that takes a body says which."""
    without = {"cancel"}
    for endpoint in ENDPOINTS:
        assert endpoint.answer is not None or endpoint.media != "application/json", endpoint.path
        takes = endpoint.body is not None or endpoint.form is not None
        assert takes == (endpoint.method == "POST" and endpoint.path.rpartition("/")[2] not in without), (
            endpoint.path
        )


async def test_it_is_published(tmp_path: Path) -> None:
    """GET /openapi.json needs no key."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.get("/openapi.json")
    assert answer.json()["openapi"] == "3.1.0"
