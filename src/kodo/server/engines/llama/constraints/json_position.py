"""Where a JSON text stands: inside a string, a number or between values, and what that string holds so far.

A scanner of bytes that trusts its input: the grammar has seen to the syntax. Knows JSON's syntax; knows nothing of schemas.
"""

from __future__ import annotations

from typing import NamedTuple

_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_SPACE = b" \t\r\n"


class JsonPosition(NamedTuple):
    """A position in a JSON text. :meth:`after` gives the next one."""

    containers: bytes = b""
    """The open brackets, outermost first."""
    in_string: bool = False
    is_key: bool = False
    """The string is, or the next one will be, the name of a property."""
    escape: int = 0
    """Bytes of an escape sequence that are still to come, at least."""
    in_scalar: bool = False
    """Inside a number or a literal."""
    content: bytes = b""
    """The string or scalar so far, its quote apart."""

    def after(self, data: bytes) -> JsonPosition:
        """The position behind more text."""
        containers, in_string, is_key, escape, in_scalar, content = self
        start = 0
        for index, byte in enumerate(data):
            if in_string:
                if escape:
                    escape = (
                        4 if escape == 1 and byte == 0x75 and _is_escape(content, data, index) else escape - 1
                    )
                elif byte == _BACKSLASH:
                    escape = 1
                elif byte == _QUOTE:
                    in_string, is_key, content = False, False, b""
            elif byte == _QUOTE:
                in_string, in_scalar, content, start = True, False, b"", index + 1
            elif byte in b"{[":
                containers += data[index : index + 1]
                is_key, in_scalar, content = byte == 0x7B, False, b""
            elif byte in b"}]":
                containers, is_key, in_scalar, content = containers[:-1], False, False, b""
            elif byte == _COMMA:
                is_key, in_scalar, content = containers[-1:] == b"{", False, b""
            elif byte == _COLON:
                is_key, in_scalar, content = False, False, b""
            elif byte not in _SPACE and not in_scalar:
                in_scalar, content, start = True, b"", index
        if in_string or in_scalar:
            content += data[start:]
        return JsonPosition(containers, in_string, is_key, escape, in_scalar, content)


def _is_escape(content: bytes, data: bytes, index: int) -> bool:
    """Whether the byte before ``data[index]`` is the backslash that begins an escape."""
    return (data[index - 1] if index else content[-1]) == _BACKSLASH
