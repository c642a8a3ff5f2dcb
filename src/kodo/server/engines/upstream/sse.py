"""Server-sent events as servers write them: any line ending, a byte order mark in front, data over several lines."""

from __future__ import annotations

from typing import Final

from kodo.server.lifecycle.errors import EngineFailed

MAX_EVENT_BYTES: Final = 32 * 2**20
_BOM = b"\xef\xbb\xbf"
_ERROR_FIELD: Final = b"error: {"
"""llama.cpp sends an error in the middle of an answer in a field of this name."""


class EventParser:
    """Bytes in, the data of whole events out. Comments and other fields are skipped."""

    def __init__(self) -> None:
        self._pending = b""
        self._data: list[bytes] = []
        self._first = True

    def feed(self, received: bytes) -> list[bytes]:
        """The data of the events that are whole now.

        Raises:
            EngineFailed: a line is longer than ``MAX_EVENT_BYTES``.
        """
        text = self._pending + received if self._pending else received
        if self._first:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._pending = text
                return []
            text = text.removeprefix(_BOM)
            self._first = False
        if b"\r" in text:
            # a CR at the end may be the first half of a CRLF
            tail = text[-1:] if text.endswith(b"\r") else b""
            text = text[: len(text) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
        *lines, self._pending = text.split(b"\n")
        if len(self._pending) > MAX_EVENT_BYTES:
            raise EngineFailed("The model's server sent an event that is too long.")
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    self._take(events)
            elif line.startswith(b"data: "):
                self._data.append(line[6:])
            elif line.startswith(b"data:"):
                self._data.append(line[5:])
            elif line.startswith(_ERROR_FIELD):
                self._data.append(line[len(_ERROR_FIELD) - 1 :])
        return events

    def flush(self) -> list[bytes]:
        """The last event, where the server did not end it with an empty line."""
        events: list[bytes] = []
        line = self._pending.strip()
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif line.startswith(_ERROR_FIELD):
            self._data.append(line[len(_ERROR_FIELD) - 1 :])
        self._take(events)
        return events

    def _take(self, events: list[bytes]) -> None:
        if self._data:
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
            self._data = []
