"""One run of a project's tests for the calls that they make through the changed functions of all modules of a change.

The calls are handed over to the comparison of each module while the tests run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
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


class Recording:
    """A run of tests beside the comparisons. ``names`` are the files beside the versions that the calls of each changed file
    come in; ``count`` is how many calls came, ``error`` why the run could not be made, or "".

    The run has a thread of its own, which chooses tests by their texts and waits: all Python is parsed by whoever calls the
    methods. Two threads that parse at the same time end in a SystemError of this interpreter (its parser counts the depth
    for all threads together).
    """

    def __init__(
        self, made: Trees, sandbox: Sandbox, modules: Sequence[ChangedModule], until: float, longest: float,
        place: Path, thread: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self._made, self._sandbox, self._modules = made, sandbox, modules
        self._until, self._longest = until, longest
        self._stop, self._thread = place / _STOP, thread
        self._outgoing = {
            one.where.path: Outgoing(place / str(number), one.keeps) for number, one in enumerate(modules)
        }
        self.names = {one.file.path: f"{place.name}/{number}" for number, one in enumerate(modules)}
        self.count = 0
        self.error = ""
        self._come: SimpleQueue[RecordedCall | None] = SimpleQueue()
        self._running: Future[None] | None = None

    def begin(self) -> None:
        """Start the run, if that was not done yet."""
        if self._running is None:
            self._running = self._thread.submit(self._run)

    def _run(self) -> None:
        stop = f"{self._stop.parent.name}/{self._stop.name}"
        try:
            job = _job(self._made, self._modules, self._until, stop, self._longest)
            if job.files and time.monotonic() < self._longest and not self._stop.exists():
                run_worker(
                    self._sandbox, self._made.folder, _WORKER, job, RecordedCall,
                    seconds=self._longest - time.monotonic(), grace=GRACE, hear=self._come.put,
                )  # fmt: skip
        except ExecutionError as error:
            self.error = f"the project's tests, for their calls: {error}"
        finally:
            self._come.put(None)

    def hand_over(self, seconds: float = 0.0) -> None:
        """Hand over what has come since the last time; where that is nothing, wait so long for it."""
        try:
            one = self._come.get(timeout=seconds) if seconds else self._come.get_nowait()
            while True:
                self._take(one)
                one = self._come.get_nowait()
        except Empty:
            return

    def _take(self, one: RecordedCall | None) -> None:
        if one is None:
            for file in self._outgoing.values():
                file.end()
        elif is_python(one.call):
            self.count += 1
            for path in one.reached:
                if path in self._outgoing:
                    self._outgoing[path].add(one.call)

    def end(self) -> None:
        """End the run, and wait for that."""
        self._stop.touch()
        if self._running is None:
            self._come.put(None)
        else:
            self._running.result()
        self.hand_over()


@contextmanager
def recording(
    made: Trees, sandbox: Sandbox, modules: Sequence[ChangedModule], until: float, longest: float
) -> Iterator[Recording]:
    """A run of the tests nearest to the changed functions in the version before the change: until the monotonic time
    ``until``, where they had hardly begun until ``longest``, and no longer than the block; none where no function changed.
    """
    with (
        TemporaryDirectory(prefix="recording-", dir=made.folder) as folder,
        ThreadPoolExecutor(1) as thread,
    ):
        place = Path(folder)
        place.chmod(0o755)
        changed = [one for one in modules if one.affected]
        record = Recording(made, sandbox, changed, until, longest, place, thread)
        try:
            yield record
        finally:
            record.end()


def _job(made: Trees, modules: Sequence[ChangedModule], until: float, stop: str, longest: float) -> Record:
    """The run of the tests nearest to each module, in turn."""
    nearest = [
        iter(nearest_tests(made, one.file, one.affected))
        for number, one in enumerate(modules)
        if not number or time.monotonic() < until
    ]
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
