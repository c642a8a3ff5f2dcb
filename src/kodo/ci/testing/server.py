"""What the fakes share: a server in a thread, the log of calls, failures on demand, and paging."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(frozen=True)
class ForgeCall:
    """One request that arrived, and the status of its answer."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int

    @property
    def writes(self) -> bool:
        """Whether it was meant to change something; GraphQL's questions are posted too."""
        asks = self.path.endswith("/graphql") and str((self.body or {}).get("query", "")).startswith("query")
        return self.method != "GET" and not asks


@dataclass
class Fault:
    """An answer instead of the real one, ``times`` times: a status, or ``cut`` for a broken connection.

    With ``after``, the request is carried out first, as when only the answer is lost.
    """

    method: str
    path: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=lambda: {"message": "scripted"})
    times: int = 1
    cut: bool = False
    after: bool = False


class ApiError(Exception):
    """How a handler refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class ApiAnswer:
    """What a handler answers: JSON, or bytes."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None


Handler = Callable[[Request, dict[str, Any], Any], ApiAnswer]


class FakeServer(ABC):
    """A server on a loopback port for the length of a ``with`` block.

    Attributes:
        calls: every request, in order.
        problems: what the forge would never have been asked; raised at the end.
        faults: answers to give instead of the real ones.
    """

    prefix = ""

    def __init__(self) -> None:
        self.calls: list[ForgeCall] = []
        self.problems: list[str] = []
        self.faults: list[Fault] = []
        self.url = ""

    @abstractmethod
    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler of everything that is answered."""

    @abstractmethod
    def allow(self, request: Request) -> None:
        """Refuse a request whose token may not make it, by raising ApiError."""

    @abstractmethod
    def check(self, method: str, template: str, request: Request, body: Any, answer: ApiAnswer) -> None:
        """Compare the exchange with what the forge documents; raise ValueError."""

    def writes(self) -> list[ForgeCall]:
        """The calls that changed something."""
        return [call for call in self.calls if call.writes and call.status < 300]

    def __enter__(self) -> Self:
        made = [
            Route(self.prefix + path, self._endpoint(method, path, handler), methods=[method])
            for method, path, handler in self.routes()
        ]
        app = Starlette(routes=made, exception_handlers={404: self._unknown, 405: self._unknown})
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}{self.prefix}"
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        if kind is None and self.problems:
            raise AssertionError("; ".join(self.problems))

    def _endpoint(self, method: str, template: str, handler: Handler) -> Any:
        async def endpoint(request: Request) -> Response:
            body = await _json(request)
            fault = self._fault(method, request.url.path)
            if fault is not None and not fault.after:
                return self._failed(request, body, fault)
            answer = self._answer(method, template, handler, request, body)
            if fault is not None:
                return self._failed(request, body, fault)
            self._record(request, body, answer.status)
            content = answer.raw if answer.raw is not None else json.dumps(answer.body).encode()
            kind = {} if answer.raw is not None else {"content-type": "application/json"}
            return Response(content, answer.status, {**kind, **answer.headers})

        return endpoint

    def _answer(self, method: str, template: str, handler: Handler, request: Request, body: Any) -> ApiAnswer:
        try:
            self.allow(request)
            answer = handler(request, request.path_params, body)
        except ApiError as error:
            answer = ApiAnswer({"message": error.message}, error.status)
        try:
            self.check(method, template, request, body, answer)
        except ValueError as error:
            self.problems.append(f"{method} {request.url.path}: {error}")
        return answer

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def _failed(self, request: Request, body: Any, fault: Fault) -> Response:
        self._record(request, body, 0 if fault.cut else fault.status)
        if fault.cut:
            raise ConnectionResetError("scripted")  # uvicorn answers 500 or drops the connection
        return Response(json.dumps(fault.body), fault.status, dict(fault.headers))

    def _record(self, request: Request, body: Any, status: int) -> None:
        query = dict(request.query_params)
        self.calls.append(ForgeCall(request.method, request.url.path, query, body, status))

    async def _unknown(self, request: Request, error: Exception) -> Response:
        self.problems.append(f"{request.method} {request.url.path}: not expected")
        return Response('{"message": "Not Found"}', 404)


async def _json(request: Request) -> Any:
    raw = await request.body()
    return json.loads(raw) if raw else None


def page_of(request: Request, items: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
    """One page of a list, and the Link header to the next, as both forges do it."""
    size = min(int(request.query_params.get("per_page", "30")), 100)
    number = int(request.query_params.get("page", "1"))
    shown = list(items[(number - 1) * size : number * size])
    if number * size >= len(items):
        return shown, {}
    following = request.url.include_query_params(page=number + 1)
    return shown, {"link": f'<{following}>; rel="next", <{following}>; rel="last"'}


@dataclass(frozen=True)
class FakeFile:
    """A changed file: its path after the change and before it, and its hunks."""

    path: str
    old_path: str
    patch: str


@dataclass(frozen=True)
class GitTree:
    """The repository behind a fake: what a forge computes from git."""

    root: Path

    def run(self, *args: str) -> str:
        """The output of a git command; raises CalledProcessError."""
        command = ["git", "-c", "core.quotePath=false", *args]
        return subprocess.run(command, cwd=self.root, capture_output=True, check=True, text=True).stdout

    def has(self, commit: str) -> bool:
        """Whether there is such a commit."""
        try:
            self.run("cat-file", "-e", f"{commit}^{{commit}}")
        except subprocess.CalledProcessError:
            return False
        return True

    def files(self, base: str, head: str) -> list[FakeFile]:
        """Each file that changed since head left base, with its hunks; renames are found as a forge finds them."""
        start = self.run("merge-base", base, head).strip()
        words = iter(self.run("diff", "-z", "--name-status", "--find-renames", start, head).split("\0"))
        found: list[FakeFile] = []
        for status in filter(None, words):
            old = next(words)
            new = next(words) if status.startswith(("R", "C")) else old
            whole = self.run("diff", "--no-ext-diff", "--find-renames", start, head, "--", old, new)
            at = whole.find("\n@@ ")
            found.append(FakeFile(new, old, whole[at + 1 :].removesuffix("\n") if at >= 0 else ""))
        return found

    def file_at(self, path: str, ref: str) -> str | None:
        """A file's text at a commit; None where there is none."""
        try:
            return self.run("cat-file", "blob", f"{ref}:{path}")
        except subprocess.CalledProcessError:
            return None
