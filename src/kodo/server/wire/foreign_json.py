"""JSON that somebody else wrote: a model, another server, or a client in a text inside of its body.

A parser fails in three ways: the text is no JSON, its bytes are no text (a character that was cut in two), or it is nested
deeper than the stack goes. Here they are one.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)


class NotJson(ValueError):
    """A text that cannot be read as JSON, or not as the JSON that was expected."""


def read_json(data: bytes | bytearray | str) -> Any:
    """The value of a text. Raises :class:`NotJson`: it has none."""
    return read_json_as(_anything, data)


def read_json_as(decoder: msgspec.json.Decoder[T], data: bytes | bytearray | str) -> T:
    """The value of a text, of the decoder's type. Raises :class:`NotJson`: it has none."""
    try:
        return decoder.decode(data)
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except (
        ValueError
    ) as error:  # msgspec's own errors are such, and those of text that cannot be decoded or encoded
        raise NotJson(str(error)) from error
