"""A run that waits for its client: no server drives it, and its document is all there is of it.

Whichever server is asked changes it by compare-and-swap, in one transaction with what belongs to the change: its outputs take
it up again, a cancel ends it, and so does its deadline. Of several that try at the same moment one succeeds, and that
server drives the run from there. A server that dies before that has changed nothing; one that dies afterwards leaves a run
that the others take up as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kodo.server.http.assistants import documents
from kodo.server.http.assistants.documents import StoredRun
from kodo.server.http.assistants.event_translation import RunEnd, RunEvent, end_step
from kodo.server.http.assistants.run_states import RUN_STATUS, WAITING, ended_run, with_outputs
from kodo.server.http.assistants.worker import RunContext
from kodo.server.lifecycle.context import new_row
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.records import DocumentRow, ItemRow
from kodo.server.wire import assistants as wire
from kodo.server.wire.items import FunctionCall, FunctionCallOutput


class WaitingRun:
    """A run as it was read, whose status is ``requires_action``. Its methods may be called once.

    They raise:
        Conflict: it was changed since, or a server of an earlier version, which drives it while it waits, has it.
        NotFound: its thread was deleted.
    """

    def __init__(self, context: RunContext, row: DocumentRow) -> None:
        """Raises ``ValueError``: the run does not wait."""
        if row.status != WAITING:
            raise ValueError(f"a run in status {row.status} does not wait for its client")
        self._context = context
        self._row = row
        self._stored = msgspec.json.decode(row.body, type=StoredRun)

    @property
    def overdue(self) -> bool:
        """Whether the run's time is up."""
        return self._row.created_at + self._context.run_seconds <= self._context.clock.now()

    async def submit(
        self, outputs: Sequence[wire.ToolOutput]
    ) -> tuple[DocumentRow, tuple[RunEvent, RunEvent]]:
        """Store the outputs of all pending calls, and queue the run; the document, which is this server's to drive, and the
        events.

        Raises:
            InvalidRequest: these are not the outputs that it waits for.
        """
        stored = self._stored
        if stored.step is None:
            raise ValueError(f"run {stored.run.id} waits without a step")
        outputs_by_call = {output.tool_call_id: output.output for output in outputs}
        expected = [
            row.context.item.call_id for row in stored.pending if isinstance(row.context.item, FunctionCall)
        ]
        if sorted(outputs_by_call) != sorted(expected) or len(outputs) != len(expected):
            raise InvalidRequest(
                f"Expected tool outputs for call_ids {expected}, got {[o.tool_call_id for o in outputs]}.",
                param="tool_outputs",
            )
        output_rows = [
            new_row(self._context.ids, FunctionCallOutput(call_id=call_id, output=outputs_by_call[call_id]))
            for call_id in expected
        ]
        added = (*stored.pending, *output_rows)
        name, step = end_step(
            with_outputs(stored.step, outputs_by_call), "completed", int(self._context.clock.now()), None
        )
        run = msgspec.structs.replace(stored.run, status="queued", required_action=None)
        row = await self._take(
            run,
            added,
            step,
            items=(*stored.items, *(item.id for item in added)),
            steps=(*stored.steps, step.id),
            pending=(),
            step=None,
        )
        return row, ((name, step), ("thread.run.queued", run))

    async def cancel(self) -> DocumentRow:
        """Mark the run as ``cancelling``; the document, which is this server's to bring to its end."""
        run = msgspec.structs.replace(self._stored.run, status="cancelling", required_action=None)
        return await self._take(run)

    async def expire(self) -> None:
        """End the run because its time is up."""
        now = int(self._context.clock.now())
        run = ended_run(self._stored.run, RunEnd(status="expired"), self._stored.spent, now)
        step = self._stored.step
        if step is not None:
            _, step = end_step(step, "expired", now, None)
        await self._take(run, (), step, pending=(), step=None)

    async def _take(
        self,
        run: wire.ThreadRun,
        added: Sequence[ItemRow] = (),
        ended: wire.RunStep | None = None,
        **changes: Any,
    ) -> DocumentRow:
        """Replace the run's document, if nobody else has; with it, its calls' step and new items of its thread."""
        RUN_STATUS.transition(self._stored.run.status, run.status)
        store, owner = self._context.store, self._row.owner
        stored = msgspec.structs.replace(self._stored, run=run, takes=self._stored.takes + 1, **changes)
        row = msgspec.structs.replace(
            self._row,
            version=self._row.version + 1,
            status=run.status,
            body=msgspec.json.encode(stored),
        )
        steps = []
        if ended is not None:
            step = await documents.get_document(store, documents.STEP, owner, ended.id, parent=run.id)
            steps.append(
                msgspec.structs.replace(step, version=step.version + 1, body=msgspec.json.encode(ended))
            )
        await store.append_items(owner, run.thread_id, added, changed=steps, take=row)
        return row
