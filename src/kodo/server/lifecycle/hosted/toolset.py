"""The hosted tools of one request: which functions stand for them in a turn, and which tool a call belongs to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from kodo.server.lifecycle.errors import InvalidRequest, ServiceError, rename_param
from kodo.server.lifecycle.hosted.loaded import brought_search, flat, later, loaded, split
from kodo.server.lifecycle.hosted.ports import Deferred, HostedCall, HostedTool, ToolContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.tool_choice import is_meant, offered_names, tool_name
from kodo.server.wire.decode import MAX_TOOLS
from kodo.server.wire.hosted_tools import (
    ContainerShellTool,
    HostedChoice,
    HostedToolEntry,
    McpTool,
    ToolSearchTool,
    type_of,
)
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.tools import (
    CONTAINER_SHELL,
    AllowedTools,
    CustomTool,
    FunctionChoice,
    FunctionTool,
    NamespaceTool,
    RequestTool,
    ShellChoice,
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
    _deferred: tuple[Deferred, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the request's tools are what the engine is offered, unless items bring more."""
        return not any(
            isinstance(tool, HostedToolEntry) or split(tool)[1] for tool in self.request.tools
        ) and not isinstance(self.request.tool_choice, HostedChoice)

    @property
    def is_hosted(self) -> bool:
        """Whether the request has tools that this server runs."""
        return any(isinstance(tool, HostedToolEntry) for tool in self.request.tools)

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
        return msgspec.structs.replace(self.context, items=items, deferred=self._deferred)

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
        self.adopt_search(items)
        context = self.context_of(items)
        taken = {tool.name for tool in self.request.tools if isinstance(tool, Tool) and hasattr(tool, "name")}
        offered: list[RequestTool] = []
        names: dict[int, list[FunctionTool]] = {}
        waiting: dict[tuple[str | None, str], Tool] = {}
        deferred: list[Deferred] = []
        self._owners = {}
        for number, entry in enumerate(self.request.tools):
            names[number] = []
            if not isinstance(entry, HostedToolEntry):
                now, parts = split(entry)
                offered += [] if now is None else [now]
                waiting |= {
                    (part.namespace, part.tool.name): later(part.namespace, part.tool) for part in parts
                }
                deferred += parts
                continue
            tool = self.tools[type_of(entry)]
            for function in await self._declared(number, entry, tool, context):
                name = _free_name(function.name, taken)
                taken.add(name)
                self._owners[name] = Owner(tool, number, function.name)
                named = msgspec.structs.replace(function, name=name)
                if isinstance(entry, McpTool) and entry.defer_loading is True:
                    part = _deferred_mcp(entry, named)
                    waiting[part.namespace, part.tool.name] = later(None, named)
                    deferred.append(part)
                else:
                    names[number].append(named)
            offered += names[number]
        self._check_labels()
        self._check_deferred(deferred)
        self._deferred = tuple(deferred)
        offered += _loaded(items, waiting, offered)
        offered = _within_limit(offered, self._owners)
        choice = self._choice(names, first=first) if may_call else "none"
        if choice == "required" and not offered:
            choice = "auto"  # a server's tools could not be listed: the model answers without them
        choice = _without_deferred(choice, offered, deferred)
        return msgspec.structs.replace(self.request, tools=tuple(offered), tool_choice=choice)

    def adopt_search(self, items: tuple[ContextItem, ...]) -> None:
        """Take the search that items bring along for one of the request's own, where that has none."""
        if any(isinstance(tool, ToolSearchTool) for tool in self.request.tools):
            return
        search = brought_search(items)
        if search is not None and type_of(search) in self.tools:
            self.request = msgspec.structs.replace(self.request, tools=(*self.request.tools, search))

    def _check_labels(self) -> None:
        labels: set[str] = set()
        for number, entry in enumerate(self.request.tools):
            if isinstance(entry, McpTool):
                if entry.server_label in labels:
                    raise InvalidRequest(
                        f"Two tools have the server_label '{entry.server_label}'.",
                        param=f"tools[{number}].server_label",
                    )
                labels.add(entry.server_label)

    def _check_deferred(self, deferred: Sequence[Deferred]) -> None:
        searches = any(isinstance(tool, ToolSearchTool) for tool in self.request.tools)
        if deferred and not searches:
            raise InvalidRequest(
                "defer_loading needs a tool of type 'tool_search' beside it, or the tool is never found.",
                param="tools",
            )

    async def _declared(
        self, number: int, entry: HostedToolEntry, tool: HostedTool, context: ToolContext
    ) -> Sequence[FunctionTool]:
        try:
            return await tool.declare(entry, context)
        except ServiceError as error:
            if error.param is not None and error.param != "input":
                rename_param(error, f"tools[{number}].{error.param}")
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
        if isinstance(choice, HostedChoice) or (isinstance(choice, ShellChoice) and self._has_shell):
            return self._forced(choice, functions)
        return choice

    def _listed(self, listed: ToolName, functions: Mapping[int, Sequence[FunctionTool]]) -> list[ToolName]:
        """An entry of an ``allowed_tools`` list as names of functions."""
        kind = CONTAINER_SHELL if listed.type == "shell" and self._has_shell else listed.type
        if kind not in self.tools:
            return [listed]
        return [
            ToolName(type="function", name=function.name)
            for number, entry, _ in self.entries
            if type_of(entry) == kind
            for function in functions[number]
        ]

    @property
    def _has_shell(self) -> bool:
        """Whether the shell is one that this server runs, in a container."""
        return any(isinstance(tool, ContainerShellTool) for tool in self.request.tools)

    def _forced(
        self, choice: HostedChoice | ShellChoice, functions: Mapping[int, Sequence[FunctionTool]]
    ) -> ToolChoice:
        kind = CONTAINER_SHELL if isinstance(choice, ShellChoice) else type_of(choice)
        names: list[str] = []
        offered = False
        for number, _, tool in self.entries:
            if kind in tool.types:
                offered = True
                declared = functions[number]
                names += (
                    [function.name for function in declared]
                    if isinstance(choice, ShellChoice)
                    else tool.chosen(choice, declared)
                )
        if not offered:
            raise InvalidRequest(
                f"tool_choice names a tool of type '{kind}', which tools does not have.", param="tool_choice"
            )
        if len(names) == 1:
            return FunctionChoice(name=names[0])
        listed = tuple(ToolName(type="function", name=name) for name in names)
        return AllowedTools(tools=listed, mode="required") if listed else "auto"


def _without_deferred(
    choice: ToolChoice | None, offered: Sequence[RequestTool], deferred: Sequence[Deferred]
) -> ToolChoice | None:
    """An ``allowed_tools`` list without the tools that are still to be found."""
    if not isinstance(choice, AllowedTools):
        return choice
    now = list(offered_names([tool for tool in offered if isinstance(tool, Tool)]))
    later = [tool_name(part.tool, part.namespace) for part in deferred]
    kept = tuple(
        one
        for one in choice.tools
        if any(is_meant(one, name) for name in now) or not any(is_meant(one, name) for name in later)
    )
    return msgspec.structs.replace(choice, tools=kept) if kept else choice


def _free_name(name: str, taken: set[str]) -> str:
    """A name that no other tool of the request has."""
    number = 2
    free = name
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free


def _within_limit(offered: list[RequestTool], hosted: Collection[str]) -> list[RequestTool]:
    """At most as many tools as an engine takes; where there are more, the last hosted ones go."""
    excess = len(offered) - MAX_TOOLS
    kept: list[RequestTool] = []
    for tool in reversed(offered):
        is_extra = isinstance(tool, FunctionTool) and tool.name in hosted and tool.defer_loading is not True
        if excess > 0 and is_extra:
            excess -= 1
        else:
            kept.append(tool)
    return kept[::-1]


def _deferred_mcp(entry: McpTool, function: FunctionTool) -> Deferred:
    """A function of a deferred MCP server, under its own name and the server's label."""
    about = entry.server_description if isinstance(entry.server_description, str) else ""
    bare = function.name.removeprefix(f"{entry.server_label}__")
    named = msgspec.structs.replace(function, name=bare)
    return Deferred(namespace=entry.server_label, tool=named, about=about)


def _loaded(
    items: tuple[ContextItem, ...],
    waiting: Mapping[tuple[str | None, str], Tool],
    offered: Collection[RequestTool],
) -> list[Tool]:
    """The tools that items have loaded: deferred ones of the request, and others that they bring along."""
    there = {
        (namespace, tool.name)
        for one in offered
        if isinstance(one, FunctionTool | CustomTool | NamespaceTool)
        for namespace, tool in flat(one)
    }
    return [
        waiting.get((namespace, tool.name), later(namespace, tool))
        for namespace, tool in loaded(items)
        if (namespace, tool.name) not in there
    ]
