"""The output items of a response while it is folded: those that are complete, and the one that the engine writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kodo.server.lifecycle.actions import parse_action
from kodo.server.lifecycle.ports import CallStart, ContextItem, ProviderState
from kodo.server.wire.items import (
    ID_PREFIXES,
    ApplyPatchCall,
    CustomToolCall,
    FunctionCall,
    Item,
    ItemStatus,
    LocalShellCall,
    Logprob,
    Message,
    OutputText,
    Reasoning,
    ShellCall,
    SummaryText,
)

ITEM_TYPES: Final[Mapping[str, type[Item]]] = {
    "message": Message,
    "reasoning": Reasoning,
    "function": FunctionCall,
    "custom": CustomToolCall,
    "local_shell": LocalShellCall,
    "shell": ShellCall,
    "apply_patch": ApplyPatchCall,
}
"""The type of item by the kind of what the engine writes."""


def item_id(kind: type[Item], response_id: str, index: int) -> str:
    """The id of a response's output item number ``index``: a function of the response's id, never random."""
    return f"{ID_PREFIXES[kind]}_{response_id.rpartition('_')[2]}{index:02x}"


@dataclass
class OutputItem:
    """An output item in its place. ``complete``: no more events of it will come."""

    item: Item
    tokens: tuple[int, ...] = ()
    provider: ProviderState | None = None
    shown: tuple[Item, ...] | None = None
    complete: bool = True

    @property
    def context(self) -> ContextItem:
        """The item as later prompts take it."""
        return ContextItem(
            item=self.item, tokens=self.tokens or None, provider=self.provider, shown=self.shown
        )


@dataclass
class OpenItem:
    """The item that the engine writes."""

    id: str
    index: int
    kind: str
    call: CallStart | None = None
    text: list[str] = field(default_factory=list)
    annotations: list[dict[str, object]] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    provider: ProviderState | None = None

    @property
    def part(self) -> OutputText:
        """The text of a message so far."""
        return OutputText(
            text="".join(self.text), annotations=tuple(self.annotations), logprobs=tuple(self.logprobs)
        )

    def item(self, status: ItemStatus, *, blank: bool = False) -> Item:
        """The item as it stands; ``blank``: as it is announced."""
        text = "" if blank else "".join(self.text)
        call = self.call
        if call is None:
            if self.kind == "reasoning":
                return Reasoning(id=self.id, summary=() if blank else (SummaryText(text=text),))
            parts = () if blank else (self.part,)
            return Message(id=self.id, status=status, role="assistant", content=parts)
        namespace = msgspec.UNSET if call.namespace is None else call.namespace
        if self.kind == "function":
            return FunctionCall(
                id=self.id,
                call_id=call.call_id,
                name=call.name,
                arguments=text,
                status=status,
                namespace=namespace,
            )
        if self.kind == "custom":
            return CustomToolCall(
                id=self.id,
                call_id=call.call_id,
                name=call.name,
                input=text,
                status=status,
                namespace=namespace,
            )
        return self._action(call, text, status)

    def _action(self, call: CallStart, text: str, status: ItemStatus) -> Item:
        arguments, whole = parse_action(self.kind, text)
        status = status if whole else "incomplete"
        if self.kind == "local_shell":
            return LocalShellCall(id=self.id, call_id=call.call_id, action=arguments, status=status)
        if self.kind == "shell":
            return ShellCall(id=self.id, call_id=call.call_id, action=arguments, status=status)
        if status == "incomplete":  # the contract has no such status for patches
            status = "in_progress"
        return ApplyPatchCall(id=self.id, call_id=call.call_id, operation=arguments, status=status)
