"""The router's table gives what asking every route in turn gives."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.testclient import TestClient

from kodo.server.http.endpoints import ROUTES
from kodo.server.http.routing import DirectRouter


def test_every_route_is_found_as_starlette_finds_it() -> None:
    """The table holds each whole path with its methods, and the route that would come first."""
    direct = DirectRouter(ROUTES)._direct
    assert ("POST", "/v1/responses") in direct
    for route in ROUTES:
        if not isinstance(route, Route) or route.param_convertors:
            continue
        for method in route.methods or ():
            scope = {"type": "http", "method": method, "path": route.path}
            first = next(one for one in ROUTES if one.matches(scope)[0] is Match.FULL)
            assert direct.get((method, route.path), first) is first


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/a/b", 200, "any b"),
        ("GET", "/a/c", 200, "c"),
        ("POST", "/a/c", 405, None),
        ("GET", "/x", 404, None),
    ],
)
def test_order_and_methods_are_starlettes(method: str, path: str, status: int, said: str | None) -> None:
    """A path with a parameter that comes first answers for a whole one behind it; a wrong method is a 405."""

    def say(text: str) -> Route:
        async def endpoint(request: Request) -> Response:
            name = request.path_params.get("name", "")
            return PlainTextResponse(f"{text} {name}".strip())

        return Route({"any": "/a/{name:str}"}.get(text, f"/a/{text}"), endpoint, methods=["GET"])

    app = Starlette()
    app.router = DirectRouter([say("c"), say("any"), say("b")])
    answered = TestClient(app).request(method, path)
    assert answered.status_code == status
    if said is not None:
        assert answered.text == said
