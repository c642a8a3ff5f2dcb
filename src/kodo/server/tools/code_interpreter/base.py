"""What the tools in containers share: which container a call is for, and the parts of the port that do not differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from kodo.server.lifecycle.containers import Containers
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.hosted.ports import HostedCall, ToolContext
from kodo.server.tools.code_interpreter import container
from kodo.server.wire.containers import AutoContainer, ContainerReference
from kodo.server.wire.hosted_tools import (
    CodeInterpreterTool,
    ContainerShellTool,
    HostedChoice,
    HostedToolEntry,
)
from kodo.server.wire.tools import FunctionTool

Entry = TypeVar("Entry", CodeInterpreterTool, ContainerShellTool)


class ContainerTool(ABC, Generic[Entry]):
    """A tool whose calls run in a container. Its entry's ``field`` says in which; ``function`` stands for it."""

    entry_type: type[Entry]
    field: str
    function: FunctionTool

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    @abstractmethod
    def wanted(self, entry: Entry) -> AutoContainer | ContainerReference | str:
        """The container of an entry. Raises InvalidRequest."""

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """See :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`."""
        own = self._own(entry)
        if isinstance(own.allowed_callers, tuple) and "direct" not in own.allowed_callers:
            raise InvalidRequest(
                "Only direct calls are made: allowed_callers must have 'direct'.", param="allowed_callers"
            )
        await container.check(self._containers, context, self.wanted(own), self.field)
        return [self.function]

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """See the port."""
        return [function.name for function in functions]

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """See the port: none, the model decides."""
        return []

    def container_of(self, call: HostedCall, context: ToolContext) -> str:
        """The id of the container that a call is announced with."""
        return container.container_of(self._containers, context, self.wanted(self._own(call.entry)))

    def announced(self, call: HostedCall, context: ToolContext) -> str:
        """The id of the container that a call was announced with."""
        return container.announced_container(call) or self.container_of(call, context)

    async def ensure(self, call: HostedCall, context: ToolContext, named: str) -> None:
        """Make the container, where it is one that the call brings along and it is not there yet."""
        wanted = self.wanted(self._own(call.entry))
        if isinstance(wanted, AutoContainer):
            await self._containers.ensure(context.owner, named, wanted)

    def _own(self, entry: HostedToolEntry) -> Entry:
        if not isinstance(entry, self.entry_type):
            raise TypeError(f"not an entry of {self.entry_type.__name__}")
        return entry
