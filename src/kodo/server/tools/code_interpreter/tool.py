"""``{"type": "code_interpreter"}``: the model runs Python in a container."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from kodo.server.lifecycle.containers import CodeResult, Containers
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.hosted.ports import Announced, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.lifecycle.hosted.recall import PYTHON
from kodo.server.tools.code_interpreter import container
from kodo.server.wire.containers import FOLDER, AutoContainer
from kodo.server.wire.hosted_events import (
    CodeInterpreterCodeDelta,
    CodeInterpreterCodeDone,
    CodeInterpreterCompleted,
    CodeInterpreterInProgress,
    CodeInterpreterInterpreting,
)
from kodo.server.wire.hosted_items import CodeInterpreterCall
from kodo.server.wire.hosted_tools import CodeInterpreterTool, HostedChoice, HostedToolEntry
from kodo.server.wire.items import Item
from kodo.server.wire.tools import FunctionTool

INCLUDE: Final = "code_interpreter_call.outputs"
_PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "Python code to run."}},
    "required": ["code"],
    "additionalProperties": False,
}
_DESCRIPTION: Final = (
    "Run Python code to calculate, compute, analyse data, draw a plot or make files. Variables stay from call to call. "
    f"Files are in {FOLDER}. There is no network. Print what you want to see."
)


class CodeInterpreterHostedTool:
    """Python in containers."""

    types: Final = frozenset({"code_interpreter"})

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """See :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`."""
        tool = _entry(entry)
        if isinstance(tool.allowed_callers, tuple) and "direct" not in tool.allowed_callers:
            raise InvalidRequest(
                "Only direct calls are made: allowed_callers must have 'direct'.", param="allowed_callers"
            )
        await container.check(self._containers, context, _wanted(tool), "container")
        return [FunctionTool(name=PYTHON, description=_DESCRIPTION, parameters=_PARAMETERS, strict=False)]

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """See the port."""
        return [function.name for function in functions]

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """See the port: none, the model decides."""
        return []

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """See the port."""
        named = container.container_of(self._containers, context, _wanted(_entry(call.entry)))
        item = CodeInterpreterCall(status="in_progress", code="", container_id=named, outputs=None)
        return Announced(item=item, effect="write")

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """See the port."""
        code = _code(call)
        yield CodeInterpreterInProgress()
        if code:
            yield CodeInterpreterCodeDelta(delta=code)
        yield CodeInterpreterCodeDone(code=code)
        yield CodeInterpreterInterpreting()
        wanted = _wanted(_entry(call.entry))
        named = container.announced_container(call) or container.container_of(
            self._containers, context, wanted
        )
        if isinstance(wanted, AutoContainer):
            await self._containers.ensure(context.owner, named, wanted)
        result = await self._containers.run_code(context.owner, named, code)
        cut_off = result.ended in ("timeout", "flood", "died")
        shown = container.outputs(result) if INCLUDE in context.include else None
        item = CodeInterpreterCall(
            status="failed" if cut_off else "completed", code=code, container_id=named, outputs=shown
        )
        yield Done(
            item=item,
            output=_text(result),
            events=() if cut_off else (CodeInterpreterCompleted(),),
            sources=container.citations(result.files),
        )

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """See the port."""
        item = msgspec.structs.replace(announced, status="failed", code=_code(call))
        return Done(item=item, output=f"The code did not run to its end: {message}")


def _text(result: CodeResult) -> str:
    ends = {
        "timeout": "[The code took too long and was interrupted.]",
        "flood": "[The code wrote too much and was interrupted.]",
        "died": "[Python ended in the middle of the code.]",
    }
    parts = [result.stdout.rstrip("\n"), ends.get(result.ended, ""), container.report(result)]
    return "\n".join(part for part in parts if part) or "[The code ran, and printed nothing.]"


def _code(call: HostedCall) -> str:
    code = container.arguments_of(call.arguments).get("code")
    return container.valid(code) if isinstance(code, str) else ""


def _wanted(entry: CodeInterpreterTool) -> AutoContainer | str:
    if isinstance(entry.container, str):
        return entry.container
    return container.parse_auto(entry.container, "container")


def _entry(entry: HostedToolEntry) -> CodeInterpreterTool:
    if not isinstance(entry, CodeInterpreterTool):
        raise TypeError("not an entry of type code_interpreter")
    return entry
