"""One version of the code in a process of its own: makes the calls it is sent, each batch in a child.

    python -m kodo.jobs.execution.worker.one_version MODULE.json < requests > answers

Requests and answers are JSON lines: a ``Batch`` for each request; an ``Outcome`` for each of its calls, then an
empty line. An import failure is one ``Failed`` line.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.fixtures import preload
from kodo.jobs.execution.worker.fork import Send, forked
from kodo.jobs.execution.worker.inner_variation import InnerVariation
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.load import (
    CannotImport,
    defined,
    forget,
    import_target,
    namespace,
    prepare_path,
    project,
    time_limit,
)
from kodo.jobs.execution.worker.marks import Looking, Marks
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of
from kodo.jobs.execution.worker.probe import Probe, probed
from kodo.jobs.execution.worker.random_bytes import RandomBytes

_IMPORT_SECONDS = 20.0
_DID_NOT_END = "other inputs did not end"
_STALL_SECONDS = 2.0
_MAX_TIMEOUTS = 3
_MAX_DEATHS = 8
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_LARGE = 100
"""A number from which on it may be its size that a call does not end for."""


class Batch(msgspec.Struct, frozen=True):
    """Calls to make one after the other, the seconds each may take, and functions to watch."""

    calls: tuple[Call, ...]
    seconds: float
    reach: tuple[str, ...] = ()
    vary: float = 0.0
    """Seconds for calling the watched functions with other arguments than the calls did."""
    words: tuple[str, ...] = ()
    inner: bool = True
    """Whether the calls that the watched functions get inside are described, which takes longer than most calls."""
    until: float | None = None
    """The monotonic time after which no call is begun; None for no such time. The imports of the calls do not count, but for ``end``."""
    end: float | None = None
    """The monotonic time after which none is begun whatever is imported."""
    operands: tuple[str, ...] = ()
    """Functions whose comparisons are looked at instead: what they compare is told of each call."""
    apart: bool = False
    """Whether each call is made in a child of its own, so that none sees what another one did."""

    def later(self, seconds: float) -> Batch:
        """The batch with that much more time, as far as there is any."""
        if self.until is None:
            return self
        return msgspec.structs.replace(self, until=min(self.until + seconds, self.end or math.inf))

    def is_over(self) -> bool:
        """Whether no further call may be begun."""
        return self.until is not None and time.monotonic() > self.until


def outcomes(
    batch: Batch, make: Callable[[Call, float], Outcome], loaded: set[str] | None = None
) -> Iterator[Outcome]:
    """The outcome of each call there was time for; after a stall or a crash the rest goes on in a new child.

    ``loaded`` gets the names of the modules that the calls imported.
    """
    for calls in [(call,) for call in batch.calls] if batch.apart else [batch.calls]:
        yield from _in_children(batch, calls, make, set() if loaded is None else loaded)


def _in_children(
    batch: Batch, calls: Sequence[Call], make: Callable[[Call, float], Outcome], loaded: set[str]
) -> Iterator[Outcome]:
    """The outcomes of some calls of a batch, in one child while it lives."""
    left = list(calls)
    stalls = deaths = 0
    while left and not batch.is_over() and stalls < _MAX_TIMEOUTS and deaths < _MAX_DEATHS:

        def work(send: Send, left: list[Call] = left) -> None:
            slow = 0
            known = set(sys.modules)
            for call in left:
                if batch.is_over() or slow >= _MAX_TIMEOUTS:
                    break
                seen = make(call, batch.seconds)
                send(msgspec.json.encode(seen))
                slow += seen.kind == "timeout"
            send(msgspec.json.encode(sorted(sys.modules.keys() - known)))

        messages, end = forked(work, batch.seconds + _STALL_SECONDS)
        seen: list[Outcome] = []
        for message in messages:
            answer = msgspec.json.decode(message, type=Outcome | list[str])
            if isinstance(answer, Outcome):
                seen.append(answer)
            else:
                loaded.update(answer)
        yield from seen
        stalls += sum(one.kind == "timeout" for one in seen)
        left = left[len(seen) :]
        if left and end != "done":
            yield Outcome(left[0].id, "timeout" if end == "silent" else "died")
            stalls += end == "silent"
            deaths += end != "silent"
            stalled, *left = left
            if end == "silent":
                alike = [call for call in left if _is_as_large(call, stalled)]
                yield from (Outcome(call.id, "unusable", {"why": _DID_NOT_END}) for call in alike)
                left = [call for call in left if call not in alike]
        elif not seen:
            break
    if not batch.is_over():
        yield from (Outcome(call.id, "unusable", {"why": _DID_NOT_END}) for call in left)


def _is_as_large(call: Call, stalled: Call) -> bool:
    """Whether a call is given a number at least as large as the largest one of a call that did not end, where that one is large."""
    largest = _largest(stalled)
    return largest >= _LARGE and _largest(call) >= largest


def _largest(call: Call) -> float:
    """The largest whole number that a call is given as such, 0 where it has none."""
    return max((float(number) for arg in call.args for number in _NUMBER.findall(arg.source)), default=0.0)


def _import_for(calls: Iterable[Call], done: set[str]) -> None:
    """Run the imports of calls' setups once here, so that not every child imports the modules anew."""
    for line in {
        line for call in calls for line in call.setup if line.startswith(("import ", "from "))
    } - done:
        done.add(line)
        with (
            contextlib.suppress(BaseException),
            time_limit(_IMPORT_SECONDS),
        ):  # the call itself will say why; a module may end the process, or raise what is no Exception
            exec(line, {})  # noqa: S102 - in the sandbox; running it is the point


def _import_too(names: Iterable[str], package: str, done: set[str]) -> None:
    """Import the modules of a package that calls imported in their child, so that the next child has them already."""
    for name in sorted({name for name in names if name.partition(".")[0] == package} - done):
        done.add(name)
        with (
            contextlib.suppress(BaseException),
            time_limit(_IMPORT_SECONDS),
        ):  # the next call will do it, or say why not
            importlib.import_module(name)


def main() -> None:
    """Import the module, then answer until standard input ends."""
    where = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ModuleLocation)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what foreign code prints is no answer
    random_bytes = RandomBytes()
    random_bytes.put()
    prepare_path(where)
    forget(where.module.partition(".")[0])
    try:
        module = import_target(where, _IMPORT_SECONDS)
    except CannotImport as error:
        out.write(msgspec.json.encode(Failed(str(error))) + b"\n\n")
        out.flush()
        return
    imported: set[str] = set()
    marks: dict[tuple[str, ...], Marks | None] = {}
    looked: dict[tuple[str, ...], Looking] = {}
    own, root = defined(where, module), str(project())
    names = namespace(where, module)
    shown = {**names, **{name: value for name, value in vars(module).items() if not name.startswith("__")}}

    def outcome(call: Call, seconds: float) -> Outcome:
        """What a call does; an example of the documentation sees all that its module binds, as it does for doctest."""
        random_bytes.begin()
        seen = outcome_of(
            call, shown if call.origin == "example" else names, own, seconds, root, where.one_sided
        )
        return msgspec.structs.replace(seen, bytes_drawn=random_bytes.drawn) if random_bytes.drawn else seen

    out.write(b"\n")
    out.flush()
    for line in sys.stdin.buffer:
        batch = msgspec.json.decode(line, type=Batch)
        if not batch.is_over():
            started = time.monotonic()
            preload(batch.calls, where.source)
            _import_for(batch.calls, imported)
            batch = batch.later(time.monotonic() - started)
        if batch.reach not in marks:
            made = Marks(module.__file__ or "", batch.reach)
            marks[batch.reach] = made if made.put() else None
        looking = looked.get(batch.operands)
        if looking is None and batch.operands:
            looking = looked[batch.operands] = Looking(module.__file__ or "", batch.operands)
        spent = [0.0]

        def make(
            call: Call,
            seconds: float,
            batch: Batch = batch,
            spent: list[float] = spent,
            noted: Marks | None = marks[batch.reach],
            looking: Looking | None = looking,
        ) -> Outcome:
            if looking is not None:
                looking.begin()
                seen = outcome(call, seconds)
                return msgspec.structs.replace(seen, compared=looking.pairs)
            if not batch.reach:
                return outcome(call, seconds)
            if noted is not None and not batch.inner:
                noted.clear()
                seen = outcome(call, seconds)
                return msgspec.structs.replace(seen, reached=noted.reached, lines=noted.lines)
            keep = 2 if batch.vary else 0
            with probed(
                Probe(
                    module.__file__ or "",
                    batch.reach,
                    own,
                    root,
                    keep=keep,
                    describes=batch.inner,
                    without=where.one_sided,
                )
            ) as probe:
                seen = outcome(call, seconds)
            if probe.live and spent[0] < batch.vary:
                start = time.monotonic()
                vary = InnerVariation(module, probe.text, batch.words, own)
                end = min(start + batch.vary - spent[0], batch.until or math.inf)
                probe.calls += vary.calls(probe.live, call.id, end)
                spent[0] += time.monotonic() - start
            return msgspec.structs.replace(
                seen,
                reached=tuple(sorted(probe.reached)),
                lines=tuple(sorted(probe.lines)),
                inner=tuple(probe.calls),
            )

        loaded: set[str] = set()
        for seen in outcomes(batch, make, loaded):
            out.write(msgspec.json.encode(seen) + b"\n")
        out.write(b"\n")
        out.flush()
        if not (batch.apart or batch.is_over()):
            _import_too(loaded, where.module.partition(".")[0], imported)


if __name__ == "__main__":
    main()
