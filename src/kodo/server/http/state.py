"""What an endpoint can reach: one value, made by :mod:`kodo.server.http.app` and carried by the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request

from kodo.server.config import Settings
from kodo.server.http.assistants.manager import RunManager
from kodo.server.http.batches.manager import BatchManager
from kodo.server.http.bodies import read_body
from kodo.server.http.body_memory import BodyMemory
from kodo.server.http.chat.manager import CompletionManager
from kodo.server.http.containers.manager import ContainerManager
from kodo.server.http.files.manager import FileManager
from kodo.server.http.files.upload_manager import UploadManager
from kodo.server.http.keys import Caller, Keys, Secrets
from kodo.server.http.limits import TICKET, Limits, Ticket
from kodo.server.http.metrics import Metrics
from kodo.server.http.vector_stores.manager import VectorStoreManager
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.service import Service
from kodo.server.lifecycle.store_ports import Store
from kodo.server.wire.decode import json_object

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


@dataclass(frozen=True)
class State:
    """The parts of a running server."""

    settings: Settings
    traces: TracerProvider | None
    """None: nobody asks for traces."""
    service: Service
    store: Store
    clock: Clock
    ids: Ids
    limits: Limits
    metrics: Metrics
    keys: Keys
    secrets: Secrets
    completions: CompletionManager
    files: FileManager
    uploads: UploadManager
    batches: BatchManager
    runs: RunManager
    vector_stores: VectorStoreManager | None
    """None: the store has no index for them."""
    containers: ContainerManager | None
    """None: the settings turn them off."""
    body_memory: BodyMemory
    started: int
    """Seconds since the epoch."""

    @property
    def models(self) -> dict[str, Backend]:
        """The models that can answer, by name."""
        return dict(self.service.models)

    async def delete_file(self, owner: str, file_id: str) -> None:
        """Delete a file, and its text in the vector stores before it, so that a retry finds it again. Raises NotFound."""
        await self.files.get(owner, file_id)
        if self.vector_stores is not None:
            await self.vector_stores.files.delete_everywhere(owner, file_id)
        await self.files.delete(owner, file_id)


class Application(Starlette):
    """The ASGI application. ``kodo``: a plain attribute, because Starlette's own ``state`` looks names up in Python."""

    kodo: State


def get_state(connection: HTTPConnection) -> State:
    """The server's state, from a request or socket."""
    return cast(State, connection.scope["app"].kodo)


def get_ticket(connection: HTTPConnection) -> Ticket:
    """The ticket that a POST was admitted with; it is closed when the request ends."""
    return cast(Ticket, connection.scope["state"][TICKET])


def get_caller(connection: HTTPConnection) -> Caller:
    """The caller that the guard identified."""
    return cast(Caller, connection.scope["state"]["caller"])


async def json_body(request: Request) -> dict[str, object]:
    """The request's body as a checked JSON object. Raises ``TooLarge`` and ``BadBody``."""
    return json_object(await read_body(request, get_state(request).settings.limits.body_bytes))


async def optional_json_body(request: Request) -> dict[str, object]:
    """The same, of a request that needs none: an empty body is an empty object. Raises what :func:`json_body` does."""
    body = await read_body(request, get_state(request).settings.limits.body_bytes)
    return json_object(body) if body else {}
