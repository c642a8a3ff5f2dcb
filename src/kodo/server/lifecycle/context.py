"""From a request to the items for the model: its history and its own input.

History comes from ``previous_response_id`` (the parent's instructions do not), from a conversation, or, for responses
that are not stored, from a connection's own memory. A compaction replaces everything before it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from kodo.server.lifecycle.call_pairs import names_of
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.hosted.recall import Recollection
from kodo.server.lifecycle.ports import ContextItem, Ids, ProviderState, Value
from kodo.server.lifecycle.records import ItemRow
from kodo.server.lifecycle.sealing import Opener, SealedTooLarge, Sealer, SealLimits
from kodo.server.lifecycle.status import FINAL
from kodo.server.lifecycle.store_ports import HistoryStore
from kodo.server.wire.hosted_items import AnyHostedItem, HostedItem, note_author, note_text
from kodo.server.wire.items import (
    ID_PREFIXES,
    ApplyPatchCall,
    ApplyPatchCallOutput,
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputItem,
    InputText,
    Item,
    ItemReference,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
    ShellCall,
    ShellCallOutput,
    SummaryText,
)

CALLS = FunctionCall | CustomToolCall | LocalShellCall | ShellCall | ApplyPatchCall
OUTPUTS = (
    FunctionCallOutput | CustomToolCallOutput | LocalShellCallOutput | ShellCallOutput | ApplyPatchCallOutput
)

IMAGE_NOTE = "[An image was attached here. You cannot see images.]"


class History(Value, frozen=True, kw_only=True):
    """The context that a response starts from, and the input items it adds."""

    before: tuple[ContextItem, ...] = ()
    own: tuple[ItemRow, ...] = ()
    items: tuple[ContextItem, ...] = ()
    """Both, oldest first."""


async def history(
    store: HistoryStore,
    ids: Ids,
    owner: str,
    value: str | tuple[InputItem, ...] | None,
    *,
    previous: str | None,
    conversation: str | None,
    local: Mapping[str, tuple[ContextItem, ...]],
) -> History:
    """The history of a request and its own input items, with ids.

    Raises:
        NotFound: the conversation or a referenced item is not there, or not this owner's.
        Conflict: the parent still runs.
        InvalidRequest: the parent is not there, or not this owner's (the hosted API has a 400 for that, not a 404); both a
            parent and a conversation are given.
    """
    if previous is not None and conversation is not None:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Give only one of them.",
            param="conversation",
            code="mutually_exclusive_parameters",
        )
    before: Sequence[ContextItem] = ()
    if previous is not None:
        before = local[previous] if previous in local else await _parent(store, owner, previous)
    elif conversation is not None:
        if await store.get_document("conversation", owner, conversation) is None:
            raise NotFound(
                f"Conversation with id '{conversation}' not found.",
                param="conversation",
                code="conversation_not_found",
            )
        before = await store.all_items(owner, conversation)
    rows: list[ItemRow] = []
    taken: set[str] = set()
    for index, item in enumerate(_input_items(value)):
        row = await _row(store, ids, owner, item, f"input[{index}]")
        if row.id in taken:
            row = _renamed(row, ids.new(row.id.partition("_")[0]))
        taken.add(row.id)
        rows.append(row)
    items = (*before, *[row.context for row in rows])
    return History(before=tuple(before), own=tuple(rows), items=items)


async def _parent(store: HistoryStore, owner: str, previous: str) -> Sequence[ContextItem]:
    row = await store.get_response(owner, previous)
    missing = InvalidRequest(
        f"Previous response with id '{previous}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )
    if row is None:
        raise missing
    if row.status not in FINAL:
        raise Conflict(
            f"Response '{previous}' is still {row.status}; wait for it or cancel it first.",
            param="previous_response_id",
            code="response_in_progress",
        )
    items = await store.chain(owner, previous)
    if items is None:
        raise missing
    return items


def _input_items(value: str | tuple[InputItem, ...] | None) -> tuple[Item | ItemReference, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message(role="user", content=(InputText(text=value),)),)
    return tuple(item for item in value if not isinstance(item, CompactionTrigger))


async def _row(store: HistoryStore, ids: Ids, owner: str, item: Item | ItemReference, path: str) -> ItemRow:
    if isinstance(item, ItemReference):
        row = await store.get_item(owner, None, item.id)
        if row is None:
            raise NotFound(f"Item with id '{item.id}' not found.", param=f"{path}.id", code="item_not_found")
        return row
    row = new_row(ids, item)
    if isinstance(item, Reasoning) and item.id and not isinstance(item.encrypted_content, str):
        stored = await store.get_item(owner, None, item.id)  # what its server wants back is kept with it
        if stored is not None and isinstance(stored.context.item, Reasoning):
            context = msgspec.structs.replace(row.context, provider=stored.context.provider)
            row = msgspec.structs.replace(row, context=context)
    return row


def _renamed(row: ItemRow, item_id: str) -> ItemRow:
    """A row under another id. An output of the local shell that named its call by its own id goes on to name it."""
    item = msgspec.structs.replace(row.context.item, id=item_id)
    if isinstance(item, LocalShellCallOutput) and item.call_id is UNSET:
        item = msgspec.structs.replace(item, call_id=row.id)
    return ItemRow(id=item_id, context=msgspec.structs.replace(row.context, item=item))


def new_row(ids: Ids, item: Item) -> ItemRow:
    """An item with an id: its own, or a fresh one."""
    item_id = item.id or ids.new(ID_PREFIXES[type(item)])
    return ItemRow(id=item_id, context=ContextItem(item=msgspec.structs.replace(item, id=item_id)))


# --- rendering for the engine -----------------------------------------------------------------------------------------


def is_passthrough(items: tuple[ContextItem, ...], start: int = 0) -> bool:
    """Whether the items from number ``start`` on need no rendering: nothing to open, to unseal or to read."""
    for context in items[start:]:
        item = context.item
        if context.shown is not None:
            return False
        if isinstance(item, Message):
            if not all(isinstance(part, InputText | OutputText) for part in item.content):
                return False
        elif isinstance(item, FunctionCallOutput | CustomToolCallOutput):
            if not isinstance(item.output, str):
                return False
        elif isinstance(item, Compaction | HostedItem) or (
            isinstance(item, Reasoning) and isinstance(item.encrypted_content, str)
        ):
            return False
    return True


def has_sealed(items: Sequence[ContextItem]) -> bool:
    """Whether :func:`render` has to open something, which may take a while."""
    return any(
        isinstance(context.item, Compaction)
        or (isinstance(context.item, Reasoning) and isinstance(context.item.encrypted_content, str))
        for context in items
    )


def render(
    items: tuple[ContextItem, ...],
    *,
    owner: str,
    sealer: Sealer,
    images: Literal["see", "note", "refuse"],
    files: bool = False,
    limits: SealLimits = SealLimits(),  # noqa: B008 - frozen
) -> tuple[ContextItem, ...]:
    """The items as an engine takes them: the last compaction opened, reasoning unsealed, images and files as text
    (``images``: what becomes of them; ``files``: PDF files stay as they are).

    ``limits`` bound what is opened. Reasoning beyond them stays sealed, the oldest first: the model does not see it.

    Raises:
        InvalidRequest: a sealed value is not ours or too large, or an image or file cannot be taken.
    """
    opener = Opener(sealer, owner, limits)
    last = max(
        (index for index, context in enumerate(items) if isinstance(context.item, Compaction)), default=-1
    )
    result: list[ContextItem] = []
    if last >= 0:
        result = _open_compaction(items[last].item, opener, f"input[{last}]")
    recollection = Recollection(items)
    unsealed = _unseal_newest(items, last + 1, opener)
    for index, context in enumerate(items[last + 1 :], last + 1):
        item = context.item
        if context.shown is not None:
            result.extend(_as_shown(context, context.shown))
        elif isinstance(item, Message):
            parts = tuple(
                _render_part(part, images, files, f"input[{index}].content[{n}]")
                for n, part in enumerate(item.content)
            )
            same = all(new is old for new, old in zip(parts, item.content, strict=True))
            result.append(
                context
                if same
                else msgspec.structs.replace(
                    context, item=msgspec.structs.replace(item, content=parts), tokens=None
                )
            )
        elif isinstance(item, FunctionCallOutput | CustomToolCallOutput) and not isinstance(item.output, str):
            output = tuple(
                _render_part(part, images, files, f"input[{index}].output[{n}]")
                for n, part in enumerate(item.output)
            )
            result.append(ContextItem(item=msgspec.structs.replace(item, output=output)))
        elif isinstance(item, HostedItem):
            shown = recollection.recall(item)
            result.extend((ContextItem(item=_note(item)),) if shown is None else _as_shown(context, shown))
        else:
            result.append(unsealed.get(index, context))
    return tuple(result)


def _as_shown(context: ContextItem, shown: tuple[Item, ...]) -> list[ContextItem]:
    """What the model saw of a tool that this server ran: the call, with the ids it was generated from, and the output."""
    seen = [ContextItem(item=item) for item in shown]
    if seen and context.tokens is not None:
        seen[0] = msgspec.structs.replace(seen[0], tokens=context.tokens, provider=context.provider)
    return seen


def _note(item: AnyHostedItem) -> Message:
    """An item of another service's tool as a message for the model."""
    author = note_author(item)
    part = InputText(text=note_text(item)) if author == "user" else OutputText(text=note_text(item))
    return Message(id=item.id, role=author, content=(part,))


def _unseal_newest(items: tuple[ContextItem, ...], start: int, opener: Opener) -> dict[int, ContextItem]:
    """The sealed reasoning items from ``start`` on, opened, by index; the newest ones where that is too much."""
    unsealed: dict[int, ContextItem] = {}
    for index in range(len(items) - 1, start - 1, -1):
        item = items[index].item
        if isinstance(item, Reasoning) and isinstance(item.encrypted_content, str):
            try:
                unsealed[index] = _unseal_reasoning(items[index], item, item.encrypted_content, opener)
            except SealedTooLarge:
                break
    return unsealed


def _render_part(part: Part, images: str, files: bool, path: str) -> Part:
    if isinstance(part, InputImage) and images != "see":
        if images == "refuse":
            raise InvalidRequest(
                "This model does not support images.", param=path, code="unsupported_content"
            )
        return InputText(text=IMAGE_NOTE)
    if isinstance(part, InputFile):
        if files and isinstance(part.file_data, str) and part.file_data.startswith("data:application/pdf"):
            return part
        return _render_file(part, path)
    return part


def _render_file(part: InputFile, path: str) -> InputText:
    name = part.filename if isinstance(part.filename, str) else "file"
    if isinstance(part.file_url, str):
        raise InvalidRequest(
            "This server does not download files from URLs; send file_data.",
            param=f"{path}.file_url",
            code="unsupported_content",
        )
    if not isinstance(part.file_data, str):
        raise InvalidRequest(
            "An input_file needs file_data or file_id.", param=f"{path}.file_data", code="unsupported_content"
        )
    _, _, data = part.file_data.rpartition(",")
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            f"'{name}' is not valid base64.", param=f"{path}.file_data", code="unsupported_content"
        ) from None
    return file_text(name, decoded, f"{path}.file_data")


def file_text(name: str, data: bytes, param: str) -> InputText:
    """A file as text for the model.

    Raises:
        InvalidRequest: it is not text; ``param`` is the field that gave it.
    """
    try:
        return InputText(text=f"File {name}:\n{data.decode()}")
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"'{name}' is not UTF-8 text; this model supports text files only.",
            param=param,
            code="unsupported_content",
        ) from None


def seal_items(
    items: Sequence[Item], *, owner: str, sealer: Sealer, notes: dict[str, Any] | None = None
) -> str:
    """Items, and notes about them, as ``encrypted_content``."""
    return sealer.seal(owner, msgspec.json.encode({"items": items, "notes": notes or {}}))


class _Sealed(Value, frozen=True, kw_only=True):
    items: tuple[Item, ...] = ()
    notes: dict[str, Any] = msgspec.field(default_factory=dict)


def _open_compaction(item: Item, opener: Opener, path: str) -> list[ContextItem]:
    if not isinstance(item, Compaction):
        raise TypeError("only compactions are opened")
    param = f"{path}.encrypted_content"
    try:
        data = opener.open(item.encrypted_content)
    except SealedTooLarge:
        raise InvalidRequest(
            "encrypted_content is too large when it is opened.",
            param=param,
            code="encrypted_content_too_large",
        ) from None
    if data is None:
        raise InvalidRequest(
            "encrypted_content was not created by this server for this project, or was modified.",
            param=param,
            code="invalid_encrypted_content",
        )
    return [ContextItem(item=original) for original in msgspec.json.decode(data, type=_Sealed).items]


def _unseal_reasoning(context: ContextItem, item: Reasoning, text: str, opener: Opener) -> ContextItem:
    """Reasoning with its own words back; foreign ones (another server's) are kept as they came."""
    data = opener.open(text)
    if data is None:
        return context
    sealed = msgspec.json.decode(data, type=_Sealed)
    parts = tuple(
        ReasoningText(text=part.text)
        for kept in sealed.items
        if isinstance(kept, Reasoning)
        for part in kept.summary
    )
    provider = context.provider
    if provider is None and "provider" in sealed.notes:
        provider = msgspec.convert(sealed.notes["provider"], ProviderState)
    return msgspec.structs.replace(
        context, item=msgspec.structs.replace(item, content=parts), provider=provider
    )


def seal_reasoning(
    item: Reasoning, provider: ProviderState | None = None, *, owner: str, sealer: Sealer
) -> Reasoning:
    """A reasoning item that carries itself, sealed, for clients that keep the state; and what its server wants back."""
    bare = Reasoning(id=item.id, summary=tuple(SummaryText(text=part.text) for part in item.summary))
    notes = None if provider is None else {"provider": provider}
    sealed = seal_items([bare], owner=owner, sealer=sealer, notes=notes)
    return msgspec.structs.replace(item, encrypted_content=sealed)


# --- truncation -----------------------------------------------------------------------------------------------


def drop_oldest(
    items: tuple[ContextItem, ...], tokens: Sequence[int], excess: int
) -> tuple[tuple[ContextItem, ...], int]:
    """Without its oldest items, until ``excess`` tokens are gone; and how many went.

    System and developer messages stay, the last item stays (with its call, if it is an output), and a call never goes without
    its outputs.
    """
    gone: set[int] = set()
    calls: set[object] = set()
    last = items[-1].item if items else None
    answered = {*names_of(last)} if isinstance(last, OUTPUTS) else set()
    for index, context in enumerate(items[:-1]):
        if excess <= 0:
            break
        item = context.item
        if isinstance(item, Message) and item.role in ("system", "developer"):
            continue
        if isinstance(item, CALLS):
            if not answered.isdisjoint(names_of(item)):
                continue
            calls.update(names_of(item))
        gone.add(index)
        excess -= tokens[index]
    for index, context in enumerate(items):
        if isinstance(context.item, OUTPUTS) and not calls.isdisjoint(names_of(context.item)):
            gone.add(index)
    return tuple(context for index, context in enumerate(items) if index not in gone), len(gone)
