"""Files that come with messages: they join the thread's vector store, or the files that its code can read.

As the hosted API did: a thread without a store gets one, which expires seven days after its last use, and a file stays with
the thread when its message is deleted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from kodo.server.http.assistants.new_stores import THREAD_DAYS
from kodo.server.http.files.manager import FileManager
from kodo.server.http.vector_stores.manager import VectorStoreManager
from kodo.server.lifecycle.errors import InvalidRequest, NotFound, ServiceError
from kodo.server.wire import assistants as wire
from kodo.server.wire.vector_stores import AddFile, CreateVectorStore, StoreExpiry

MAX_CODE_FILES: Final = 20
"""Files that the code of a thread can read, as in ``tool_resources``."""


@dataclass(frozen=True)
class Attachments:
    """Attaches files. ``stores``: None where the server has no index for them."""

    files: FileManager
    stores: VectorStoreManager | None

    @asynccontextmanager
    async def attached(
        self,
        owner: str,
        resources: wire.ToolResources | None,
        messages: Sequence[wire.CreateMessage],
        param: str,
    ) -> AsyncIterator[wire.ToolResources | None]:
        """The resources of a thread with the files of new messages. If the block fails, a store that was created for them is
        deleted, for nobody has its id, and files that joined another one are taken out of it.

        Args:
            owner: of the thread and the files.
            resources: of the thread so far.
            messages: the new ones.
            param: the field of the body that has a message, with ``{}`` for its number.

        Raises:
            NotFound, InvalidRequest: a file, or one that an image is of, is not there or cannot join; ``param`` names it.
        """
        searched: dict[str, str] = {}
        read: dict[str, str] = {}
        for number, message in enumerate(messages):
            for index, part in enumerate(() if isinstance(message.content, str) else message.content):
                if isinstance(part, wire.ImageFileBlock):
                    where = f"{param.format(number)}content[{index}].image_file.file_id"
                    await self._check(owner, part.image_file.file_id, where)
            for index, attachment in enumerate(message.attachments or ()):
                where = f"{param.format(number)}attachments[{index}].file_id"
                await self._check(owner, attachment.file_id, where)
                for tool in attachment.tools or ():
                    files = searched if isinstance(tool, wire.AttachedToSearch) else read
                    files.setdefault(attachment.file_id, where)
        if read:
            resources = _with_files(resources or wire.ToolResources(), read)
        if not searched:
            yield resources
            return
        async with self._in_store(owner, resources or wire.ToolResources(), searched) as changed:
            yield changed

    async def wait_until_indexed(self, owner: str, resources: wire.ToolResources | None) -> None:
        """Wait until no file in the stores of a thread is being indexed any more."""
        if self.stores is None:
            return
        for store_id in _store_ids(resources):
            while running := [
                file.id
                for file in await self.stores.files.all(owner, store_id)
                if file.status == "in_progress"
            ]:
                await self.stores.files.wait_for_change(store_id, running[0])

    async def _check(self, owner: str, file_id: str, param: str) -> None:
        try:
            await self.files.get(owner, file_id)
        except NotFound as error:
            error.param = param
            raise

    @asynccontextmanager
    async def _in_store(
        self, owner: str, resources: wire.ToolResources, files: dict[str, str]
    ) -> AsyncIterator[wire.ToolResources]:
        """The resources with these files in a store; ``files``: with the field that names each."""
        if self.stores is None:
            raise ServiceError("The store of this server has no index for vector stores.")
        first = next(iter(files.values()))
        try:
            if store_ids := _store_ids(resources):
                there = {file.id for file in await self.stores.files.all(owner, store_ids[0])}
                added = [AddFile(file_id=file_id) for file_id in files if file_id not in there]
                await self.stores.files.add(owner, store_ids[0], added)
                made = None
            else:
                expiry = StoreExpiry(anchor="last_active_at", days=THREAD_DAYS)
                body = CreateVectorStore(file_ids=tuple(files), expires_after=expiry)
                made = await self.stores.create(owner, body)
        except ServiceError as error:
            error.param = first
            raise
        if made is None:
            try:
                yield resources
            except BaseException:
                for one in added:
                    with suppress(NotFound):
                        await self.stores.files.delete(owner, store_ids[0], one.file_id)
                raise
            return
        search = wire.FileSearchResources(vector_store_ids=(made.id,))
        try:
            yield msgspec.structs.replace(resources, file_search=search)
        except BaseException:
            await self.stores.delete(owner, made.id)
            raise


def attaches_to_search(messages: Sequence[wire.CreateMessage]) -> bool:
    """Whether a file of these messages joins a vector store."""
    return any(
        isinstance(tool, wire.AttachedToSearch)
        for message in messages
        for attachment in message.attachments or ()
        for tool in attachment.tools or ()
    )


def _store_ids(resources: wire.ToolResources | None) -> tuple[str, ...]:
    search = None if resources is None else resources.file_search
    return search.vector_store_ids if isinstance(search, wire.FileSearchResources) else ()


def _with_files(resources: wire.ToolResources, files: dict[str, str]) -> wire.ToolResources:
    code = resources.code_interpreter
    known = code.file_ids if isinstance(code, wire.CodeInterpreterResources) else ()
    file_ids = tuple(dict.fromkeys([*known, *files]))
    if len(file_ids) > MAX_CODE_FILES:
        raise InvalidRequest(
            f"The code of a thread can read {MAX_CODE_FILES} files; these would be {len(file_ids)}.",
            param=next(reversed(files.values())),
        )
    return msgspec.structs.replace(
        resources, code_interpreter=wire.CodeInterpreterResources(file_ids=file_ids)
    )
