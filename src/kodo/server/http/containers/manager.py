"""The registry of containers: creates, finds, expires and deletes them. What runs in them: :mod:`kodo.server.http.containers.calls`.

Every container has expired when the server starts: its variables and processes are gone, its files are not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from kodo.server.config import CodeInterpreterSettings
from kodo.server.http.containers.calls import run_code, run_command
from kodo.server.http.containers.documents import ACTIVE, CONTAINER, EXPIRED, StoredContainer
from kodo.server.http.containers.files import ContainerFiles, container_not_found
from kodo.server.http.containers.runtime import ContainerRuntime
from kodo.server.http.pagination import matching
from kodo.server.lifecycle.containers import CodeResult
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.store_ports import DocumentStore
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire.containers import (
    MEMORY_BYTES,
    AutoContainer,
    ContainerExpiry,
    ContainerObject,
    CreateContainer,
    MemoryLimit,
    NetworkPolicy,
)

SWEEP_SECONDS: Final = 30.0
DELETE_SECONDS: Final = 3600.0
"""Pause between two looks at all that have expired: there may be many, for they are kept for days."""
DAY: Final = 86400.0


class ContainerManager:
    """The containers of all projects; ``files``: their files. Implements :class:`kodo.server.lifecycle.containers.Containers`."""

    def __init__(
        self,
        store: DocumentStore,
        files: ContainerFiles,
        runtime: ContainerRuntime,
        settings: CodeInterpreterSettings,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._sweeper: asyncio.Task[None] | None = None
        self._active: dict[str, tuple[str, ContainerObject]] = {}
        """Owner and container of those that have not expired."""
        self._delete_at = 0.0
        """When those that have been expired for long are looked for again (the clock's time)."""
        self.files = files

    async def open(self) -> None:
        """Expire what an earlier start of the server left, and begin to expire what nobody uses."""
        await self.files.open()
        for row in await self._store.unfinished_documents(CONTAINER, (ACTIVE,)):
            await self._expire(row)
        await self.sweep()
        self._sweeper = supervise_every("the expiry of containers", SWEEP_SECONDS, self.sweep)

    async def close(self) -> None:
        """End everything that runs."""
        await cancel(self._sweeper)
        await self._runtime.close()

    async def sweep(self) -> None:
        """Expire the containers that are idle, and delete those that have been expired for long."""
        for container_id, (_, container) in list(self._active.items()):
            if self._is_over(container):
                await self._runtime.stop(container_id)
                self._active.pop(container_id, None)
        for row in await self._store.unfinished_documents(CONTAINER, (ACTIVE,)):
            if self._is_over(_decode(row)):
                await self._expire(row)
        if self._clock.now() < self._delete_at:
            return
        self._delete_at = self._clock.now() + DELETE_SECONDS
        for row in await self._store.unfinished_documents(CONTAINER, (EXPIRED,)):
            if _end_of(_decode(row)) + self._settings.keep_days * DAY <= self._clock.now():
                await self._delete(row)

    # --- what a client does ---

    async def create(self, owner: str, body: CreateContainer) -> ContainerObject:
        """Create a container with copies of files.

        Raises:
            InvalidRequest: a value cannot be honoured, or there are too many.
            NotFound: a file is not there.
        """
        wanted = AutoContainer(
            type="auto",
            file_ids=body.file_ids,
            memory_limit=body.memory_limit,
            network_policy=body.network_policy,
            skills=body.skills,
        )
        await self.check_auto(owner, wanted, param="")
        container_id = self._ids.new("cntr")
        await self._put(owner, container_id, body.name, wanted, body.expires_after)
        try:
            await self._copy(owner, container_id, wanted)
        except BaseException:
            await self.delete(owner, container_id)
            raise
        return await self.get(owner, container_id)

    async def get(self, owner: str, container_id: str) -> ContainerObject:
        """A container as it is now. Raises NotFound."""
        return self._shown(await self._row(owner, container_id))

    async def list(self, owner: str, page: Page, name: str | None) -> tuple[Sequence[ContainerObject], bool]:
        """A page of an owner's containers, of one name if it is given, and whether more follow. Raises NotFound: the cursor."""
        rows, more = await matching(
            lambda window: self._store.list_documents(CONTAINER, owner, window),
            page,
            lambda row: name is None or _decode(row).name == name,
        )
        return [self._shown(row) for row in rows], more

    async def delete(self, owner: str, container_id: str) -> None:
        """Delete a container with its files; what runs in it ends. Raises NotFound."""
        await self._delete(await self._row(owner, container_id))

    async def usable(self, owner: str, container_id: str) -> ContainerObject:
        """A container that has not expired. Raises NotFound, InvalidRequest."""
        container = await self.get(owner, container_id)
        if container.status == "expired":
            raise InvalidRequest(
                f"The container '{container_id}' has expired. Its files can still be read.",
                param="container_id",
                code="container_expired",
            )
        return container

    async def touch(self, owner: str, container_id: str) -> None:
        """Note that a container is used now. Raises NotFound."""
        while True:
            row = await self._row(owner, container_id)
            container = msgspec.structs.replace(_decode(row), last_active_at=int(self._clock.now()))
            changed = msgspec.structs.replace(row, version=row.version + 1, body=_encode(container))
            try:
                await self._store.update_document(changed)
            except Conflict:
                continue
            except NotFound:
                raise container_not_found(container_id) from None
            if row.status == ACTIVE:
                self._active[container_id] = owner, container
            return

    # --- the port ---

    async def require(self) -> None:
        """See the port."""
        await self._runtime.require()

    def is_active(self, owner: str, container_id: str) -> bool:
        """See the port."""
        found = self._active.get(container_id)
        return found is not None and found[0] == owner and not self._is_over(found[1])

    async def check(self, owner: str, container_id: str, *, param: str) -> None:
        """See the port."""
        try:
            await self.usable(owner, container_id)
        except (NotFound, InvalidRequest) as error:
            error.param = param
            raise

    async def check_auto(self, owner: str, wanted: AutoContainer, *, param: str) -> None:
        """See the port."""
        inside = f"{param}." if param else ""
        if wanted.skills:
            raise InvalidRequest("Containers of this server have no skills.", param=f"{inside}skills")
        policy = wanted.network_policy
        if policy is not None and policy.type != "disabled":
            raise InvalidRequest(
                "Containers of this server have no network: network_policy must be disabled.",
                param=f"{inside}network_policy",
            )
        limit, most = wanted.memory_limit or "1g", self._settings.max_memory
        if MEMORY_BYTES[limit] > MEMORY_BYTES[most]:
            raise InvalidRequest(
                f"memory_limit may be at most '{most}' (tools.code_interpreter.max_memory).",
                param=f"{inside}memory_limit",
            )
        for number, file_id in enumerate(wanted.file_ids or ()):
            await self.files.find_source(owner, file_id, f"{inside}file_ids[{number}]")

    async def ensure(self, owner: str, container_id: str, wanted: AutoContainer) -> None:
        """See the port."""
        if await self._store.get_document(CONTAINER, owner, container_id) is None:
            with contextlib.suppress(Conflict):  # another call of the same turn made it
                await self._put(owner, container_id, "auto", wanted, None)
        await self._copy(owner, container_id, wanted)

    async def run_code(self, owner: str, container_id: str, code: str) -> CodeResult:
        """See the port."""
        container = await self._begin(owner, container_id)
        async with self._runtime.running(container_id, MEMORY_BYTES[container.memory_limit]) as entry:
            result = await run_code(entry, self.files, self._settings, owner, container_id, code)
        await self._end(owner, container_id)
        return result

    async def run_command(
        self, owner: str, container_id: str, command: str, *, seconds: float | None, max_chars: int | None
    ) -> CodeResult:
        """See the port."""
        container = await self._begin(owner, container_id)
        async with self._runtime.running(container_id, MEMORY_BYTES[container.memory_limit]) as entry:
            result = await run_command(
                entry,
                self.files,
                self._settings,
                owner,
                container_id,
                command,
                seconds=seconds,
                max_chars=max_chars,
            )
        await self._end(owner, container_id)
        return result

    # --- inside ---

    async def _begin(self, owner: str, container_id: str) -> ContainerObject:
        await self.require()
        container = await self.usable(owner, container_id)
        await self.touch(owner, container_id)
        return container

    async def _end(self, owner: str, container_id: str) -> None:
        with contextlib.suppress(NotFound):  # it was deleted meanwhile
            await self.touch(owner, container_id)

    async def _put(
        self,
        owner: str,
        container_id: str,
        name: str,
        wanted: AutoContainer,
        expires_after: ContainerExpiry | None,
    ) -> None:
        count = sum(
            other == owner and not self._is_over(container) for other, container in self._active.values()
        )
        if count >= self._settings.max_containers:
            raise InvalidRequest(
                f"This project has {count} containers that have not expired; it may have at most "
                f"{self._settings.max_containers}.",
                code="too_many_containers",
            )
        now = self._clock.now()
        memory: MemoryLimit = wanted.memory_limit or "1g"
        container = ContainerObject(
            id=container_id,
            created_at=int(now),
            name=name,
            expires_after=expires_after
            or ContainerExpiry(anchor="last_active_at", minutes=self._settings.idle_minutes),
            last_active_at=int(now),
            memory_limit=memory,
            network_policy=NetworkPolicy(type="disabled"),
        )
        await self._store.put_document(
            DocumentRow(
                kind=CONTAINER,
                id=container_id,
                owner=owner,
                created_at=now,
                status=ACTIVE,
                body=_encode(container),
            )
        )
        self._active[container_id] = owner, container

    async def _copy(self, owner: str, container_id: str, wanted: AutoContainer) -> None:
        if not wanted.file_ids:
            return
        there = {stored.copied_from for stored in await self.files.all(owner, container_id)}
        for number, file_id in enumerate(dict.fromkeys(wanted.file_ids)):
            if file_id not in there:
                await self.files.copy(owner, container_id, file_id, f"file_ids[{number}]")

    async def _row(self, owner: str, container_id: str) -> DocumentRow:
        row = await self._store.get_document(CONTAINER, owner, container_id)
        if row is None:
            raise container_not_found(container_id)
        return row

    def _shown(self, row: DocumentRow) -> ContainerObject:
        container = _decode(row)
        over = row.status == EXPIRED or self._is_over(container)
        return msgspec.structs.replace(container, status="expired" if over else "running")

    def _is_over(self, container: ContainerObject) -> bool:
        return _end_of(container) <= self._clock.now()

    async def _expire(self, row: DocumentRow) -> None:
        changed = msgspec.structs.replace(row, version=row.version + 1, status=EXPIRED)
        with contextlib.suppress(Conflict, NotFound):  # used, or deleted, at this moment
            await self._store.update_document(changed)

    async def _delete(self, row: DocumentRow) -> None:
        self._active.pop(row.id, None)
        await self._runtime.stop(row.id)
        await self.files.delete_all(row.owner, await self.files.all(row.owner, row.id))
        await self._store.delete_document(CONTAINER, row.owner, row.id)


def _end_of(container: ContainerObject) -> float:
    """When a container expires unless it is used, in seconds since the epoch."""
    return container.last_active_at + container.expires_after.minutes * 60.0


def _decode(row: DocumentRow) -> ContainerObject:
    return msgspec.json.decode(row.body, type=StoredContainer).container


def _encode(container: ContainerObject) -> bytes:
    return msgspec.json.encode(StoredContainer(container=container))
