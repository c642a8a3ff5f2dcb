"""Two jobs over calls: find the mutants they kill, and make the failing ones smaller."""

import gc
import sys
import types
from collections.abc import Callable, Iterator

import msgspec

from kodo.jobs.execution.model import Call, Expectation, Observed
from kodo.jobs.execution.worker.arcs import Arcs
from kodo.jobs.execution.worker.call import compile_ahead, observe
from kodo.jobs.execution.worker.fixtures import preload
from kodo.jobs.execution.worker.fork import Send, cpu_seconds, forked
from kodo.jobs.execution.worker.load import WAIT, defined, namespace, project
from kodo.jobs.execution.worker.observe import STALL_SECONDS
from kodo.jobs.execution.worker.smaller import smaller_calls
from kodo.jobs.testgen.mutate import Mutant, mutants
from kodo.jobs.testgen.worker.jobs import Kill, Killed, Shrink, Shrunk
from kodo.jobs.testgen.worker.mutant_code import MutantCode

_MAX_KILLERS = 6
_ENOUGH = 40
"""Calls after which no more are tried on a mutant that one of them told."""
_MAX_SHRINK_STEPS = 400


def run_kill(job: Kill, code: MutantCode) -> Iterator[Killed]:
    """For each mutant, the first few calls that tell it from the original; stops at the budget."""
    calls = {call.id: call for call in job.calls}
    baseline = {one.id: one for one in job.baseline}
    preload(job.calls, job.where.source)
    compile_ahead(job.calls)
    started, module = cpu_seconds(), code.module
    with code.importing():
        known, mine = namespace(job.where, module), defined(job.where, module)
    code.prepare(lambda _: True)
    gc.freeze()  # what lives to the end is not looked at in each child, which would copy it
    for mutant in mutants(job.where.source, frozenset(job.functions), job.limit, job.seed):
        if mutant.place.id not in job.relevant:
            continue
        relevant = [number for number in job.relevant[mutant.place.id] if number in calls]
        if cpu_seconds() - started > job.budget:
            return

        def work(send: Send, mutant: Mutant = mutant, relevant: list[int] = relevant) -> None:
            changed = code.put(mutant)
            if changed is None:
                send(b"import")
                return
            names, own = known, mine
            if changed is not module:
                names, own = namespace(job.where, changed), defined(job.where, changed)
            killers = timeouts = 0
            for at, number in enumerate(relevant):
                if killers and at >= _ENOUGH:
                    return
                limit = min(job.seconds, max(0.2, 20 * baseline[number].seconds))
                seen = observe(calls[number], names, own, (), limit, None)
                killed = not seen.same(baseline[number])
                send(b"%d %d" % (number, killed))
                killers += killed
                timeouts += seen.kind == "timeout"
                if killers >= _MAX_KILLERS or timeouts >= 2:
                    return

        messages, end = forked(work, job.seconds * WAIT + STALL_SECONDS)
        if messages[:1] == [b"import"]:
            yield Killed(mutant.place.id, tuple(relevant[:_MAX_KILLERS]))
            continue
        rows = [tuple(map(int, message.split())) for message in messages]
        by = [number for number, killed in rows if killed]
        if end != "done" and len(rows) < len(relevant):
            by.append(relevant[len(rows)])
        yield Killed(mutant.place.id, tuple(by))


def run_shrink(job: Shrink, module: types.ModuleType) -> Iterator[Shrunk]:
    """Greedy: take any smaller argument with which the call still fails in the same way, until none is left."""
    names, own = namespace(job.where, module), defined(job.where, module)
    filename = str(project() / job.where.path)
    for call, expect in zip(job.calls, job.broken, strict=True):

        def work(send: Send, call: Call = call, expect: Expectation = expect) -> None:
            def failing(one: Call) -> Observed | None:
                seen = observe(one, names, own, (expect,), job.seconds, Arcs(filename))
                return seen if fails(seen, expect) else None

            send(msgspec.json.encode(shrink(call, failing)))

        messages, _ = forked(work, 20.0)
        if messages:
            yield msgspec.json.decode(messages[-1], type=Shrunk)
    sys.settrace(None)


def fails(seen: Observed, expect: Expectation) -> bool:
    """Whether an observation shows the fault that ``expect`` names."""
    if expect.kind == "raises":  # here: an error that no type-correct call should end in
        return seen.kind == "raises" and seen.text == expect.text and seen.error_origin == "operation"
    return seen.kind == "value" and bool(seen.broken)


def shrink(call: Call, failing: Callable[[Call], Observed | None]) -> Shrunk:
    """The smallest failing call found in a few hundred steps."""
    best = failing(call)
    if best is None:
        return Shrunk(call, Observed(call.id, "unusable", "the fault did not show again"))
    steps, moved = 0, True
    while moved and steps < _MAX_SHRINK_STEPS:
        moved = False
        for smaller in smaller_calls(call):
            steps += 1
            seen = failing(smaller)
            if seen is not None:
                call, best, moved = smaller, seen, True
                break
            if steps >= _MAX_SHRINK_STEPS:
                break
    return Shrunk(call, best)
