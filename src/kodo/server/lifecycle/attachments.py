"""Files that a request names by id, put into the prompt as text. What is stored keeps the id."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kodo.server.lifecycle.context import file_text
from kodo.server.lifecycle.errors import InvalidRequest, ServiceError
from kodo.server.lifecycle.ports import ContextItem, FileReader
from kodo.server.wire.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputFile,
    InputText,
    Message,
    Part,
)

_Parts: TypeAlias = tuple[Part, ...]


async def attach_files(
    items: tuple[ContextItem, ...], *, owner: str, files: FileReader, limit: int
) -> tuple[ContextItem, ...]:
    """The items with the text of the owner's files, each of at most ``limit`` bytes.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: it is too large, or no text.
    """
    result = list(items)
    for index, context in enumerate(items):
        name, parts = _parts(context)
        if not any(_is_file_id(part) for part in parts):
            continue
        read = []
        for place, part in enumerate(parts):
            path = f"input[{index}].{name}[{place}]"
            read.append(await _read_file(part, owner, files, limit, path) if _is_file_id(part) else part)
        result[index] = ContextItem(item=msgspec.structs.replace(context.item, **{name: tuple(read)}))
    return tuple(result)


def _parts(context: ContextItem) -> tuple[str, _Parts]:
    match context.item:
        case Message(content=parts):
            return "content", parts
        case FunctionCallOutput(output=tuple() as parts) | CustomToolCallOutput(output=tuple() as parts):
            return "output", parts
    return "", ()


def _is_file_id(part: Part) -> bool:
    return isinstance(part, InputFile) and isinstance(part.file_id, str)


async def _read_file(part: Part, owner: str, files: FileReader, limit: int, path: str) -> InputText:
    if not isinstance(part, InputFile) or not isinstance(part.file_id, str):
        raise TypeError("only files that are named can be read")
    param = f"{path}.file_id"
    if isinstance(part.file_data, str) or isinstance(part.file_url, str):
        raise InvalidRequest("A file needs exactly one of file_id, file_data and file_url.", param=param)
    try:
        name, data = await files.contents(owner, part.file_id, limit)
    except ServiceError as error:
        error.param = param
        raise
    return file_text(part.filename if isinstance(part.filename, str) else name, data, param)
