"""The states of a run: which may follow which, and how a run and its step look in the next one.

This module changes nothing: the worker stores what is built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from kodo.server.http.assistants.event_translation import RunEnd
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.records import ItemRow
from kodo.server.lifecycle.status import StatusMachine
from kodo.server.wire import assistants as wire
from kodo.server.wire.items import FunctionCall

RUN_STATUS: Final = StatusMachine[wire.RunStatus](
    {
        "queued": {"in_progress", "cancelling", "failed", "expired", "incomplete"},
        "in_progress": {"requires_action", "cancelling", "completed", "incomplete", "failed", "expired"},
        "requires_action": {"queued", "cancelling", "expired"},
        "cancelling": {"cancelled"},
        "cancelled": set(),
        "failed": set(),
        "completed": set(),
        "incomplete": set(),
        "expired": set(),
    }
)
"""Which status of a run may follow which."""
WAITING: Final = "requires_action"
"""The status of a run that waits for its client: no server drives it."""
DRIVEN: Final = tuple(status for status in RUN_STATUS.unfinished if status != WAITING)
"""The statuses of a run that a server drives."""


def failed_end(
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"], message: str
) -> RunEnd:
    """The end of a run that failed."""
    return RunEnd(status="failed", error=wire.RunError(code=code, message=message))


def requiring_action(run: wire.ThreadRun, calls: Sequence[ItemRow]) -> wire.ThreadRun:
    """Return the run, waiting for the outputs of its calls."""
    required_calls = tuple(
        wire.RequiredCall(
            id=row.context.item.call_id,
            function=wire.RunFunctionCall(name=row.context.item.name, arguments=row.context.item.arguments),
        )
        for row in calls
        if isinstance(row.context.item, FunctionCall)
    )
    action = wire.RequiredAction(submit_tool_outputs=wire.RequiredCalls(tool_calls=required_calls))
    return msgspec.structs.replace(run, status=WAITING, required_action=action)


def ended_run(run: wire.ThreadRun, end: RunEnd, usage: wire.RunUsage, now: int) -> wire.ThreadRun:
    """Return the run in its final status."""
    timestamp = {} if end.status in ("incomplete", "expired") else {f"{end.status}_at": now}
    return msgspec.structs.replace(
        run,
        status=end.status,
        required_action=None,
        expires_at=None,
        last_error=end.error,
        incomplete_details=wire.RunIncomplete(reason=end.limit) if end.status == "incomplete" else None,
        usage=usage,
        **timestamp,
    )


def with_outputs(step: wire.RunStep, outputs: dict[str, str]) -> wire.RunStep:
    """Return a step of calls with their outputs, by the ids of the calls."""
    if not isinstance(step.step_details, wire.ToolCallsStep):
        raise ValueError("only a step of calls has outputs")
    calls = tuple(
        msgspec.structs.replace(
            call, function=msgspec.structs.replace(call.function, output=outputs[call.id])
        )
        for call in step.step_details.tool_calls
        if isinstance(call, wire.FunctionToolCall)
    )
    return msgspec.structs.replace(step, step_details=wire.ToolCallsStep(tool_calls=calls))


def not_accepting_outputs(run: wire.ThreadRun) -> InvalidRequest:
    """Build the error for a run that does not accept tool outputs."""
    return InvalidRequest(f"Runs in status '{run.status}' do not accept tool outputs.", param="run_id")


def not_cancellable(run: wire.ThreadRun) -> InvalidRequest:
    """Build the error for a run that can no longer be cancelled."""
    return InvalidRequest(f"Cannot cancel run with status '{run.status}'.", param="run_id")
