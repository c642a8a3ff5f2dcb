"""One job over calls: what the comparisons in some functions compare while the calls run."""

import types
from collections.abc import Iterator

import msgspec

from kodo.jobs.execution.worker.call import observe
from kodo.jobs.execution.worker.fixtures import preload
from kodo.jobs.execution.worker.fork import Send, forked
from kodo.jobs.execution.worker.load import WAIT, defined, namespace, project
from kodo.jobs.execution.worker.marks import Looking
from kodo.jobs.execution.worker.observe import STALL_SECONDS
from kodo.jobs.testgen.worker.jobs import NotedOperands, NoteOperands


def run_note_operands(job: NoteOperands, module: types.ModuleType) -> Iterator[NotedOperands]:
    """The pairs of each call; none for those after one that stalls or ends the process."""
    names, own = namespace(job.where, module), defined(job.where, module)
    preload(job.calls, job.where.source)
    looking = Looking(str(project() / job.where.path), job.functions)

    def work(send: Send) -> None:
        for call in job.calls:
            looking.begin()
            observe(call, names, own, (), job.seconds, None)
            send(msgspec.json.encode(NotedOperands(call.id, looking.pairs)))

    messages, _ = forked(work, job.seconds * WAIT + STALL_SECONDS)
    yield from (msgspec.json.decode(one, type=NotedOperands) for one in messages)
