"""Start of the worker: python -m kodo.jobs.testgen.worker JOB.json -> JSON lines of answers."""

import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from kodo.jobs.execution.worker.fork import cpu_seconds
from kodo.jobs.execution.worker.jobs import OWN, Failed, Observe
from kodo.jobs.execution.worker.load import CannotImport, forget, import_target, prepare_path
from kodo.jobs.execution.worker.observe import run_observe
from kodo.jobs.testgen.worker import kill
from kodo.jobs.testgen.worker.jobs import (
    Answer,
    Job,
    Judge,
    Kill,
    Measure,
    NoteOperands,
    ScoreMutants,
    Shrink,
    Spent,
)
from kodo.jobs.testgen.worker.mutant_code import MutantCode
from kodo.jobs.testgen.worker.note_operands import run_note_operands
from kodo.jobs.testgen.worker.other_machine import pretend

_IMPORT_SECONDS = 30.0
_ITSELF = frozenset({"kodo", "pytest", "_pytest", "coverage", "msgspec"})
"""Packages that are not imported anew: what the worker itself is made of."""


def answers(job: Job) -> Iterator[Answer]:
    """Do the job; an import failure is an answer too."""
    if isinstance(job, Measure | Judge | ScoreMutants):
        from kodo.jobs.testgen.worker import (
            judge,
        )  # here, because pytest takes longer than a job over calls; and first, so that it has its own packages

        package = job.where.module.partition(".")[0]
        forget(package if package not in _ITSELF else "")
    files = job.files if isinstance(job, Measure | ScoreMutants) else ()
    own = any(
        one.startswith(OWN) for one in files
    )  # the project's own tests have all that pytest loads with them
    prepare_path(job.where, hide=not own)
    if isinstance(job, Measure):
        yield from judge.run_measure(job)
        return
    try:
        if isinstance(job, Kill | ScoreMutants):
            changed = MutantCode(job.where)
            changed.load(_IMPORT_SECONDS)
            yield from kill.run_kill(job, changed) if isinstance(job, Kill) else judge.run_score(job, changed)
            return
        module = import_target(job.where, _IMPORT_SECONDS)
    except CannotImport as error:
        yield Failed(str(error))
        return
    match job:
        case Observe():
            yield from run_observe(job, module)
        case Shrink():
            yield from kill.run_shrink(job, module)
        case Judge():
            yield from judge.run_judge(job, module)
        case NoteOperands():
            yield from run_note_operands(job, module)


def _spent() -> Iterator[Spent]:
    """What all was used, asked for once the rest is done."""
    yield Spent(cpu_seconds())


def main() -> None:
    """Read the job, write one line for each answer to a descriptor that the code under test does not have."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
    sys.argv[1:] = []  # what reads the command line is not to find kodo's
    if isinstance(job, Observe):
        pretend(os.environ.get("PYTHONHASHSEED", ""))
    out = open(1, "wb", closefd=False)  # noqa: SIM115 - standard output as bytes, for the life of the process
    sys.stdout = sys.stderr
    for answer in chain(answers(job), _spent()):
        out.write(msgspec.json.encode(answer) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
