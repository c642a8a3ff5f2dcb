"""Starlette's router with a table for the paths without parameters: it asks one route after the other, some hundred."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send


class DirectRouter(Router):
    """Finds a route by method and path where the path is a whole one; any other as Starlette does.

    Such a route's endpoint is called here: what it raises is answered by the middleware around the router, as what a route
    raises is.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes, redirect_slashes=False)
        self._direct: dict[tuple[str, str], Route] = {}
        for route in routes:
            if (
                isinstance(route, Route)
                and not route.param_convertors
                and inspect.iscoroutinefunction(route.endpoint)
            ):
                for method in route.methods or ():
                    if self._first({"type": "http", "method": method, "path": route.path}) is route:
                        self._direct[method, route.path] = route

    def _first(self, scope: Scope) -> BaseRoute | None:
        """The route that answers, as Starlette finds it."""
        return next((route for route in self.routes if route.matches(scope)[0] is Match.FULL), None)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        route = self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None or scope.get("root_path"):
            await super().app(scope, receive, send)
            return
        scope.setdefault("router", self)
        scope["route"] = route
        scope.update({"endpoint": route.endpoint, "path_params": {}})
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
