"""The steps of one job, each a method that takes the last one's values: try, score, choose, write, judge, measure.

Knows the order of the steps; each step's work is in the module it is named for. Holds
nothing that was not computed from the module, the options and the answers of the sandbox.
"""

import ast
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import msgspec

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import INDIRECT, Basis, Call, Expectation, Observed
from kodo.jobs.execution.stated_facts import invariants
from kodo.jobs.execution.worker.fixtures import needed
from kodo.jobs.execution.worker.jobs import GIVEN, OWN, Observation, Observe
from kodo.jobs.execution.worker.operands import Sides
from kodo.jobs.testgen import render
from kodo.jobs.testgen.calls_of_mutants import calls_to_try, size, statement_lines
from kodo.jobs.testgen.halves import MIN_CALLS, halves_of_calls, halves_of_mutants, side_by_side
from kodo.jobs.testgen.model import MutantPlace, Options, Score
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.sandboxed import Worker
from kodo.jobs.testgen.select import Arc, Chosen, choose
from kodo.jobs.testgen.tables import Case, Layout, lay_out, single
from kodo.jobs.testgen.trials import Test, Trials
from kodo.jobs.testgen.worker.jobs import (
    Judge,
    Judged,
    Kill,
    Killed,
    Measure,
    Measured,
    NotedOperands,
    NoteOperands,
    ScoreMutants,
)

TEST_FILE = "test_kodo_generated.py"
_MAX_WAIT = 4
"""Seconds to wait for a second of CPU time that a step may use."""
_SUITE_SECONDS = 300.0
_LEAST = 20.0
"""Seconds that a step has at least; what it did not come to by then is left out."""
_INSIDE = re.compile(r"/(?:project|kodo/(?:files|lib))\b")
"""Folders of the sandbox."""
_SEARCH = 0.5
"""Of the time for a job, the part after which no further search is begun: CPU time, so that a busy machine does not change what is found."""
_WALL = 2
"""Seconds of wall time that the search waits for a second of it."""
_ALL_INPUTS = 7000
"""Calls of all functions together in the first round, where no number is asked for."""
_MAX_INPUTS, _MIN_INPUTS = 240, 80
"""Those of one function, at most and at least."""


class Pipeline:
    """The steps over one module's functions."""

    def __init__(self, worker: Worker, functions: Sequence[Function], options: Options) -> None:
        self.worker = worker
        self.functions = tuple(functions)
        self.options = options
        self._started = time.monotonic()
        self._started_cpu = time.process_time()
        self.left_out: list[str] = []
        """The steps that there was no time for."""
        self._runs: dict[tuple[str, tuple[Path, ...]], Measured | None] = {}
        self._scored: dict[tuple[str, tuple[Path, ...], frozenset[int]], frozenset[int]] = {}

    def may_begin(self, step: str) -> bool:
        """Whether there is time for a further step of the search; one for which there is none is noted."""
        if self._left(_SEARCH) > 0:
            return True
        self.left_out += [step] if step not in self.left_out else []
        return False

    def _left(self, share: float = 1.0) -> float:
        """Seconds of wall time until that share of the job's time is over, by what it has used itself or by the clock."""
        allowed = self.options.seconds * share
        used = time.process_time() - self._started_cpu + sum(self.worker.spent)
        by_clock = self._started + _WALL * allowed - time.monotonic()
        return min(_WALL * (allowed - used), by_clock)

    @property
    def inputs(self) -> int:
        """Calls of each function: as asked for, else fewer where there are many functions, whose calls often run one another."""
        fitting = _ALL_INPUTS // max(1, len(self.functions))
        return self.options.inputs or max(_MIN_INPUTS, min(_MAX_INPUTS, fitting))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The functions whose mutants count, sorted."""
        return tuple(sorted({one.qualname for one in self.functions}))

    @cached_property
    def invariants(self) -> dict[str, tuple[Expectation, ...]]:
        """What must hold for every call of each function."""
        return {one.qualname: invariants(self.worker.module, one) for one in self.functions}

    @cached_property
    def places(self) -> tuple[MutantPlace, ...]:
        """All mutants of the functions."""
        options, source = self.options, self.worker.module.source
        return tuple(
            one.place for one in mutants(source, frozenset(self.names), options.mutants, options.seed)
        )

    def attempt(self, calls: Sequence[Call]) -> Trials:
        """Run every call twice: in order with tracing, and backwards with other hash seeds; keep what agrees."""
        unparsed = tuple(call for call in calls if not _parses(call))
        calls = [call for call in calls if _parses(call)]
        calls, first, second = self._twice(calls)
        functions = {one.qualname: one for one in self.functions}
        rejected_calls: dict[int, str] = {}
        runs = stable = 0
        for call in calls:
            one, other = first.get(call.id), second.get(call.id)
            if one is None or one.kind not in ("value", "raises"):
                rejected_calls[call.id] = _rejection_reason(one)
                continue
            runs += 1
            if other is None:
                rejected_calls[call.id] = _rejection_reason(other)
                continue
            if not one.same(other):
                rejected_calls[call.id] = (
                    "not deterministic: a second run in another order did something else"
                )
                continue
            if _names_the_sandbox(one) and not _INSIDE.search(call.expression + self.worker.module.source):
                rejected_calls[call.id] = "not deterministic: it names the folder that it runs in"
                continue
            stable += 1
            if self.options.framework == "unittest" and needed(call):
                rejected_calls[call.id] = f"it needs a fixture of pytest: {', '.join(needed(call))}"
            elif is_accident(call, one, functions.get(call.function)):
                rejected_calls[call.id] = f"an accident of a guessed argument: {one.text}"
        return Trials(tuple(calls), first, rejected_calls, runs, stable, unparsed)

    def _twice(self, calls: Sequence[Call]) -> tuple[list[Call], dict[int, Observed], dict[int, Observed]]:
        """The calls without the setup that raised, and both passes: of few calls at once, of many one after the other, halved."""
        if len(calls) < MIN_CALLS:
            first, second = side_by_side(lambda back: [self._observe(calls, backwards=back)], [False, True])
            return _without_skipped(calls, first), first, second
        first = self._observe(calls, backwards=False)
        calls = _without_skipped(calls, first)
        ended = [call for call in calls if (one := first.get(call.id)) and one.kind in ("value", "raises")]
        return calls, first, self._observe(ended, backwards=True)

    def constructed(self, calls: Sequence[Call]) -> list[Call]:
        """Those of the calls that make an instance."""
        seen = self.observe(calls)
        failed = "its inputs cannot be made"
        return [
            call
            for call in calls
            if (one := seen.get(call.id)) is not None
            and (one.kind == "value" or (one.kind == "unusable" and not one.text.startswith(failed)))
        ]

    def observe(self, calls: Sequence[Call]) -> dict[int, Observed]:
        """What each call did, once, and the objects that its result holds."""
        return self._observe(calls, backwards=False, parts=True)

    def observe_apart(
        self, calls: Sequence[Call], names: Mapping[str, str], seconds: float
    ) -> dict[int, Observed]:
        """What each call did, once, that uses ``names`` (name -> module) which no test will; of as many as ``seconds`` are enough for."""
        worker = replace(self.worker, names=names)
        return self._observe(calls, backwards=False, seconds=seconds, worker=worker)

    def _observe(
        self,
        calls: Sequence[Call],
        *,
        backwards: bool,
        parts: bool = False,
        seconds: float = math.inf,
        worker: Worker | None = None,
    ) -> dict[int, Observed]:
        if not calls:
            return {}
        budget = 60 + len(self.functions) * self.options.call_seconds * 10
        budget = min(budget, max(_LEAST, self._left(_SEARCH) / (1 if backwards else 2)))  # half for each pass
        budget = min(budget, seconds)
        worker = worker or self.worker
        jobs = [
            Observe(
                worker.where,
                part,
                self.invariants,
                self.options.call_seconds,
                not backwards,
                backwards,
                () if backwards else self.names,
                budget,
                parts,
            )
            for part in halves_of_calls(calls)
        ]
        answers = side_by_side(partial(worker.ask, seconds=budget, seed=2 if backwards else 1), jobs)
        return {answer.observed.id: answer.observed for answer in answers if isinstance(answer, Observation)}

    def kills(
        self, trials: Trials, only: frozenset[int] | None = None, *, more: bool = False
    ) -> dict[int, frozenset[int]]:
        """Call -> mutants it kills, for the usable calls; ``only`` those mutants; ``more``: by the calls not tried at first."""
        relevant = self._relevant(trials, only, more=more)
        if not relevant:
            return {}
        options = self.options
        jobs = [
            Kill(
                self.worker.where, *_needed(trials, part), self.names,
                options.mutants, options.seed, part, options.call_seconds, options.kill_seconds,
            )
            for part in halves_of_mutants(relevant)
        ]  # fmt: skip
        out: dict[int, set[int]] = {}
        seconds = min(_MAX_WAIT * options.kill_seconds + 30, max(_LEAST, self._left(_SEARCH)))
        for answer in side_by_side(partial(self.worker.ask, seconds=seconds), jobs):
            if isinstance(answer, Killed):
                for number in answer.killers:
                    out.setdefault(number, set()).add(answer.mutant)
        return {number: frozenset(killed) for number, killed in out.items()}

    def _relevant(
        self, trials: Trials, only: frozenset[int] | None, *, more: bool
    ) -> dict[int, tuple[int, ...]]:
        """Mutant -> the calls to try on it, where there are any; found once for all mutants of a statement."""
        lines = statement_lines(self.worker.module.tree)
        known: dict[tuple[str, frozenset[int] | None], tuple[int, ...]] = {}
        out: dict[int, tuple[int, ...]] = {}
        for place in self.places:
            if only is None or place.id in only:
                key = place.function, lines.get(place.line)
                if key not in known:
                    known[key] = calls_to_try(
                        key[0], trials.usable, trials.seen, trials.lines, key[1], more=more
                    )
                out[place.id] = known[key]
        return {mutant: calls for mutant, calls in out.items() if calls}

    def compared(self, calls: Sequence[Call], functions: Iterable[str]) -> dict[int, tuple[Sides, ...]]:
        """Call -> the pairs of values that the comparisons in these functions compared in it."""
        if not calls:
            return {}
        job = NoteOperands(self.worker.where, tuple(calls), tuple(functions), self.options.call_seconds)
        answers = self.worker.ask(job, max(_LEAST, self._left(_SEARCH)))
        return {answer.call: answer.pairs for answer in answers if isinstance(answer, NotedOperands)}

    def choose(
        self,
        trials: Trials,
        kills: dict[int, frozenset[int]],
        covered: frozenset[Arc] = frozenset(),
        killed: frozenset[int] = frozenset(),
    ) -> list[Chosen]:
        """The calls that add something to what is covered and killed already.

        Calls of other modules of the package are taken only for what no call of the module itself adds.
        """
        arcs = {call.id: frozenset(trials.seen[call.id].arcs) for call in trials.usable}
        calls = sorted(trials.usable, key=size)
        direct = [call for call in calls if call.origin != "package"]
        chosen = choose(direct, arcs, kills, covered, killed)
        covered = covered.union(*(arcs[one.call.id] for one in chosen))
        killed = killed.union(*(kills.get(one.call.id, frozenset()) for one in chosen))
        others = [call for call in calls if call.origin == "package"]
        return [*chosen, *choose(others, arcs, kills, covered, killed)]

    def write(self, chosen: Iterable[Chosen], trials: Trials, taken: set[str]) -> list[Test]:
        """A test function for each chosen call."""
        out: list[Test] = []
        for one in chosen:
            call, seen = one.call, trials.seen[one.call.id]
            basis: Basis = call.expect.basis if call.expect and seen.meets else "code"
            quote = call.expect.quote if call.expect and seen.meets else ""
            name = render.name_for(call, seen, taken)
            lines = render.body(call, seen, self.options.framework)
            written = render.function(name, lines, render.comment(basis, quote), self.options.framework)
            out.append(Test(written, one, Case(call, seen, basis, quote, written)))
        return out

    def file(self, tests: Sequence[render.RenderedTest]) -> str:
        """The formatted test file; empty for no tests."""
        if not tests:
            return ""
        module = self.worker.module
        text = render.file(
            module.name, module.defined, tests, self.options.framework, self.class_name, self.worker.imported
        )
        return render.formatted(text, module.root)

    @property
    def class_name(self) -> str:
        """The name of the class of a unittest file."""
        return "Test" + "".join(part.capitalize() for part in self.worker.module.path.stem.split("_"))

    def judge(self, tests: Sequence[Test], existing: Sequence[Path] = ()) -> dict[str, Judged]:
        """Each test alone under pytest, then all of them five times in random order.

        Nearly always all pass: the file that comes out then is measured and scored meanwhile, and the answers are kept.
        """
        written = [test.written for test in tests]
        text = self.file(written)  # here: Python 3.11 fails now and then where two threads parse at once

        def part(ahead: bool) -> list[dict[str, Judged]]:
            if not ahead:
                return [self._judge(written, text)]
            self._score_ahead(tests, existing)
            return []

        (judged,) = side_by_side(part, [False, True])
        return judged

    def _score_ahead(self, tests: Sequence[Test], existing: Sequence[Path]) -> None:
        if tests and not existing:
            text = self.file(self.lay_out(tests).written)
            self.measure(text, ())
            self.killed(text, (), frozenset(place.id for place in self.places))

    def _judge(self, tests: Sequence[render.RenderedTest], text: str) -> dict[str, Judged]:
        if not tests:
            return {}
        prefix = f"{self.class_name}::" if self.options.framework == "unittest" else ""
        job = Judge(
            self.worker.where,
            GIVEN + TEST_FILE,
            tuple(prefix + test.name for test in tests),
            self.options.call_seconds * 3,
        )
        answers = self.worker.ask(job, 60 + 2.0 * len(tests), {TEST_FILE: text})
        return {answer.name.removeprefix(prefix): answer for answer in answers if isinstance(answer, Judged)}

    def lay_out(self, tests: Sequence[Test]) -> Layout:
        """The tests as they stand in the file: tables where cases fit, if the whole file still passes then."""
        cases = [test.case for test in tests]
        if self.options.framework != "pytest" or not cases:
            return single(cases)
        positional = {
            one.qualname: tuple(
                param.name for param in one.params if not (param.keyword_only or param.variadic)
            )
            for one in self.functions
        }
        tables = lay_out(cases, positional)
        ran = self._measured(self.file(tables.written), ())
        named = None if ran is None or ran.failed else tables.named(ran.collected)
        return named or single(cases)

    def measure(self, text: str, existing: Sequence[Path]) -> Score:
        """Coverage of the module by the given file and the existing ones."""
        ran = self._measured(text, existing)
        return ran.score if ran else Score()

    def _measured(self, text: str, existing: Sequence[Path]) -> Measured | None:
        """What a run of the files under coverage showed; the layout and the score ask for the same file, which runs once."""
        key = text, tuple(existing)
        if key not in self._runs:
            self._runs[key] = self._run_measured(text, existing)
        return self._runs[key]

    def _run_measured(self, text: str, existing: Sequence[Path]) -> Measured | None:
        files = [*(self._inside(path) for path in existing), *([GIVEN + TEST_FILE] if text else [])]
        job = Measure(self.worker.where, tuple(files), _SUITE_SECONDS)
        answers = self.worker.ask(job, _SUITE_SECONDS, {TEST_FILE: text})
        return next((answer for answer in answers if isinstance(answer, Measured)), None)

    def killed(self, text: str, existing: Sequence[Path], only: frozenset[int]) -> frozenset[int]:
        """The mutants of ``only`` that the tests kill: our text, or else the existing files."""
        if not only or not (text or existing):
            return frozenset()
        key = text, tuple(existing), only
        if key not in self._scored:
            self._scored[key] = self._run_killed(text, existing, only)
        return self._scored[key]

    def _run_killed(self, text: str, existing: Sequence[Path], only: frozenset[int]) -> frozenset[int]:
        options = self.options
        files = (GIVEN + TEST_FILE,) if text else tuple(self._inside(path) for path in existing)
        job = ScoreMutants(
            self.worker.where, files, bool(text), self.names, options.mutants, options.seed,
            tuple(sorted(only)), options.call_seconds * 3, options.kill_seconds,
        )  # fmt: skip
        seconds = min(_MAX_WAIT * options.kill_seconds + 30, max(_LEAST, self._left()))
        answers = self.worker.ask(job, seconds, {TEST_FILE: text})
        return frozenset(answer.mutant for answer in answers if isinstance(answer, Killed) and answer.killers)

    def _inside(self, path: Path) -> str:
        return f"{OWN}{path.resolve().relative_to(self.worker.module.root)}"


def is_accident(call: Call, seen: Observed, function: Function | None) -> bool:
    """Whether an error says more of the arguments than of the function: not documented, not raised on purpose.

    ``function`` is None for a call that is not one of the functions under test.

    Where every argument has the annotated type, an error that comes out of the function is what the function does.
    """
    if seen.kind != "raises" or seen.error_origin == "raise" or (call.expect is not None and seen.meets):
        return False
    if function is None or call.origin in INDIRECT:
        return True
    typed = {one.name for one in function.params if one.typed and one.type.kind not in ("any", "kind")}
    return seen.error_origin == "outside" or not all(arg.name in typed for arg in call.args)


def _names_the_sandbox(seen: Observed) -> bool:
    """Whether what would be asserted has a path that is there only while tests are written."""
    return any(map(_INSIDE.search, (seen.text, seen.output, *seen.after.values())))


def _parses(call: Call) -> bool:
    """Whether every part of a call is Python by itself, and its setup may stand in a function, as ``import *`` may not."""
    try:
        for source in (call.expression, *(arg.source for arg in call.args)):
            ast.parse(source, mode="eval")
        setup = [node for statement in call.setup for node in ast.parse(statement).body]
        if not all(isinstance(node, ast.Assign | ast.Expr) for node in setup):
            test = ast.parse("def test():\n    pass").body[0]
            assert isinstance(test, ast.FunctionDef)  # noqa: S101 - it was just written
            test.body += setup
            compile(ast.Module([test], []), "<test>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _needed(
    trials: Trials, relevant: Mapping[int, tuple[int, ...]]
) -> tuple[tuple[Call, ...], tuple[Observed, ...]]:
    """The calls that are tried, and what each did, without the lines it ran, which no mutant is compared by."""
    numbers = frozenset[int]().union(*relevant.values())
    calls = tuple(call for call in trials.usable if call.id in numbers)
    return calls, tuple(
        msgspec.structs.replace(trials.seen[call.id], arcs=(), setup_lines=()) for call in calls
    )


def _without_skipped(calls: Iterable[Call], seen: Mapping[int, Observed]) -> list[Call]:
    """The calls without the setup statements that raised."""
    return [
        call.without_setup(one.skipped) if (one := seen.get(call.id)) and one.skipped else call
        for call in calls
    ]


def _rejection_reason(seen: Observed | None) -> str:
    if seen is None:
        return "not run: the time for this step was over"
    return {"timeout": f"does not end: {seen.text}", "died": seen.text}.get(seen.kind, seen.text)
