"""The hosted tools of one request: which functions stand for them in a turn, and which tool a call belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from kodo.server.lifecycle.errors import InvalidRequest, ServiceError
from kodo.server.lifecycle.hosted.ports import HostedCall, HostedTool, ToolContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.hosted_tools import HostedChoice, HostedToolEntry, type_of
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.tools import (
    AllowedTools,
    FunctionChoice,
    FunctionTool,
    RequestTool,
    Tool,
    ToolChoice,
    ToolName,
)


@dataclass(frozen=True)
class Owner:
    """Whose a declared function is: a tool, and the number of the request's entry."""

    tool: HostedTool
    entry: int
    name: str
    """The function's name as the tool declared it."""


@dataclass
class Toolset:
    """The hosted tools of a request. ``tools``: the server's, by the type of their entries."""

    tools: Mapping[str, HostedTool]
    request: CreateResponse
    context: ToolContext
    """Without items."""
    _owners: dict[str, Owner] = field(default_factory=dict)

    @property
    def entries(self) -> Sequence[tuple[int, HostedToolEntry, HostedTool]]:
        """The request's entries for hosted tools, with their numbers."""
        return [
            (number, entry, self.tools[type_of(entry)])
            for number, entry in enumerate(self.request.tools)
            if isinstance(entry, HostedToolEntry)
        ]

    def context_of(self, items: tuple[ContextItem, ...]) -> ToolContext:
        """What a tool may know when the history is ``items``."""
        return msgspec.structs.replace(self.context, items=items)

    @property
    def offered(self) -> bool:
        """Whether :meth:`turn_request` has said which functions there are."""
        return bool(self._owners)

    def openings(self, items: tuple[ContextItem, ...]) -> list[tuple[int, HostedCall]]:
        """The calls to be made before the first turn, with the numbers of their entries."""
        context = self.context_of(items)
        return [
            (number, call) for number, entry, tool in self.entries for call in tool.openings(entry, context)
        ]

    def owner(self, name: str) -> Owner | None:
        """Whose function a name is, among those of the last :meth:`turn_request`; None: the client's."""
        return self._owners.get(name)

    async def turn_request(
        self, items: tuple[ContextItem, ...], *, first: bool = True, may_call: bool = True
    ) -> CreateResponse:
        """The request as the engine is asked it: functions in the place of hosted tools.

        Args:
            items: the history, this response's own output so far at its end.
            first: whether it is the model's first turn, which a forced choice is for.
            may_call: whether there is room for more calls.

        Raises:
            InvalidRequest: an entry cannot be honoured, or the choice names a tool that is not there.
        """
        context = self.context_of(items)
        taken = {tool.name for tool in self.request.tools if isinstance(tool, Tool) and hasattr(tool, "name")}
        offered: list[RequestTool] = []
        names: dict[int, list[FunctionTool]] = {}
        self._owners = {}
        for number, entry in enumerate(self.request.tools):
            if not isinstance(entry, HostedToolEntry):
                offered.append(entry)
                continue
            tool = self.tools[type_of(entry)]
            names[number] = []
            for function in await self._declared(number, entry, tool, context):
                name = _free_name(function.name, taken)
                taken.add(name)
                self._owners[name] = Owner(tool, number, function.name)
                names[number].append(msgspec.structs.replace(function, name=name))
            offered.extend(names[number])
        choice = self._choice(names, first=first) if may_call else "none"
        return msgspec.structs.replace(self.request, tools=tuple(offered), tool_choice=choice)

    async def _declared(
        self, number: int, entry: HostedToolEntry, tool: HostedTool, context: ToolContext
    ) -> Sequence[FunctionTool]:
        try:
            return await tool.declare(entry, context)
        except ServiceError as error:
            if error.param is not None and error.param != "input":
                error.param = f"tools[{number}].{error.param}"
            raise

    def _choice(self, functions: Mapping[int, Sequence[FunctionTool]], *, first: bool) -> ToolChoice | None:
        choice = self.request.tool_choice
        if choice is None or choice in ("none", "auto"):
            return choice
        if isinstance(choice, AllowedTools):
            allowed = tuple(name for listed in choice.tools for name in self._listed(listed, functions))
            mode = "auto" if choice.mode == "required" and not first else choice.mode
            return AllowedTools(tools=allowed, mode=mode) if allowed else "none"
        if not first:
            return "auto"
        return self._forced(choice, functions) if isinstance(choice, HostedChoice) else choice

    def _listed(self, listed: ToolName, functions: Mapping[int, Sequence[FunctionTool]]) -> list[ToolName]:
        """An entry of an ``allowed_tools`` list as names of functions."""
        if listed.type not in self.tools:
            return [listed]
        return [
            ToolName(type="function", name=function.name)
            for number, declared in functions.items()
            if type_of(self._entry(number)) == listed.type
            for function in declared
        ]

    def _forced(self, choice: HostedChoice, functions: Mapping[int, Sequence[FunctionTool]]) -> ToolChoice:
        kind = type_of(choice)
        names: list[str] = []
        offered = False
        for number, declared in functions.items():
            tool = self.tools[type_of(self._entry(number))]
            if kind in tool.types:
                offered = True
                names.extend(tool.chosen(choice, declared))
        if not offered:
            raise InvalidRequest(
                f"tool_choice names a tool of type '{kind}', which tools does not have.", param="tool_choice"
            )
        if len(names) == 1:
            return FunctionChoice(name=names[0])
        listed = tuple(ToolName(type="function", name=name) for name in names)
        return AllowedTools(tools=listed, mode="required") if listed else "auto"

    def _entry(self, number: int) -> HostedToolEntry:
        entry = self.request.tools[number]
        if not isinstance(entry, HostedToolEntry):
            raise TypeError(f"tools[{number}] is the client's")
        return entry


def _free_name(name: str, taken: set[str]) -> str:
    """A name that no other tool of the request has."""
    number = 2
    free = name
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free
