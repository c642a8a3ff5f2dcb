"""The wiring place: builds every part of the server over the open store and engines, and the application over them."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute

from kodo.server.config import Settings
from kodo.server.http.assistants.attachments import Attachments
from kodo.server.http.assistants.manager import CANCEL as CANCEL_RUN
from kodo.server.http.assistants.manager import RunManager
from kodo.server.http.assistants.worker import RunContext
from kodo.server.http.backends import Resources, open_embedder, open_resources, open_tools
from kodo.server.http.batches.documents import KIND as BATCH
from kodo.server.http.batches.handlers import batch_handlers
from kodo.server.http.batches.manager import CANCEL as CANCEL_BATCH
from kodo.server.http.batches.manager import BatchManager
from kodo.server.http.batches.metrics import BatchMetrics
from kodo.server.http.batches.worker import BATCH_STATUS
from kodo.server.http.bodies import ClientDisconnect, handle_disconnect
from kodo.server.http.body_memory import BodyMemory, BodyMemoryLimit
from kodo.server.http.budgets import Budgets
from kodo.server.http.chat.manager import CompletionManager
from kodo.server.http.containers.files import ContainerFiles
from kodo.server.http.containers.manager import ContainerManager
from kodo.server.http.containers.runtime import ContainerRuntime
from kodo.server.http.endpoints import PROBES, RETIRED, ROUTES
from kodo.server.http.errors import handle_http_error, handle_service_error, handle_unexpected_error
from kodo.server.http.files.manager import FileManager
from kodo.server.http.files.upload_manager import UploadManager
from kodo.server.http.files.upload_usage import UploadUsage
from kodo.server.http.guard import Guard, RequestId
from kodo.server.http.idempotency import Idempotency
from kodo.server.http.keys import Keys, Secrets
from kodo.server.http.limits import SHARE_SECONDS, Limits, RequestLimits, Ticket
from kodo.server.http.metrics import Metrics
from kodo.server.http.random_ids import RandomIds
from kodo.server.http.responses.endpoints import SKIPPED
from kodo.server.http.responses.request_body import always_offered
from kodo.server.http.retention import PRUNE_SECONDS, RetentionPolicy, prune, prune_and_log
from kodo.server.http.routing import DirectRouter
from kodo.server.http.state import Application, State
from kodo.server.http.tracing import TraceRequests, close_provider, open_provider
from kodo.server.http.vector_stores.manager import VectorStoreManager
from kodo.server.http.vector_stores.reading import read_text
from kodo.server.http.vector_stores.store_files import RUNNING, StoreFiles
from kodo.server.http.vector_stores.worker import IngestionContext
from kodo.server.lifecycle.cluster import Cluster
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.hosted.ports import HostedTool
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.recovery import Recovery
from kodo.server.lifecycle.remote import STOP as STOP_RESPONSE
from kodo.server.lifecycle.retrieval.documents import FILE
from kodo.server.lifecycle.retrieval.search import Retrieval
from kodo.server.lifecycle.service import Service
from kodo.server.lifecycle.store_ports import SharedStore
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire.decode import BadBody

logger = logging.getLogger(__name__)

__all__ = ["build_app", "open_state"]


HAND_OVER_SECONDS: Final = 10.0
"""How often a server that runs nothing in the background looks for work that it has all the same, and how old that is at least."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


@asynccontextmanager
async def open_state(
    settings: Settings,
    resources: Resources | None = None,
    *,
    clock: Clock | None = None,
    tools: Mapping[str, HostedTool] | None = None,
    cut_off: Callable[[], None] = lambda: None,
) -> AsyncIterator[State]:
    """Start everything above the store and the engines; on the way out, stop what was started.

    ``resources``: the open store and engines; None opens them. ``clock``: None is the machine's.
    ``tools``: the tools that the server runs, by type; None: those that the settings turn on.
    ``cut_off`` is called if another server of the same database takes this one for dead.

    Raises:
        ServiceError, kodo.server.http.backends.WeightsError: a part did not start; the message says why.
    """
    clock, ids, metrics = clock or SystemClock(), RandomIds(), Metrics()
    async with AsyncExitStack() as stack:
        traces = open_provider()
        if traces is not None:
            stack.push_async_callback(close_provider, traces)
        if resources is None:
            resources = await stack.enter_async_context(open_resources(settings))
        store, models = resources.store, await resources.models
        metrics.watch(models)
        metrics.identify(settings.role)
        files = FileManager(store, resources.place.files, clock, ids)
        stack.push_async_callback(files.close)
        await files.open()
        retrieval = None
        if store.search_index is not None:
            embedder = await open_embedder(settings, models, stack)
            retrieval = Retrieval(store, store.search_index, embedder, clock)
        containers = await _open_containers(settings, resources, files, clock, ids, stack)
        keys, budgets = Keys(store), Budgets(store, settings.limits, models, clock.now)
        stack.push_async_callback(budgets.written)
        limits = Limits(settings.limits, time.monotonic, budgets, store)
        if store.shared:
            sharing = supervise_every("the limits of keys over all servers", SHARE_SECONDS, limits.share)
            stack.push_async_callback(cancel, sharing)
        if tools is None:
            read = partial(read_text, settings=settings.tools.file_search)
            tools = await open_tools(settings, store, files, stack, retrieval, containers, read=read)
        service = Service(
            models=models,
            store=store,
            clock=clock,
            ids=ids,
            sealer=resources.place.sealer,
            settings=settings,
            observer=metrics,
            files=files,
            allows=keys.allows,
            budgets=budgets,
            tools=tools,
            always=always_offered(settings, tools),
        )
        stack.push_async_callback(service.close, settings.shutdown_seconds)
        policy = RetentionPolicy(settings.retention_days, settings.thread_days)
        pruned = await prune(store, clock.now(), policy)
        pruning = supervise_every(
            "the pruning of old data", PRUNE_SECONDS, lambda: prune_and_log(store, clock.now(), policy)
        )
        stack.push_async_callback(cancel, pruning)
        recovery = Recovery(service)
        stack.push_async_callback(recovery.close)
        resumed = await recovery.open()
        uploads = UploadManager(store, files, clock, ids, UploadUsage(settings.limits))
        stack.push_async_callback(uploads.close)
        await uploads.open()
        completions = CompletionManager(store, clock)
        batches = BatchManager(
            service=service,
            store=store,
            clock=clock,
            ids=ids,
            files=files,
            handlers=batch_handlers(completions),
            metrics=BatchMetrics(metrics.registry),
            max_line_bytes=settings.limits.body_bytes,
            admit=partial(_admit_line, keys, limits),
            hands_over=settings.role == "api",
        )
        stack.push_async_callback(batches.close)
        await batches.open()
        vector_stores = None
        if retrieval is not None:
            ingestion = IngestionContext(
                store, retrieval.index, retrieval.embedder, files, settings.tools.file_search
            )
            store_files = StoreFiles(retrieval, ingestion, ids, hands_over=settings.role == "api")
            vector_stores = VectorStoreManager(retrieval, store_files, ids)
            stack.push_async_callback(vector_stores.close)
            await vector_stores.open()
        runs = RunManager(
            RunContext(
                service=service,
                store=store,
                clock=clock,
                ids=ids,
                run_seconds=settings.run_seconds,
                attachments=Attachments(files, vector_stores),
                allows=keys.allows,
            )
        )
        stack.push_async_callback(runs.close)
        if settings.role != "worker":  # what drives a run takes the outputs of its tools
            await runs.open()
        if settings.role == "api":
            handing = supervise_every(
                "work that was not handed over", HAND_OVER_SECONDS, partial(_hand_over_all, store, clock)
            )
            stack.push_async_callback(cancel, handing)
        cluster = Cluster(
            store,
            adopt=(
                recovery.adopt,
                *(() if settings.role == "api" else (batches.adopt,)),
                *(() if settings.role == "api" or vector_stores is None else (vector_stores.files.adopt,)),
                *(() if settings.role == "worker" else (runs.adopt,)),
            ),
            answer={
                STOP_RESPONSE: service.stop_by_id,
                CANCEL_BATCH: batches.cancel_by_id,
                CANCEL_RUN: runs.cancel_by_id,
            },
            cut_off=cut_off,
        )
        stack.push_async_callback(cluster.close)
        cluster.open()
        logger.info("ready: %d models, %d responses resumed, pruned %s", len(models), resumed, pruned)
        yield State(
            settings=settings,
            traces=traces,
            service=service,
            store=store,
            clock=clock,
            ids=ids,
            limits=limits,
            keys=keys,
            metrics=metrics,
            secrets=Secrets(time.time),
            completions=completions,
            files=files,
            uploads=uploads,
            batches=batches,
            runs=runs,
            vector_stores=vector_stores,
            containers=containers,
            body_memory=BodyMemory(settings.limits.held_body_bytes),
            started=int(time.time()),
        )


async def _open_containers(
    settings: Settings,
    resources: Resources,
    files: FileManager,
    clock: Clock,
    ids: Ids,
    stack: AsyncExitStack,
) -> ContainerManager | None:
    """The registry of containers; None where the settings turn code off."""
    given = settings.tools.code_interpreter
    if not given.enabled:
        return None
    store = resources.store
    kept = ContainerFiles(store, resources.place.containers, files, given, clock, ids)
    manager = ContainerManager(store, kept, ContainerRuntime(given), given, clock, ids)
    stack.push_async_callback(manager.close)
    await manager.open()
    return manager


async def _hand_over_all(store: SharedStore, clock: Clock) -> None:
    """Give up what a server that runs nothing in the background still has: the database was away between the row and its
    hand-over, and whoever repeats the request elsewhere would find the work taken."""
    kinds = {BATCH: tuple(BATCH_STATUS.unfinished), FILE: (RUNNING,)}
    given = await store.hand_over_all(kinds, clock.now() - HAND_OVER_SECONDS)
    if given:
        logger.warning("handed over what could not be before: %d", given)


async def _admit_line(keys: Keys, limits: Limits, owner: str, key_id: str | None) -> Ticket:
    """Admit a line of a batch once the limits of the batch's key allow it. Raises ``Unauthorized``: it was revoked."""
    return await limits.wait(await keys.caller_of(owner, key_id))


def build_app(state: State, pages: Sequence[Route] = ()) -> Application:
    """The ASGI application over a running server's state. ``pages``: the routes of the dashboard."""
    settings = state.settings
    routes = [*ROUTES, *RETIRED, *pages]
    if settings.role == "worker":
        routes = [route for route in ROUTES if isinstance(route, Route) and route.path in PROBES]
    app = Application(
        routes=routes,
        exception_handlers={
            ServiceError: handle_service_error,
            BadBody: handle_service_error,
            HTTPException: handle_http_error,
            ClientDisconnect: handle_disconnect,
            Exception: handle_unexpected_error,
        },
        middleware=[
            Middleware(RequestId, metrics=state.metrics),
            *([] if state.traces is None else [Middleware(TraceRequests, provider=state.traces)]),
            Middleware(BodyMemoryLimit, memory=state.body_memory),
            *_cors(settings),
            Middleware(
                Guard,
                keys=state.keys,
                secrets=state.secrets,
                host=settings.host,
                allowed_hosts=settings.allowed_hosts,
                origins=settings.cors_origins,
                paths=[
                    route.path_regex.pattern for route in routes if isinstance(route, Route | WebSocketRoute)
                ],
                open_metrics=settings.open_metrics,
            ),
            Middleware(
                Idempotency,
                store=state.store,
                now=state.clock.now,
                body_bytes=settings.limits.body_bytes,
            ),
            Middleware(RequestLimits, limits=state.limits),
        ],
    )
    app.router = DirectRouter(routes)
    app.kodo = state
    return app


def _cors(settings: Settings) -> list[Middleware]:
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=["x-request-id", SKIPPED],
        )
    ]
