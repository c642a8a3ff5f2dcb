"""The steps of one job, each a method that takes the last one's values: try, score, choose, write, judge, measure.

Knows the order of the steps and the funnel; each step's work is in the module it is named for. Holds
nothing that was not computed from the module, the options and the answers of the sandbox.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from kodo.jobs.testgen import render
from kodo.jobs.testgen.candidates import standing
from kodo.jobs.testgen.model import (
    Basis,
    Call,
    Expectation,
    Funnel,
    KeptTest,
    MutantPlace,
    Observed,
    Options,
    Rejection,
    Score,
)
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.sandboxed import Worker
from kodo.jobs.testgen.select import Arc, Chosen, choose
from kodo.jobs.testgen.target import Function
from kodo.jobs.testgen.worker.jobs import (
    GIVEN,
    OWN,
    Judge,
    Judged,
    Kill,
    Killed,
    Measure,
    Measured,
    Observe,
    ScoreMutants,
    Seen,
)

TEST_FILE = "test_kodo_generated.py"
_RELEVANT = 150
_SUITE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Tried:
    """Calls that were run twice: what each did, and why those that fell fell."""

    calls: tuple[Call, ...]
    seen: dict[int, Observed]
    fell: dict[int, str]
    runs: int
    stable: int

    def without(self, numbers: dict[int, str]) -> "Tried":
        """The same with more calls fallen: number -> reason."""
        return Tried(self.calls, self.seen, self.fell | numbers, self.runs, self.stable)

    @property
    def usable(self) -> tuple[Call, ...]:
        """The calls that may become tests."""
        return tuple(call for call in self.calls if call.id not in self.fell)


@dataclass(frozen=True, slots=True)
class Test:
    """A written test and what it stands on."""

    __test__ = False

    written: render.Written
    chosen: Chosen
    basis: Basis
    quote: str


class Pipeline:
    """The steps over one module's functions."""

    def __init__(self, worker: Worker, functions: Sequence[Function], options: Options) -> None:
        self.worker = worker
        self.functions = tuple(functions)
        self.options = options

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The functions whose mutants count, sorted."""
        return tuple(sorted({one.qualname for one in self.functions}))

    @cached_property
    def standing(self) -> dict[str, tuple[Expectation, ...]]:
        """What must hold for every call of each function."""
        return {one.qualname: standing(self.worker.module, one) for one in self.functions}

    @cached_property
    def places(self) -> tuple[MutantPlace, ...]:
        """All mutants of the functions."""
        options, source = self.options, self.worker.module.source
        return tuple(
            one.place for one in mutants(source, frozenset(self.names), options.mutants, options.seed)
        )

    def attempt(self, calls: Sequence[Call]) -> Tried:
        """Run every call twice: in order with tracing, and backwards with other hash seeds; keep what agrees."""
        first = self._observe(calls, backwards=False)
        calls = [_without_skipped(call, first.get(call.id)) for call in calls]
        second = self._observe([call for call in calls if _ended(first.get(call.id))], backwards=True)
        fell: dict[int, str] = {}
        runs = stable = 0
        for call in calls:
            one, other = first.get(call.id), second.get(call.id)
            if one is None or one.kind not in ("value", "raises"):
                fell[call.id] = _why(one)
                continue
            runs += 1
            if other is None or not one.same(other):
                fell[call.id] = "not deterministic: a second run in another order did something else"
                continue
            stable += 1
        return Tried(tuple(calls), first, fell, runs, stable)

    def _observe(self, calls: Sequence[Call], *, backwards: bool) -> dict[int, Observed]:
        if not calls:
            return {}
        job = Observe(
            self.worker.where,
            tuple(calls),
            self.standing,
            self.options.call_seconds,
            not backwards,
            backwards,
        )
        budget = 60 + len(self.functions) * self.options.call_seconds * 10
        answers = self.worker.ask(job, budget, seed=2 if backwards else 1)
        return {answer.observed.id: answer.observed for answer in answers if isinstance(answer, Seen)}

    def kills(self, tried: Tried, only: frozenset[int] | None = None) -> dict[int, frozenset[int]]:
        """Call -> mutants it kills, for the usable calls; `only` those mutants."""
        lines = {call.id: _lines(tried.seen[call.id]) for call in tried.usable}
        relevant: dict[int, tuple[int, ...]] = {}
        for place in self.places:
            if only is not None and place.id not in only:
                continue
            same = [call for call in tried.usable if place.line in lines[call.id]]
            same = same or [call for call in tried.usable if call.function == place.function]
            own = [call for call in same if call.function == place.function]
            ordered = sorted(
                own or same, key=lambda call: (call.origin not in ("example", "claim"), size(call))
            )
            relevant[place.id] = tuple(call.id for call in ordered[:_RELEVANT])
        options = self.options
        job = Kill(
            self.worker.where, tried.usable, tuple(tried.seen[call.id] for call in tried.usable), self.names,
            options.mutants, options.seed, relevant, options.call_seconds, options.kill_seconds,
        )  # fmt: skip
        out: dict[int, set[int]] = {}
        for answer in self.worker.ask(job, options.kill_seconds + 30) if relevant and tried.usable else []:
            if isinstance(answer, Killed):
                for number in answer.by:
                    out.setdefault(number, set()).add(answer.mutant)
        return {number: frozenset(dead) for number, dead in out.items()}

    def choose(
        self,
        tried: Tried,
        kills: dict[int, frozenset[int]],
        covered: frozenset[Arc] = frozenset(),
        dead: frozenset[int] = frozenset(),
    ) -> list[Chosen]:
        """The calls that add something to what is covered and dead already."""
        arcs = {call.id: frozenset(tried.seen[call.id].arcs) for call in tried.usable}
        return choose(sorted(tried.usable, key=size), arcs, kills, covered, dead)

    def write(self, chosen: Iterable[Chosen], tried: Tried, taken: set[str]) -> list[Test]:
        """A test function for each chosen call."""
        out: list[Test] = []
        for one in chosen:
            call, seen = one.call, tried.seen[one.call.id]
            basis: Basis = call.expect.basis if call.expect and seen.meets else "code"
            quote = call.expect.quote if call.expect and seen.meets else ""
            name = render.name_for(call, seen, taken)
            lines = render.body(call, seen, self.options.framework)
            written = render.function(name, lines, render.comment(basis, quote), self.options.framework)
            out.append(Test(written, one, basis, quote))
        return out

    def file(self, tests: Sequence[render.Written]) -> str:
        """The formatted test file; empty for no tests."""
        if not tests:
            return ""
        module = self.worker.module
        text = render.file(module.name, module.defined, tests, self.options.framework, self.class_name)
        return render.formatted(text, module.root)

    @property
    def class_name(self) -> str:
        """The name of the class of a unittest file."""
        return "Test" + "".join(part.capitalize() for part in self.worker.module.path.stem.split("_"))

    def judge(self, tests: Sequence[render.Written]) -> dict[str, Judged]:
        """Each test alone under pytest, then all of them five times in random order."""
        if not tests:
            return {}
        prefix = f"{self.class_name}::" if self.options.framework == "unittest" else ""
        job = Judge(
            self.worker.where,
            GIVEN + TEST_FILE,
            tuple(prefix + test.name for test in tests),
            self.options.call_seconds * 3,
        )
        answers = self.worker.ask(job, 60 + 2.0 * len(tests), {TEST_FILE: self.file(tests)})
        return {answer.name.removeprefix(prefix): answer for answer in answers if isinstance(answer, Judged)}

    def measure(self, text: str, existing: Sequence[Path]) -> Score:
        """Coverage of the module by the given file and the existing ones."""
        files = [*(self._inside(path) for path in existing), *([GIVEN + TEST_FILE] if text else [])]
        job = Measure(self.worker.where, tuple(files), _SUITE_SECONDS)
        answers = self.worker.ask(job, _SUITE_SECONDS, {TEST_FILE: text})
        return next((answer.score for answer in answers if isinstance(answer, Measured)), Score())

    def dead(self, text: str, existing: Sequence[Path], only: frozenset[int]) -> frozenset[int]:
        """The mutants of `only` that the tests kill: our text, or else the existing files."""
        if not only or not (text or existing):
            return frozenset()
        options = self.options
        files = (GIVEN + TEST_FILE,) if text else tuple(self._inside(path) for path in existing)
        job = ScoreMutants(
            self.worker.where, files, bool(text), self.names, options.mutants, options.seed,
            tuple(sorted(only)), options.call_seconds * 3, options.kill_seconds,
        )  # fmt: skip
        answers = self.worker.ask(job, options.kill_seconds + 30, {TEST_FILE: text})
        return frozenset(answer.mutant for answer in answers if isinstance(answer, Killed) and answer.by)

    def _inside(self, path: Path) -> str:
        return f"{OWN}{path.resolve().relative_to(self.worker.module.root)}"


def funnel(
    tried: Sequence[Tried], tests: Sequence[Test], judged: dict[str, Judged], kept: int, suspects: int
) -> Funnel:
    """The counts after each step."""
    everything = [call for one in tried for call in one.calls]
    fates = [judged[test.written.name] for test in tests if test.written.name in judged]
    return Funnel(
        candidates=len(everything),
        from_model=sum(call.origin == "model" for call in everything),
        parses=len(everything),
        runs=sum(one.runs for one in tried),
        deterministic=sum(one.stable for one in tried),
        adds=len(tests),
        collects=sum(one.collects for one in fates),
        passes_alone=sum(one.alone for one in fates),
        passes_five_times=sum(one.five for one in fates),
        kept=kept,
        suspects=suspects,
    )


def rejections(
    tried: Sequence[Tried], chosen: Iterable[Chosen], tests: Sequence[Test], judged: dict[str, Judged]
) -> tuple[Rejection, ...]:
    """Every candidate that is not in the file, counted by function and reason, with one of each."""
    taken = {one.call.id for one in chosen}
    rows: list[tuple[str, str, str]] = []
    for one in tried:
        for call in one.calls:
            example = render.fill(call.expression, call)
            if call.id in one.fell:
                rows.append((call.function, one.fell[call.id], example))
            elif call.id not in taken:
                rows.append(
                    (
                        call.function,
                        "adds nothing: no new line or branch, no mutant killed that lived",
                        example,
                    )
                )
    for test in tests:
        fate = judged.get(test.written.name)
        if fate is None or fate.reason:
            rows.append(
                (
                    test.chosen.call.function,
                    fate.reason if fate else "it was not judged in time",
                    test.written.name,
                )
            )
    counts = Counter((function, reason) for function, reason, _ in rows)
    first = {(function, reason): example for function, reason, example in reversed(rows)}
    return tuple(
        Rejection(function, reason, count, first[function, reason])
        for (function, reason), count in counts.most_common()
    )


def kept_tests(tests: Sequence[Test], judged: dict[str, Judged]) -> tuple[KeptTest, ...]:
    """The tests that passed everything."""
    out: list[KeptTest] = []
    for test in tests:
        fate = judged.get(test.written.name)
        if fate is not None and fate.five:
            call = test.chosen.call
            out.append(
                KeptTest(
                    test.written.name,
                    call.function,
                    call.origin,
                    test.basis,
                    test.quote,
                    test.written.source,
                    len(test.chosen.new_arcs),
                    tuple(sorted(test.chosen.kills)),
                    fate.seconds,
                )
            )
    return tuple(out)


def _without_skipped(call: Call, seen: Observed | None) -> Call:
    """The call without the setup statements that raised."""
    if seen is None or not seen.skipped:
        return call
    return msgspec.structs.replace(
        call, setup=tuple(line for at, line in enumerate(call.setup) if at not in seen.skipped)
    )


def size(call: Call) -> int:
    """How much there is to read in a call: characters, and a line more for each statement of setup."""
    return (
        len(call.expression)
        + sum(len(arg.source) for arg in call.args)
        + sum(len(line) + 10 for line in call.setup)
    )


def _ended(seen: Observed | None) -> bool:
    return seen is not None and seen.kind in ("value", "raises")


def _why(seen: Observed | None) -> str:
    if seen is None:
        return "not run: the time for this step was over"
    return {"timeout": f"does not end: {seen.text}", "died": seen.text}.get(seen.kind, seen.text)


def _lines(seen: Observed) -> frozenset[int]:
    return frozenset(line for arc in seen.arcs for line in arc if line > 0)
