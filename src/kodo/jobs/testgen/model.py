"""The values of test generation: the options, the tests that were kept, and what became of the rest.

Knows neither the sandbox nor the model. Calls and observations are ``kodo.jobs.execution.model``'s.
"""

from typing import Literal

import msgspec

from kodo.jobs.execution.model import Basis, ExecutionError, Origin

Framework = Literal["pytest", "unittest"]


class MutantPlace(msgspec.Struct, frozen=True):
    """One mutant: its number, the function and line it changes, and the change in words."""

    id: int
    function: str
    line: int
    change: str


class Rejection(msgspec.Struct, frozen=True):
    """How many candidates of a function were rejected for one reason, with one as an example."""

    function: str
    reason: str
    count: int
    example: str


class KeptTest(msgspec.Struct, frozen=True):
    """One test of the file: its name, why it may be believed, and what it added to the suite."""

    name: str
    function: str
    origin: Origin
    basis: Basis
    quote: str
    source: str
    new_arcs: int
    kills: tuple[int, ...]
    seconds: float = 0.0

    @property
    def characterisation(self) -> bool:
        """Whether the expected value was read off the code."""
        return self.basis == "code"


class SuspectedBug(msgspec.Struct, frozen=True):
    """A documented fact the code does not hold: this may be a bug. ``source`` is a test that shows it."""

    function: str
    line: int
    basis: Basis
    quote: str
    call: str
    expected: str
    got: str
    source: str
    origin: Origin
    shrunk_from: str = ""


class Funnel(msgspec.Struct, frozen=True):
    """How many candidates were left after each step."""

    candidates: int = 0
    from_model: int = 0
    parses: int = 0
    runs: int = 0
    deterministic: int = 0
    adds: int = 0
    collects: int = 0
    passes_alone: int = 0
    passes_five_times: int = 0
    kept: int = 0
    suspects: int = 0


class Score(msgspec.Struct, frozen=True):
    """Coverage of the target's file and mutants killed; counts, so that scores can be added up."""

    lines: int = 0
    lines_covered: int = 0
    branches: int = 0
    branches_covered: int = 0
    mutants: int = 0
    mutants_killed: int = 0

    @property
    def line_rate(self) -> float:
        """Lines covered, 0 to 1; 1 where there is nothing to cover."""
        return self.lines_covered / self.lines if self.lines else 1.0

    @property
    def branch_rate(self) -> float:
        """Branches covered, 0 to 1; 1 where there is nothing to cover."""
        return self.branches_covered / self.branches if self.branches else 1.0

    @property
    def mutation_score(self) -> float:
        """Mutants killed, 0 to 1; 1 where there is nothing to mutate."""
        return self.mutants_killed / self.mutants if self.mutants else 1.0


class IsolationSeen(msgspec.Struct, frozen=True):
    """The isolation the candidates ran in, stored with the result."""

    level: str
    mechanism: str
    held: tuple[str, ...]
    open: tuple[str, ...]


class TestReport(msgspec.Struct, frozen=True):
    """The result of one job. ``text`` is the whole test file, empty where nothing was kept."""

    __test__ = False  # the name starts with Test; pytest is not to collect it

    target: str
    module: str
    framework: Framework
    functions: tuple[str, ...]
    isolation: IsolationSeen
    funnel: Funnel
    kept: tuple[KeptTest, ...]
    rejected: tuple[Rejection, ...]
    suspects: tuple[SuspectedBug, ...]
    before: Score
    after: Score
    survived: tuple[MutantPlace, ...]
    text: str
    model: str
    seed: int
    seconds: float
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """The steps of the search that there was no time for."""


class Options(msgspec.Struct, frozen=True):
    """How to generate. Seconds are CPU time, and of wall time there are a few times as many.

    ``seconds`` is the time for the job: no further search for calls is begun after half of it, so that the tests that were
    found are written, judged and measured; what was not searched is said in the report. ``samples`` is N of "best of N" for the model; ``inputs`` the number of model-free calls a function (None: 240, and fewer where there are many functions), to which a
    third is added in each of ``rounds`` for functions with lines that no call has reached.
    """

    framework: Framework = "pytest"
    inputs: int | None = None
    rounds: int = 3
    samples: int = 8
    repairs: int = 2
    seed: int = 0
    call_seconds: float = 1.0
    kill_seconds: float = 30.0
    seconds: float = 120.0
    mutants: int = 300
    existing: str | None = None
    merge_into: str | None = None
    model_size: Literal["small", "capable"] = "small"
    allow_weak_isolation: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("inputs", "call_seconds", "kill_seconds", "seconds"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        for name in ("samples", "repairs", "mutants", "rounds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more")


class TestgenError(ExecutionError):
    """The job could not be done; the message is one line for the user."""

    __test__ = False
