"""``{"type": "code_interpreter"}``: the model runs Python in a container."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from kodo.server.lifecycle.containers import CodeResult
from kodo.server.lifecycle.hosted.ports import Announced, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.lifecycle.hosted.recall import PYTHON
from kodo.server.tools.code_interpreter import container
from kodo.server.tools.code_interpreter.base import ContainerTool
from kodo.server.wire.containers import FOLDER, AutoContainer
from kodo.server.wire.hosted_events import (
    CodeInterpreterCodeDelta,
    CodeInterpreterCodeDone,
    CodeInterpreterCompleted,
    CodeInterpreterInProgress,
    CodeInterpreterInterpreting,
)
from kodo.server.wire.hosted_items import CodeInterpreterCall
from kodo.server.wire.hosted_tools import CodeInterpreterTool
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


class CodeInterpreterHostedTool(ContainerTool[CodeInterpreterTool]):
    """Python in containers."""

    types: Final = frozenset({"code_interpreter"})
    entry_type = CodeInterpreterTool
    field = "container"
    function = FunctionTool(name=PYTHON, description=_DESCRIPTION, parameters=_PARAMETERS, strict=False)

    def wanted(self, entry: CodeInterpreterTool) -> AutoContainer | str:
        """See the base."""
        if isinstance(entry.container, str):
            return entry.container
        return container.parse_auto(entry.container, self.field)

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """See the port."""
        named = self.container_of(call, context)
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
        named = self.announced(call, context)
        await self.ensure(call, context, named)
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
