"""Run a worker in the sandbox over a project and read its answers.

Every run of foreign Python goes through here. Knows neither a worker's jobs nor what they are for.
"""

import math
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.worker.jobs import Failed
from kodo.sandbox import FILES, LIB, PROJECT, PYTHON, ResourceLimits, Sandbox

GRACE = 5.0
"""Seconds that a worker which begins nothing after its end has to finish what it began."""
_MIB = 1024 * 1024
_READING_TYPES = threading.Lock()
T = TypeVar("T")


class WorkerEnded(ExecutionError):
    """The worker ended without a valid answer: it was out of time or memory, or the code ended it or wrote in its place."""


def run_worker(
    sandbox: Sandbox,
    project: Path,
    worker: str,
    job: msgspec.Struct,
    answer_type: type[T] | Any,
    *,
    seconds: float,
    grace: float = 60.0,
    files: Mapping[str, str] | None = None,
    seed: int = 0,
    hear: Callable[[T], None] | None = None,
) -> list[T]:
    """Do one job in a fresh sandbox; return the answers there were in ``seconds``.

    The worker has to keep to ``seconds`` by itself; it is killed ``grace`` seconds later.
    ``worker`` is the package to start inside, ``answer_type`` what each of its lines decodes to, ``seed`` the
    interpreter's hash seed. ``hear`` is given each answer as it comes, until one is not valid.

    Raises:
        ExecutionError: the worker answered ``Failed``; ``WorkerEnded``: it ended without a valid answer, or there was no time to
            begin.
    """
    if seconds + grace <= 0:
        raise WorkerEnded("there was no time left for a worker in the sandbox")
    outcome = sandbox.run(
        [PYTHON, "-P", "-m", worker, f"{FILES}/job.json"],
        project=project,
        files={"job.json": msgspec.json.encode(job), **(files or {})},
        limits=ResourceLimits(
            wall_seconds=seconds + grace,
            cpu_seconds=math.ceil(seconds + grace),
            output_bytes=64 * _MIB,
        ),
        env={
            "PYTHONPATH": LIB,
            "KODO_PROJECT": PROJECT,
            "KODO_FILES": FILES,
            "PYTHONHASHSEED": str(seed),
            "PYTHONWARNINGS": "ignore",
        },
        hear=None if hear is None else _each_answer(answer_type, hear),
    )
    *lines, _ = outcome.stdout.split("\n")  # what follows the last end of a line was cut off
    try:
        decoder = _decoder(answer_type)
        answers: list[T] = [decoder.decode(line) for line in lines]
    except msgspec.MsgspecError as error:  # the worker shares its process or its output with foreign code
        raise WorkerEnded(f"the worker in the sandbox gave no valid answer: {error}") from error
    for answer in answers:
        if isinstance(answer, Failed):
            raise ExecutionError(answer.why)
    if not answers and not outcome.ok:
        said = (outcome.stderr.strip() or f"status {outcome.status}").splitlines()[-1]
        raise WorkerEnded(f"the worker in the sandbox ended early: {said}")
    return answers


def _decoder(answer_type: type[T] | Any) -> msgspec.json.Decoder[T]:
    """A decoder of answers. What a type holds is read at its first use, and msgspec ends the process if two threads do that at once."""
    with _READING_TYPES:
        return msgspec.json.Decoder(answer_type)


def _each_answer(answer_type: type[T] | Any, hear: Callable[[T], None]) -> Callable[[bytes], None]:
    """What takes pieces of output and gives each answer on that they make up, but for failures."""
    left = b""
    is_valid = True
    decoder = _decoder(answer_type)

    def take(piece: bytes) -> None:
        nonlocal left, is_valid
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            try:
                answer = decoder.decode(line) if is_valid else None
            except msgspec.MsgspecError:
                is_valid = False  # the end of the run says so
                answer = None
            if answer is not None and not isinstance(answer, Failed):
                hear(answer)

    return take


def site_packages(root: Path) -> tuple[Path, ...]:
    """The packages of the project's own virtual environment, where it is for this version of Python."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = (root / name / "lib" / version / "site-packages" for name in (".venv", "venv", "env"))
    return tuple(path for path in found if path.is_dir() and not path.is_relative_to(sys.prefix))
