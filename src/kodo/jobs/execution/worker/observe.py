"""Observe calls: each function's in a child of the worker, so that a stall or a crash ends there."""

import ast
import math
import os
import time
import types
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kodo.jobs.execution.model import INDIRECT, Call, Expectation, Observed
from kodo.jobs.execution.worker.arcs import Arcs
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.execution.worker.entered_calls import EnteredFunctions
from kodo.jobs.execution.worker.fixtures import preload
from kodo.jobs.execution.worker.fork import Send, forked
from kodo.jobs.execution.worker.jobs import Observation, Observe
from kodo.jobs.execution.worker.load import WAIT, defined, namespace, project

STALL_SECONDS = 3.0
_MAX_TIMEOUTS = 4
_PARTS, _LEAST_SECONDS = 3.0, 1.0
"""How many times its part of the time a function may take, whose calls are slow, and what it may take in any case; of CPU time, so
that other work on the machine does not use it up, and of wall time ``WAIT`` times as much.
"""


def run_observe(job: Observe, module: types.ModuleType) -> Iterator[Observation]:
    """Each function's calls in one child; after a stall or a crash the rest runs in a new child."""
    names, own = namespace(job.where, module), defined(job.where, module)
    filename = str(project() / job.where.path)
    preload(job.calls, job.where.source)
    by_function: dict[str, list[Call]] = {}
    for call in job.calls:
        by_function.setdefault(call.function, []).append(call)
    package = job.where.module.partition(".")[0] if job.parts else ""
    until = time.monotonic() + job.budget if job.budget else math.inf
    for at, (function, calls) in enumerate(by_function.items()):
        part = _PARTS * max(0.0, until - time.monotonic()) / (len(by_function) - at)
        allowed = max(part, _LEAST_SECONDS)
        function_until = time.monotonic() + allowed * WAIT
        left = calls[::-1] if job.backwards else calls
        invariants = job.invariants.get(function, ())
        timeouts = 0
        while left:
            if timeouts >= _MAX_TIMEOUTS:
                yield from (
                    Observation(Observed(call.id, "timeout", "other inputs of this function did not end"))
                    for call in left
                )
                break

            def work(
                send: Send,
                left: list[Call] = left,
                invariants: tuple[Expectation, ...] = invariants,
                allowed: float = allowed,
                function_until: float = function_until,
            ) -> None:
                if job.backwards:
                    _go_elsewhere()
                started = time.process_time()
                slow = 0
                entered = EnteredFunctions(job.entered, own) if job.trace and job.entered else None
                for call in left:
                    stated = invariants if _is_direct(call) else ()

                    def see(call: Call, stated: tuple[Expectation, ...] = stated) -> Observed:
                        arcs = Arcs(filename, entered=entered) if job.trace else None
                        return observe(call, names, own, stated, job.seconds, arcs, package=package)

                    seen = see(call)
                    if seen.skipped:  # a statement may have changed something before it raised
                        again = see(call.without_setup(seen.skipped))
                        seen = msgspec.structs.replace(again, skipped=seen.skipped)
                    if entered is not None:
                        seen = msgspec.structs.replace(seen, entered=entered.taken())
                    send(msgspec.json.encode(seen))
                    slow += seen.kind == "timeout"
                    is_over = time.process_time() - started > allowed or time.monotonic() > function_until
                    if slow >= _MAX_TIMEOUTS or is_over:
                        return

            messages, end = forked(work, job.seconds * WAIT + STALL_SECONDS)
            seen = [msgspec.json.decode(message, type=Observed) for message in messages]
            yield from (Observation(one) for one in seen)
            timeouts += sum(one.kind == "timeout" for one in seen)
            left = left[len(seen) :]
            if end == "done" and timeouts < _MAX_TIMEOUTS:
                break  # it is over, by the calls or by the time; of the rest nothing is said
            if left and end != "done":
                what = Observed(
                    left[0].id,
                    "timeout" if end == "silent" else "died",
                    "it did not end" if end == "silent" else "the interpreter died",
                )
                timeouts += 1
                yield Observation(what)
                left = left[1:]


def _go_elsewhere() -> None:
    """Into a folder that is not empty and stands beside others: what counts or names what is around it does something else there,
    as it would wherever the test is run.
    """
    here = Path("apart", "here")
    here.mkdir(parents=True)
    for path in (
        Path("file.txt"),
        here.parent / "file.txt",
        here / "file.txt",
        here.parent / "folder" / "file.txt",
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text("text\n", encoding="utf-8")
    os.chdir(here)


def _is_direct(call: Call) -> bool:
    """Whether the result of the expression is that of the function; an example or a round trip may be built around it."""
    if call.origin in INDIRECT or call.expression.startswith(
        "setattr("
    ):  # a property is set by another function
        return False
    if call.origin not in ("example", "claim", "model"):
        return True
    tree = ast.parse(call.expression, mode="eval").body
    func = tree.func if isinstance(tree, ast.Call) else None
    name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
    return name == call.function.rpartition(".")[2]
