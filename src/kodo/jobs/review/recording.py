"""One run of a project's tests for the calls that they make through the changed functions of all modules of a change.

The calls are handed over to the comparison of each module while the tests run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kodo.jobs.execution.calls import is_python
from kodo.jobs.execution.changed import Affected
from kodo.jobs.execution.model import Call, ExecutionError
from kodo.jobs.execution.sandboxed import GRACE, run_worker
from kodo.jobs.execution.worker.handover import Outgoing
from kodo.jobs.execution.worker.jobs import ModuleLocation, Record, RecordedCall, Watched
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.inputs_of_tests import in_turn, names_of_tests, nearest_tests, public_names
from kodo.jobs.review.trees import Trees
from kodo.sandbox import Sandbox

MAX_RUN_FILES = 12
_WORKER = "kodo.jobs.execution.worker.record"
_STOP = "stop"


@dataclass(frozen=True, slots=True)
class ChangedModule:
    """A changed file, where it was before the change, its functions that may be others, and their lines that were touched.

    ``keeps`` says whether a call that a test makes is of use for it.
    """

    file: ChangedFile
    where: ModuleLocation
    affected: Mapping[str, Affected]
    touched: tuple[int, ...]
    keeps: Callable[[Call], bool]


@dataclass
class Recording:
    """``names`` are the files beside the versions that the calls of each changed file come in.

    At the end of the run, ``count`` is how many calls there were, and ``error`` why it could not be made, or "".
    """

    names: Mapping[str, str]
    count: int = 0
    error: str = ""


@contextmanager
def recording(
    made: Trees, sandbox: Sandbox, modules: Sequence[ChangedModule], until: float, longest: float
) -> Iterator[Recording]:
    """Run the tests nearest to the changed functions in the version before the change, beside the block: until the monotonic
    time ``until``, where they had hardly begun until ``longest``, and no longer than the block; none where no function changed.
    """
    with (
        TemporaryDirectory(prefix="recording-", dir=made.folder) as folder,
        ThreadPoolExecutor(1) as thread,
    ):
        place = Path(folder)
        place.chmod(0o755)
        watched = [one for one in modules if one.affected]
        outgoing = {
            one.where.path: Outgoing(place / str(number), one.keeps) for number, one in enumerate(watched)
        }
        names = {one.file.path: f"{place.name}/{number}" for number, one in enumerate(watched)}
        record = Recording(names)

        def take(one: RecordedCall) -> None:
            if is_python(one.call):
                record.count += 1
                for path in one.reached:
                    if path in outgoing:
                        outgoing[path].add(one.call)

        def run() -> None:
            try:
                job = _job(made, watched, until, f"{place.name}/{_STOP}", longest)
                if job.files:
                    run_worker(
                        sandbox,
                        made.folder,
                        _WORKER,
                        job,
                        RecordedCall,
                        seconds=longest - time.monotonic(),
                        grace=GRACE,
                        hear=take,
                    )
            except ExecutionError as error:
                record.error = f"the project's tests, for their calls: {error}"
            finally:
                for one in outgoing.values():
                    one.end()

        running = thread.submit(run)
        try:
            yield record
        finally:
            (place / _STOP).touch()
            running.result()


def _job(made: Trees, modules: Sequence[ChangedModule], until: float, stop: str, longest: float) -> Record:
    """The run of the tests nearest to each module, in turn."""
    nearest = [iter(nearest_tests(made, one.file, one.affected)) for one in modules]
    files = list(dict.fromkeys(in_turn(nearest, 1)))[:MAX_RUN_FILES]
    return Record(
        made.before.name,
        tuple(
            Watched(
                one.where,
                tuple(dict.fromkeys(root for row in one.affected.values() for root in row.roots)),
                one.touched,
            )
            for one in modules
        ),
        tuple(path.relative_to(made.before).as_posix() for path in files),
        names_of_tests(made.before),
        tuple(sorted({word for one in modules for word in public_names(one.affected)})),
        until,
        stop,
        longest,
    )
