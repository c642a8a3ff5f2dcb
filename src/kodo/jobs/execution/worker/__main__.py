"""Start of the worker: python -m kodo.jobs.execution.worker JOB.json -> JSON lines of answers."""

import sys
from pathlib import Path

import msgspec

from kodo.jobs.execution.worker.apart import Apart, run_apart
from kodo.jobs.execution.worker.compare import Compare, run_compare


def main() -> None:
    """Read the job, write one line for each answer."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Compare | Apart)
    for answer in run_compare(job) if isinstance(job, Compare) else run_apart(job):
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
