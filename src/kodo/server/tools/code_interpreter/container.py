"""Which container a call is for, and what a call in one tells the model and the item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kodo.server.lifecycle.containers import CodeResult, Containers
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.hosted.ports import HostedCall, ToolContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.containers import FOLDER, AutoContainer, ContainerFile, ContainerReference
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.hosted_items import CodeInterpreterCall
from kodo.server.wire.items import ShellCall, ShellCallOutput

MAX_LISTED: Final = 20
"""Files of a call that the model is told of."""


def parse_auto(value: object, prefix: str) -> AutoContainer:
    """A ``container`` or ``environment`` that makes one. Raises InvalidRequest."""
    given = {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value
    try:
        wanted: AutoContainer = convert(given, AutoContainer, prefix)
    except BadBody as error:
        raise InvalidRequest(error.message, param=error.param, code=error.code) from None
    if (wanted.type == "auto") != (prefix == "container"):
        raise InvalidRequest(f"Invalid value '{wanted.type}' for '{prefix}.type'.", param=f"{prefix}.type")
    return wanted


def parse_reference(value: object, prefix: str) -> ContainerReference:
    """An ``environment`` that names one. Raises InvalidRequest."""
    try:
        wanted: ContainerReference = convert(value, ContainerReference, prefix)
    except BadBody as error:
        raise InvalidRequest(error.message, param=error.param, code=error.code) from None
    return wanted


async def check(
    containers: Containers, context: ToolContext, wanted: AutoContainer | ContainerReference | str, field: str
) -> None:
    """Make sure that an entry can be honoured.

    A container that expires or is deleted while a response runs does not end the response: the call fails, and the model is
    told so.

    Raises:
        NotFound, InvalidRequest: it cannot; ``param`` begins with ``field``.
    """
    await containers.require()
    if _in_progress(context.items):
        return
    if isinstance(wanted, AutoContainer):
        await containers.check_auto(context.owner, wanted, param=field)
        return
    named = wanted if isinstance(wanted, str) else wanted.container_id
    param = field if isinstance(wanted, str) else f"{field}.container_id"
    await containers.check(context.owner, named, param=param)


def container_of(
    containers: Containers, context: ToolContext, wanted: AutoContainer | ContainerReference | str
) -> str:
    """The id of the container that a call is for: the named one, else the last one of the chain that has not expired, else a
    new one, whose id follows from the response and the calls before."""
    if isinstance(wanted, str):
        return wanted
    if isinstance(wanted, ContainerReference):
        return wanted.container_id
    before = list(_containers(context.items))
    if before and containers.is_active(context.owner, before[-1]):
        return before[-1]
    name = f"{context.owner}/{context.response_id}/{len(before)}"
    return f"cntr_{hashlib.sha256(name.encode()).hexdigest()[:48]}"


def announced_container(call: HostedCall) -> str | None:
    """The container that a call was announced with."""
    return next(_containers([ContextItem(item=call.announced)]), None) if call.announced is not None else None


def _containers(items: Sequence[ContextItem]) -> Iterator[str]:
    """The containers of the calls in a history, oldest first."""
    for context in items:
        item = context.item
        if isinstance(item, CodeInterpreterCall) and isinstance(item.container_id, str):
            yield item.container_id
        elif isinstance(item, ShellCall) and isinstance(item.environment, dict):
            named = item.environment.get("container_id")
            if isinstance(named, str):
                yield named


def _in_progress(items: Sequence[ContextItem]) -> bool:
    """Whether the last thing in a history is a call in a container: the response has begun."""
    return bool(items) and isinstance(items[-1].item, CodeInterpreterCall | ShellCall | ShellCallOutput)


def arguments_of(text: str) -> dict[str, Any]:
    """The arguments of a call; empty where they are no object."""
    try:
        given = json.loads(text or "{}")
        text.encode()
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def valid(text: str) -> str:
    """A text that can be sent and stored."""
    return text.encode(errors="replace").decode()


def report(result: CodeResult) -> str:
    """The notes of a call and the files that it made, for the model."""
    lines = [f"[{note}]" for note in result.notes]
    if result.files:
        lines.append("Files that were written:")
        lines += [f"{file.path} ({file.bytes} bytes)" for file in result.files[:MAX_LISTED]]
        if len(result.files) > MAX_LISTED:
            lines.append(f"and {len(result.files) - MAX_LISTED} more")
    return "\n".join(lines)


def citations(files: Sequence[ContainerFile]) -> dict[str, dict[str, Any]]:
    """The sources of a call's files. An answer cites the file whose path or name it writes; the text stays as it is."""
    return {
        file.path: {
            "type": "container_file_citation",
            "container_id": file.container_id,
            "file_id": file.id,
            "filename": file.path.removeprefix(f"{FOLDER}/"),
        }
        for file in files
    }


def outputs(result: CodeResult) -> list[dict[str, Any]]:
    """The outputs of a call as an item has them where ``include`` asks for them."""
    logs = result.stdout + result.stderr
    found: list[dict[str, Any]] = [{"type": "logs", "logs": logs}] if logs else []
    return [*found, *({"type": "image", "url": one.url} for one in result.images if one.url is not None)]
