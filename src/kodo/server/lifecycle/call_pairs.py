"""The rule that a call and its output come in pairs, in a whole history: its parents, its conversation, its own input.

The words, ``param`` and the missing ``code`` are those of the hosted API, because clients tell these two errors by their
message. Not a call of the client's, and free of the rule: what this server or another service runs itself, and a call
that was cut off, which nobody can run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET

from kodo.server.lifecycle.errors import UnpairedCall
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.decode import CONTAINER_ENVIRONMENTS
from kodo.server.wire.hosted_items import ToolSearchCall, ToolSearchOutput
from kodo.server.wire.items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CallOutput,
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    ShellCall,
    ShellCallOutput,
)

_CALL_OF: Final[Mapping[type[Item], type[Item]]] = {
    FunctionCallOutput: FunctionCall,
    CustomToolCallOutput: CustomToolCall,
    LocalShellCallOutput: LocalShellCall,
    ShellCallOutput: ShellCall,
    ApplyPatchCallOutput: ApplyPatchCall,
    ToolSearchOutput: ToolSearchCall,
}
_CALLS: Final = frozenset(_CALL_OF.values())


def check_outputs(items: Sequence[ContextItem]) -> None:
    """Check that every output answers a call of its kind before it. Behind a compaction, which may hold the call, any does.

    Raises:
        UnpairedCall: one does not.
    """
    known: set[tuple[type[Item], object]] = set()
    for context in items:
        item = context.item
        if isinstance(item, Compaction):
            return
        if type(item) in _CALLS:
            known.update((type(item), name) for name in names_of(item))
        elif isinstance(item, CallOutput):
            name = next(names_of(item))
            if (_CALL_OF[type(item)], name) not in known:
                raise UnpairedCall(
                    f"No tool call found for {_words(type(item))} with call_id {name}.", param="input"
                )


def check_calls(items: Sequence[ContextItem]) -> None:
    """Check that every call that is the client's to run has its output. A compaction stands for the calls before it.

    Raises:
        UnpairedCall: one has not.
    """
    answered: set[tuple[type[Item], object]] = set()
    for context in reversed(items):
        item, kind = context.item, type(context.item)
        if kind is Compaction:
            return
        if kind in _CALL_OF:
            answered.update((_CALL_OF[kind], name) for name in names_of(item))
        elif kind in _CALLS and _is_clients(context):
            names = [*names_of(item)]
            if names and answered.isdisjoint((kind, name) for name in names):
                raise UnpairedCall(f"No tool output found for {_words(kind)} {names[0]}.", param="input")


def _is_clients(context: ContextItem) -> bool:
    """Whether a call is complete, and the client's to run."""
    item = context.item
    if context.shown is not None or getattr(item, "status", None) in ("incomplete", "in_progress"):
        return False
    if isinstance(item, ToolSearchCall):
        return item.execution == "client"
    if isinstance(item, ShellCall) and isinstance(item.environment, dict):
        return item.environment.get("type") not in CONTAINER_ENVIRONMENTS
    return True


def names_of(item: Item) -> Iterator[object]:
    """What a call and its output have in common; nothing, for any other item. An output of the local shell may name its call by ``id``."""
    call_id = getattr(item, "call_id", UNSET)
    if call_id is not UNSET:
        yield call_id
    if isinstance(item, LocalShellCall) or (isinstance(item, LocalShellCallOutput) and call_id is UNSET):
        yield item.id


def _words(kind: type[Item]) -> str:
    return str(kind.__struct_config__.tag).replace("_", " ")
