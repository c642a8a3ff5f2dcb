"""The jobs the host gives to the worker, and the answers, as they cross the sandbox's boundary."""

import msgspec

from kodo.jobs.execution.model import Call, Expectation, Observed
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation, Observation, Observe
from kodo.jobs.execution.worker.operands import Sides
from kodo.jobs.testgen.model import Score


class Kill(msgspec.Struct, frozen=True, tag=True):
    """For each mutant, the calls whose observation changes. ``relevant`` maps mutant -> call numbers, in order."""

    where: ModuleLocation
    calls: tuple[Call, ...]
    baseline: tuple[Observed, ...]
    functions: tuple[str, ...]
    limit: int
    seed: int
    relevant: dict[int, tuple[int, ...]]
    seconds: float
    budget: float


class Shrink(msgspec.Struct, frozen=True, tag=True):
    """Make the arguments of failing calls smaller while they fail in the same way."""

    where: ModuleLocation
    calls: tuple[Call, ...]
    broken: tuple[Expectation, ...]
    seconds: float


class Judge(msgspec.Struct, frozen=True, tag=True):
    """Run each test of a file alone, and the file five times in random order."""

    where: ModuleLocation
    file: str
    names: tuple[str, ...]
    seconds: float


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Coverage of the target under test files, given as paths."""

    where: ModuleLocation
    files: tuple[str, ...]
    seconds: float


class ScoreMutants(msgspec.Struct, frozen=True, tag=True):
    """Which of the mutants ``only`` a test file kills. ``plain`` files hold tests that need no runner."""

    where: ModuleLocation
    files: tuple[str, ...]
    plain: bool
    functions: tuple[str, ...]
    limit: int
    seed: int
    only: tuple[int, ...]
    seconds: float
    budget: float


class NoteOperands(msgspec.Struct, frozen=True, tag=True):
    """What the comparisons in ``functions`` compare in each call."""

    where: ModuleLocation
    calls: tuple[Call, ...]
    functions: tuple[str, ...]
    seconds: float


Job = Observe | Kill | Shrink | Judge | Measure | ScoreMutants | NoteOperands


class Killed(msgspec.Struct, frozen=True, tag=True):
    """One mutant and the numbers of the calls (or -1 for a file) that killed it."""

    mutant: int
    killers: tuple[int, ...]


class Shrunk(msgspec.Struct, frozen=True, tag=True):
    """The smaller call and what it did."""

    call: Call
    observed: Observed


class Judged(msgspec.Struct, frozen=True, tag=True):
    """One test's verdict; ``reason`` is empty for a test that passed everything."""

    name: str
    collects: bool
    passes_alone: bool
    passes_five_times: bool
    reason: str
    seconds: float


class Measured(msgspec.Struct, frozen=True, tag=True):
    """Coverage, without the mutation score; the tests collected, in order, and those that failed."""

    score: Score
    collected: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class NotedOperands(msgspec.Struct, frozen=True, tag=True):
    """The pairs of values that one call compared."""

    call: int
    pairs: tuple[Sides, ...]


class Spent(msgspec.Struct, frozen=True, tag=True):
    """The CPU seconds that a job took, of the worker and its children; the last answer."""

    seconds: float


Answer = Spent | NotedOperands | Killed | Shrunk | Judged | Measured | Failed | Observation
