"""Rows as SQLite columns: items as JSON, tokens as 32-bit integers, log chunks as MessagePack. Knows no SQL.

What an item's server wants back with it (:class:`~kodo.server.lifecycle.ports.ProviderState`), and what the model sees in
its place, stand behind the item's JSON, each on a line of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from kodo.server.lifecycle.ports import ContextItem, ProviderState
from kodo.server.wire.items import Item

_item = msgspec.json.Decoder(Item)
_provider = msgspec.json.Decoder(ProviderState | None)
_shown = msgspec.json.Decoder(tuple[Item, ...])
_chunk = msgspec.msgpack.Decoder(list[bytes])
_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def pack_item(context: ContextItem) -> tuple[bytes, bytes | None]:
    """The columns ``item`` and ``tokens``."""
    tokens = context.tokens
    item = _json.encode(context.item)
    if context.provider is not None or context.shown is not None:
        item += b"\n" + _json.encode(context.provider)
    if context.shown is not None:
        item += b"\n" + _json.encode(context.shown)
    return item, None if tokens is None else struct.pack(f"<{len(tokens)}I", *tokens)


def unpack_item(item: bytes, tokens: bytes | None) -> ContextItem:
    """The inverse of :func:`pack_item`."""
    item, _, behind = item.partition(b"\n")  # JSON on one line: msgspec escapes line breaks
    provider, _, shown = behind.partition(b"\n")
    return ContextItem(
        item=_item.decode(item),
        provider=_provider.decode(provider) if provider else None,
        shown=_shown.decode(shown) if shown else None,
        tokens=None if tokens is None else struct.unpack(f"<{len(tokens) // 4}I", tokens),
    )


def pack_chunk(entries: Sequence[bytes]) -> bytes:
    """Log entries as one blob."""
    return _msgpack.encode(entries)


def unpack_chunk(chunk: bytes) -> list[bytes]:
    """The inverse of :func:`pack_chunk`."""
    return _chunk.decode(chunk)


def pack_headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Header pairs as one blob."""
    return _json.encode(headers)


def unpack_headers(headers: bytes) -> tuple[tuple[str, str], ...]:
    """The inverse of :func:`pack_headers`."""
    return _headers.decode(headers)
