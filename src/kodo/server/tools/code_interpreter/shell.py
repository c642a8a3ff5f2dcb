"""``{"type": "shell"}`` with a container as its environment: the model runs commands there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from kodo.server.lifecycle.containers import CodeResult
from kodo.server.lifecycle.hosted.ports import Announced, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.tools.code_interpreter import container
from kodo.server.tools.code_interpreter.base import ContainerTool
from kodo.server.wire.containers import FOLDER, AutoContainer, ContainerFile, ContainerReference
from kodo.server.wire.hosted_events import (
    HostedEvent,
    ShellCommandAdded,
    ShellCommandDelta,
    ShellCommandDone,
    ShellOutputDelta,
    ShellOutputDone,
)
from kodo.server.wire.hosted_tools import ContainerShellTool
from kodo.server.wire.items import Item, ShellCall, ShellCallOutput
from kodo.server.wire.tools import FunctionTool

NAME: Final = "shell"
MAX_COMMANDS: Final = 32
_PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "commands": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": MAX_COMMANDS,
            "description": "Shell commands, run one after the other.",
        },
        "timeout_ms": {"type": "integer", "minimum": 1, "description": "Time for each command."},
        "max_output_length": {
            "type": "integer",
            "minimum": 1,
            "description": "Characters of each command's output.",
        },
    },
    "required": ["commands"],
    "additionalProperties": False,
}
_DESCRIPTION: Final = (
    f"Run shell commands in a Linux container without network. The working folder is {FOLDER}; each command has a shell of "
    "its own, and files stay from call to call."
)


class ShellHostedTool(ContainerTool[ContainerShellTool]):
    """Commands in containers."""

    types: Final = frozenset({"container_shell"})
    entry_type = ContainerShellTool
    field = "environment"
    function = FunctionTool(name=NAME, description=_DESCRIPTION, parameters=_PARAMETERS, strict=False)

    def wanted(self, entry: ContainerShellTool) -> AutoContainer | ContainerReference:
        """See the base."""
        if entry.environment.get("type") == "container_reference":
            return container.parse_reference(entry.environment, self.field)
        return container.parse_auto(entry.environment, self.field)

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """See the port."""
        return Announced(item=_item(call, self.container_of(call, context), "in_progress"), effect="write")

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """See the port."""
        action = _action(call)
        commands: list[str] = action["commands"]
        for index, command in enumerate(commands):
            yield ShellCommandAdded(command=command, command_index=index)
            yield ShellCommandDelta(command_index=index, delta=command)
            yield ShellCommandDone(command=command, command_index=index)
        named = self.announced(call, context)
        if not commands:
            yield self.failed(call, _item(call, named, "in_progress"), "there is no command in it.")
            return
        await self.ensure(call, context, named)
        milliseconds, most = action.get("timeout_ms"), action.get("max_output_length")
        results = [
            await self._containers.run_command(
                context.owner,
                named,
                command,
                seconds=None if milliseconds is None else milliseconds / 1000,
                max_chars=most,
            )
            for command in commands
        ]
        parts = tuple(_part(result) for result in results)
        output = ShellCallOutput(
            call_id=call.call_id, output=parts, max_output_length=most, status="completed"
        )
        files = {file.id: file for result in results for file in result.files}
        yield Done(
            item=_item(call, named, "completed"),
            output=_text(commands, results),
            more=(output,),
            more_events=(_events(parts),),
            sources=container.citations(list[ContainerFile](files.values())),
        )

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """See the port."""
        item = msgspec.structs.replace(announced, status="incomplete")
        return Done(item=item, output=f"The commands did not run to their end: {message}")


def _events(parts: Sequence[dict[str, Any]]) -> tuple[HostedEvent, ...]:
    found: list[HostedEvent] = []
    for index, part in enumerate(parts):
        delta = {name: part[name] for name in ("stdout", "stderr") if part[name]}
        if delta:
            found.append(ShellOutputDelta(command_index=index, delta=delta))
        found.append(ShellOutputDone(command_index=index, output=(part,)))
    return tuple(found)


def _part(result: CodeResult) -> dict[str, Any]:
    """The output of a command. One that was ended with its container counts as one that took too long."""
    outcome: dict[str, Any] = {"type": "timeout"}
    if result.ended == "ok":
        outcome = {"type": "exit", "exit_code": result.exit_code or 0}
    return {"stdout": result.stdout, "stderr": result.stderr, "outcome": outcome}


def _text(commands: Sequence[str], results: Sequence[CodeResult]) -> str:
    lines: list[str] = []
    for command, result in zip(commands, results, strict=True):
        lines += [f"$ {command}", result.stdout.rstrip("\n"), result.stderr.rstrip("\n")]
        if result.ended != "ok":
            lines.append("[The command took too long, or too much, and was ended.]")
        elif result.exit_code:
            lines.append(f"[exit code {result.exit_code}]")
        lines.append(container.report(result))
    return "\n".join(line for line in lines if line)


def _action(call: HostedCall) -> dict[str, Any]:
    """The action of a call as the contract has it."""
    given = container.arguments_of(call.arguments)
    listed = given.get("commands")
    texts = [listed] if isinstance(listed, str) else listed if isinstance(listed, list) else []
    commands = [container.valid(text) for text in texts if isinstance(text, str) and text.strip()]
    numbers = {
        name: given[name]
        for name in ("timeout_ms", "max_output_length")
        if isinstance(given.get(name), int) and not isinstance(given[name], bool) and given[name] > 0
    }
    return {"commands": commands[:MAX_COMMANDS], **numbers}


def _item(call: HostedCall, named: str, status: Any) -> ShellCall:
    return ShellCall(
        call_id=call.call_id,
        action=_action(call),
        status=status,
        environment={"type": "container_reference", "container_id": named},
    )
