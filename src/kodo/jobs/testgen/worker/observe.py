"""Three jobs over calls: observe them, find the mutants they kill, make the failing ones smaller."""

import ast
import math
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kodo.jobs.testgen.model import Arg, Call, Expectation, Observed
from kodo.jobs.testgen.mutate import Mutant, mutants
from kodo.jobs.testgen.worker.call import Arcs, observe
from kodo.jobs.testgen.worker.fork import Send, forked
from kodo.jobs.testgen.worker.jobs import Kill, Killed, ModuleLocation, Observation, Observe, Shrink, Shrunk
from kodo.jobs.testgen.worker.load import TooLong, defined, install, namespace, project

_STALL_SECONDS = 3.0
_MAX_KILLERS = 6
_MAX_TIMEOUTS = 4
_MAX_SHRINK_STEPS = 400


def run_observe(job: Observe, module: types.ModuleType) -> Iterator[Observation]:
    """Each function's calls in one child; after a stall or a crash the rest goes on in a new child."""
    names, own = namespace(job.where, module), defined(job.where, module)
    filename = str(project() / job.where.path)
    by_function: dict[str, list[Call]] = {}
    for call in job.calls:
        by_function.setdefault(call.function, []).append(call)
    for function, calls in by_function.items():
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
                send: Send, left: list[Call] = left, invariants: tuple[Expectation, ...] = invariants
            ) -> None:
                slow = 0
                for call in left:
                    arcs = Arcs(filename) if job.trace else None
                    seen = observe(
                        call, names, own, invariants if _is_direct(call) else (), job.seconds, arcs
                    )
                    send(msgspec.json.encode(seen))
                    slow += seen.kind == "timeout"
                    if slow >= _MAX_TIMEOUTS:
                        return

            messages, end = forked(work, job.seconds + _STALL_SECONDS)
            seen = [msgspec.json.decode(message, type=Observed) for message in messages]
            yield from (Observation(one) for one in seen)
            timeouts += sum(one.kind == "timeout" for one in seen)
            left = left[len(seen) :]
            if left and end != "done":
                what = Observed(
                    left[0].id,
                    "timeout" if end == "silent" else "died",
                    "it did not end" if end == "silent" else "the interpreter died",
                )
                timeouts += 1
                yield Observation(what)
                left = left[1:]


def _is_direct(call: Call) -> bool:
    """Whether the result of the expression is that of the function; an example or a round trip may be built around it."""
    if call.origin not in ("example", "claim", "model"):
        return True
    tree = ast.parse(call.expression, mode="eval").body
    func = tree.func if isinstance(tree, ast.Call) else None
    name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
    return name == call.function.rpartition(".")[2]


def run_kill(job: Kill, module: types.ModuleType) -> Iterator[Killed]:
    """For each mutant, the first few calls that tell it from the original; stops at the budget."""
    calls = {call.id: call for call in job.calls}
    baseline = {one.id: one for one in job.baseline}
    started = time.monotonic()
    for mutant in mutants(job.where.source, frozenset(job.functions), job.limit, job.seed):
        relevant = [number for number in job.relevant.get(mutant.place.id, ()) if number in calls]
        if time.monotonic() - started > job.budget:
            return

        def work(send: Send, mutant: Mutant = mutant, relevant: list[int] = relevant) -> None:
            fresh = install_or_none(job.where, mutant.tree)
            if fresh is None:
                send(b"import")
                return
            names, own = namespace(job.where, fresh), defined(job.where, fresh)
            killers = timeouts = 0
            for number in relevant:
                limit = min(job.seconds, max(0.2, 20 * baseline[number].seconds))
                seen = observe(calls[number], names, own, (), limit, None)
                killed = not seen.same(baseline[number])
                send(b"%d %d" % (number, killed))
                killers += killed
                timeouts += seen.kind == "timeout"
                if killers >= _MAX_KILLERS or timeouts >= 2:
                    return

        messages, end = forked(work, job.seconds + _STALL_SECONDS)
        if messages[:1] == [b"import"]:
            yield Killed(mutant.place.id, tuple(relevant[:_MAX_KILLERS]))
            continue
        rows = [tuple(map(int, message.split())) for message in messages]
        by = [number for number, killed in rows if killed]
        if end != "done" and len(rows) < len(relevant):
            by.append(relevant[len(rows)])
        yield Killed(mutant.place.id, tuple(by))


def install_or_none(where: ModuleLocation, tree: ast.Module) -> types.ModuleType | None:
    """The mutant in the module's place; None for one that does not even import."""
    try:
        return install(where, tree, 5.0)
    except (TooLong, Exception):  # noqa: BLE001 - a mutant may raise anything at import
        return None


def run_shrink(job: Shrink, module: types.ModuleType) -> Iterator[Shrunk]:
    """Greedy: take any smaller argument with which the call still fails in the same way, until there is none."""
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
        return seen.kind == "raises" and seen.text == expect.text and seen.raised_in_target
    return seen.kind == "value" and bool(seen.broken)


def shrink(call: Call, failing: Callable[[Call], Observed | None]) -> Shrunk:
    """The smallest failing call found in a few hundred steps."""
    best = failing(call)
    if best is None:
        return Shrunk(call, Observed(call.id, "unusable", "the fault did not show again"))
    steps, moved = 0, True
    while moved and steps < _MAX_SHRINK_STEPS:
        moved = False
        for smaller in _smaller_calls(call):
            steps += 1
            seen = failing(smaller)
            if seen is not None:
                call, best, moved = smaller, seen, True
                break
            if steps >= _MAX_SHRINK_STEPS:
                break
    return Shrunk(call, best)


def _smaller_calls(call: Call) -> Iterator[Call]:
    for at in range(1, len(call.setup)):
        yield msgspec.structs.replace(call, setup=(*call.setup[:at], *call.setup[at + 1 :]))
    for at, arg in enumerate(call.args):
        try:
            value = ast.literal_eval(arg.source)
        except (ValueError, SyntaxError):
            continue
        for one in smaller(value):
            args = (*call.args[:at], Arg(arg.name, repr(one)), *call.args[at + 1 :])
            yield msgspec.structs.replace(call, args=args)


def smaller(value: object) -> Iterator[object]:
    """Simpler values of the same type, boldest first; nothing for the simplest."""
    for kind, simplify in SIMPLER:
        if isinstance(value, kind):
            yield from simplify(value)
            return


def _smaller_integer(value: int) -> Iterator[object]:
    sign = 1 if value > 0 else -1
    nearer = (0, sign * (abs(value) // 2), value - sign, -value if value < 0 else 0)
    return (one for one in dict.fromkeys(nearer) if abs(one) < abs(value) or one == -value > 0)


def _smaller_float(value: float) -> Iterator[object]:
    if math.isfinite(value):
        rounder = (0.0, float(int(value)), round(value, 1))
        yield from (one for one in rounder if abs(one) < abs(value))


def _smaller_text(value: str) -> Iterator[object]:
    yield from _shorter(value)
    for at, char in enumerate(value[:20]):
        if char not in "a ":
            yield value[:at] + "a" + value[at + 1 :]


def _smaller_sequence(value: list[object] | tuple[object, ...]) -> Iterator[object]:
    yield from _shorter(value)
    for at, item in enumerate(value[:20]):
        yield from (type(value)((*value[:at], one, *value[at + 1 :])) for one in smaller(item))


def _smaller_dict(value: dict[object, object]) -> Iterator[object]:
    return ({key: item for key, item in value.items() if key != gone} for gone in value)


def _shorter(value: str | bytes | list[object] | tuple[object, ...]) -> Iterator[object]:
    size = len(value)
    if size:
        yield value[:0]
    if size > 3:
        yield value[: size // 2]
        yield value[size // 2 :]
    for at in range(min(size, 40)):
        yield value[:at] + value[at + 1 :]  # type: ignore[operator] # both halves are of one type


SIMPLER: tuple[tuple[type | types.UnionType, Callable[[Any], Iterator[object]]], ...] = (
    (bool, lambda value: iter([False] if value else [])),
    (int, _smaller_integer),
    (float, _smaller_float),
    (str, _smaller_text),
    (bytes, _shorter),
    (list | tuple, _smaller_sequence),
    (dict, _smaller_dict),
    (set, lambda value: (value - {gone} for gone in value)),
)
"""Type -> its simpler values; bool is an int, so it comes first."""
