"""Reads a multipart form as it arrives: streams its file to a writer, and keeps its few short fields."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from kodo.server.http.bodies import ClientDisconnect
from kodo.server.lifecycle.errors import TooLarge
from kodo.server.wire.decode import BadBody

_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
"""A file's name as RFC 5987 has it. Forms should not (RFC 7578), but .NET and old versions of urllib3 send names that are
not ASCII so; .NET has an encoded word in ``filename`` beside it."""
_MAX_FIELDS = 20
_MAX_FIELD_BYTES = 4096
"""Bytes."""


@dataclass
class Form:
    """The fields of a form, and the name of its file."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    """None without a file."""


class _FormCollector:
    """The parser's callbacks: they collect, and :func:`read_form` takes what they collected after each piece of the
    body."""

    def __init__(self, file_field: str) -> None:
        self._file_field = file_field
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._name = ""
        self._in_file = False
        self._value = bytearray()
        self.form = Form()
        self.data: list[bytes] = []
        self.complete = False

    def on_part_begin(self) -> None:
        self._headers = {}
        self._value = bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = (bytearray(), bytearray())

    def on_headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        extended = _EXTENDED_NAME.search(disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        self._in_file = b"filename" in options or extended is not None
        if not self._in_file:
            return
        if self._name != self._file_field or self.form.filename is not None:
            raise BadBody(
                f"The form must have exactly one file, in the field '{self._file_field}'.",
                self._name,
                "invalid_value",
            )
        self.form.filename = (
            unquote(extended[1].decode("latin-1"), errors="replace")
            if extended is not None
            else options[b"filename"].decode(errors="replace")
        )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.data.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            raise BadBody(f"'{self._name}' is too long.", self._name, "invalid_value")

    def on_part_end(self) -> None:
        if self._in_file:
            return
        fields = self.form.fields
        if self._name in fields or len(fields) >= _MAX_FIELDS:
            raise BadBody(
                f"The form has too many fields, from '{self._name}' on.", self._name, "invalid_value"
            )
        fields[self._name] = self._value.decode(errors="replace")

    def on_end(self) -> None:
        self.complete = True


async def read_form(
    request: Request, write: Callable[[bytes], Awaitable[None]], *, file_field: str, limit: int
) -> Form:
    """Read a form; pass the bytes of the file named ``file_field``, at most ``limit``, to ``write``.

    Raises:
        BadBody: the body is not a form, is truncated, or has no file.
        TooLarge: the file has more than ``limit`` bytes.
        ClientDisconnect: the client disconnected before the end.
    """
    collector = _FormCollector(file_field)
    parser = _make_parser(request, collector)
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        try:
            parser.write(message.get("body", b""))
        except FormParserError as error:
            raise BadBody(f"The form cannot be read: {error}.", None, "invalid_multipart") from None
        for chunk in collector.data:
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The file is larger than {limit} bytes.", param=file_field)
            await write(chunk)
        collector.data.clear()
        if not message.get("more_body", False):
            break
    if not collector.complete:
        raise BadBody("The form is truncated: its closing boundary is missing.", None, "invalid_multipart")
    if collector.form.filename is None:
        raise BadBody(
            f"Missing required parameter: '{file_field}'.", file_field, "missing_required_parameter"
        )
    return collector.form


def _make_parser(request: Request, collector: _FormCollector) -> MultipartParser:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise BadBody("The body must be multipart/form-data with a boundary.", None, "invalid_multipart")
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": collector.on_part_begin,
                "on_header_field": collector.on_header_field,
                "on_header_value": collector.on_header_value,
                "on_header_end": collector.on_header_end,
                "on_headers_finished": collector.on_headers_finished,
                "on_part_data": collector.on_part_data,
                "on_part_end": collector.on_part_end,
                "on_end": collector.on_end,
            },
        )
    except FormParserError as error:
        raise BadBody(f"The form cannot be read: {error}.", None, "invalid_multipart") from None
