"""Files that a request names by id, put into the prompt: images and other data as data URLs, the rest as text.

What is stored keeps the id.
"""

from __future__ import annotations

import base64
from typing import Final, TypeAlias

import msgspec

from kodo.server.lifecycle.context import file_text
from kodo.server.lifecycle.errors import InvalidRequest, ServiceError
from kodo.server.lifecycle.ports import ContextItem, FileReader
from kodo.server.wire.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    Part,
)

_Parts: TypeAlias = tuple[Part, ...]
_IMAGE_MARKS: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


async def attach_files(
    items: tuple[ContextItem, ...],
    *,
    owner: str,
    files: FileReader,
    limit: int,
    images: bool = False,
    binary: bool = False,
) -> tuple[ContextItem, ...]:
    """The items with the contents of the owner's files, each of at most ``limit`` bytes.

    Args:
        items: what the prompt is made of.
        owner: whose files are read.
        files: where they are.
        limit: bytes of one file.
        images: the model sees images, so those that are named by id are read too.
        binary: the model reads files that are not text.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: it is too large, or no text or image where one is needed.
    """
    result = list(items)
    files = _BoundedReader(files, limit)
    for index, context in enumerate(items):
        name, parts = _parts(context)
        if not any(_is_file_id(part, images) for part in parts):
            continue
        read: list[Part] = []
        for place, part in enumerate(parts):
            path = f"input[{index}].{name}[{place}]"
            if isinstance(part, InputImage) and _is_file_id(part, images):
                read.append(await _read_image(part, owner, files, limit, path))
            elif _is_file_id(part, images):
                read.append(await _read_file(part, owner, files, limit, path, binary=binary))
            else:
                read.append(part)
        result[index] = ContextItem(item=msgspec.structs.replace(context.item, **{name: tuple(read)}))
    return tuple(result)


class _BoundedReader:
    """Reads files of at most ``room`` bytes together."""

    def __init__(self, files: FileReader, room: int) -> None:
        self._files = files
        self._limit = self._room = room

    async def contents(self, owner: str, file_id: str, limit: int) -> tuple[str, bytes]:
        """See :class:`kodo.server.lifecycle.ports.FileReader`."""
        name, data = await self._files.contents(owner, file_id, limit)
        self._room -= len(data)
        if self._room < 0:
            raise InvalidRequest(
                f"The files of a prompt have at most {self._limit} bytes together.", code="file_too_large"
            )
        return name, data


def _parts(context: ContextItem) -> tuple[str, _Parts]:
    match context.item:
        case Message(content=parts):
            return "content", parts
        case FunctionCallOutput(output=tuple() as parts) | CustomToolCallOutput(output=tuple() as parts):
            return "output", parts
    return "", ()


def _is_file_id(part: Part, images: bool) -> bool:
    kinds = InputFile | InputImage if images else InputFile
    return isinstance(part, kinds) and isinstance(part.file_id, str)


async def _contents(
    part: InputFile | InputImage, owner: str, files: FileReader, limit: int, param: str
) -> tuple[str, bytes]:
    try:
        return await files.contents(owner, str(part.file_id), limit)
    except ServiceError as error:
        error.param = param
        raise


async def _read_image(part: InputImage, owner: str, files: FileReader, limit: int, path: str) -> InputImage:
    param = f"{path}.file_id"
    if part.image_url is not None:
        raise InvalidRequest("Give an image as one of file_id and image_url.", param=param)
    name, data = await _contents(part, owner, files, limit, param)
    kind = image_type(data)
    if kind is None:
        raise InvalidRequest(
            f"'{name}' is not a PNG, JPEG, GIF or WebP image.", param=param, code="unsupported_content"
        )
    return msgspec.structs.replace(part, file_id=msgspec.UNSET, image_url=data_url(kind, data))


async def _read_file(
    part: Part, owner: str, files: FileReader, limit: int, path: str, *, binary: bool
) -> InputText | InputFile:
    if not isinstance(part, InputFile) or not isinstance(part.file_id, str):
        raise TypeError("only files that are named can be read")
    param = f"{path}.file_id"
    if isinstance(part.file_data, str) or isinstance(part.file_url, str):
        raise InvalidRequest("A file needs exactly one of file_id, file_data and file_url.", param=param)
    name, data = await _contents(part, owner, files, limit, param)
    name = part.filename if isinstance(part.filename, str) else name
    if binary and data.startswith(b"%PDF-"):
        url = data_url("application/pdf", data)
        return msgspec.structs.replace(part, file_id=msgspec.UNSET, filename=name, file_data=url)
    return file_text(name, data, param)


def image_type(data: bytes) -> str | None:
    """The media type of an image by its first bytes, or None if models do not accept it."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for mark, kind in _IMAGE_MARKS.items() if data.startswith(mark)), None)


def data_url(kind: str, data: bytes) -> str:
    """Bytes as a data URL (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
