"""The published document describes exactly what is served."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route
from tests.serving import served, settings

from kodo.server.openapi import OPERATIONS, document
from kodo.server.routes import ROUTES


def test_every_route_has_an_operation_and_every_operation_a_route() -> None:
    """Nothing is served that is not described, and nothing described that is not served."""
    served_here = {
        (method, re.sub(r":path}", "}", route.path))
        for route in ROUTES
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served_here == set(OPERATIONS)


def test_references_lead_somewhere_and_names_are_unique() -> None:
    """Every $ref is in the components; every operationId is its own."""
    described = document()
    names = set(described["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/([\w.]+)", repr(described))) <= names
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


async def test_it_is_published(tmp_path: Path) -> None:
    """GET /openapi.json needs no key."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.get("/openapi.json")
    assert answer.json()["openapi"] == "3.1.0"
