"""The job: from a path to a report. The only module here that wires the steps together.

load -> candidates -> attempt -> suspects -> kills -> more for survivors -> choose -> (model top-up) -> write -> judge -> measure
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from kodo.client.session import Session
from kodo.jobs.execution.call_names import CallNames
from kodo.jobs.execution.calls_of_documents import calls_of_documents
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.class_hints import instance_attributes
from kodo.jobs.execution.documents import documents
from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.package import PackageSurvey
from kodo.jobs.execution.package_tables import table_rows
from kodo.jobs.execution.sample_texts import sample_texts
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.testgen import suspected_bugs
from kodo.jobs.testgen.exploration import CallExploration
from kodo.jobs.testgen.factories import Factories
from kodo.jobs.testgen.funnel import funnel, kept_tests, rejections
from kodo.jobs.testgen.merge import merge
from kodo.jobs.testgen.model import (
    Framework,
    IsolationSeen,
    Options,
    Score,
    SuspectedBug,
    TestgenError,
    TestReport,
)
from kodo.jobs.testgen.model_cases import bound, request_cases
from kodo.jobs.testgen.package_calls import PackageCalls
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.sandboxed import Worker
from kodo.jobs.testgen.select import Chosen
from kodo.jobs.testgen.survivors import SurvivorSearch
from kodo.jobs.testgen.trials import Test, Trials
from kodo.sandbox import Sandbox


@contextmanager
def _as_testgen_error() -> Iterator[None]:
    """The edge where an error of reading or running code becomes one of this job."""
    try:
        yield
    except TestgenError:
        raise
    except ExecutionError as error:
        raise TestgenError(str(error)) from error


_CONSTRUCTORS = 60
"""Ways to make an instance of each class that are tried before its methods are called."""


def generate_tests(
    code: str,
    framework: Framework = "pytest",
    *,
    session: Session | None = None,
    options: Options | None = None,
    module: str = "module",
) -> str:
    """Tests for a piece of code, as the text of a test file that imports it as ``module``.

    Every test was run in the sandbox, five times in random order. Empty where no test could be kept.

    Raises:
        TestgenError: the code does not parse or import, or ``module`` is not a name.
        IsolationRefused: there is no full sandbox on this machine.
    """
    if framework not in get_args(Framework):
        raise TestgenError(f"framework: {framework!r} is not one of {', '.join(get_args(Framework))}")
    if not module.isidentifier():
        raise TestgenError(f"module: {module!r} is not a name that can be imported")
    with tempfile.TemporaryDirectory(prefix="kodo-tests-") as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / f"{module}.py"
        path.write_text(code, encoding="utf-8")
        path.chmod(0o644)
        chosen = options or Options()
        if chosen.framework != framework:
            chosen = Options(
                **{name: getattr(chosen, name) for name in chosen.__struct_fields__ if name != "framework"},
                framework=framework,
            )
        return testgen(path, chosen, session).text


@_as_testgen_error()
def testgen(
    target: Path | str,
    options: Options | None = None,
    session: Session | None = None,
    sandbox: Sandbox | None = None,
) -> TestReport:
    """Generate tests for ``PATH`` or ``PATH::name`` (a function, a class or Class.method).

    Without a session no model is asked. Writes nothing: the report holds the text.

    Raises:
        TestgenError: the target cannot be read or imported, or holds nothing to test.
        IsolationRefused: the isolation is not full and ``allow_weak_isolation`` is not set, or kodo is root.
        KodoError: the model could not be asked (the client's errors).
    """
    started = time.monotonic()
    options = options or Options()
    path, _, name = str(target).partition("::")
    module = load(Path(path))
    functions = module.pick(name or None)
    if not functions:
        raise TestgenError(f"{path}: no public function, method or class to test")
    sandbox = sandbox or Sandbox()
    isolation = sandbox.require(allow_weak=options.allow_weak_isolation)
    names = CallNames(module)
    pipeline = Pipeline(Worker(sandbox, module, isolation, names.imported), functions, options)
    existing = _existing(module, options)
    generated = _generate(pipeline, names, session)
    judged = pipeline.judge(generated.tests, existing)
    passing = [
        test
        for test in generated.tests
        if (verdict := judged.get(test.written.name)) and verdict.passes_five_times
    ]
    layout = pipeline.lay_out(passing)
    kept = kept_tests(generated.tests, judged, layout)
    text = pipeline.file(layout.written)
    before, after, survived = _scores(pipeline, text, existing)
    merged = text
    into = Path(options.merge_into) if options.merge_into else None
    if text and into is not None and into.exists():
        merged = merge(into.read_text(encoding="utf-8"), text)
    return TestReport(
        target=str(target),
        module=module.name,
        framework=options.framework,
        functions=tuple(one.qualname for one in functions),
        isolation=IsolationSeen(isolation.level, isolation.mechanism, isolation.blocked, isolation.open),
        funnel=funnel(generated.trials, generated.tests, judged, len(kept), len(generated.suspects)),
        kept=kept,
        rejected=rejections(generated.trials, generated.chosen, generated.tests, judged),
        suspects=generated.suspects,
        before=before,
        after=after,
        survived=tuple(place for place in pipeline.places if place.id in survived),
        text=merged,
        model=generated.model,
        seed=options.seed,
        seconds=time.monotonic() - started,
        notes=generated.notes,
        left_out=tuple(pipeline.left_out),
    )


@dataclass(frozen=True, slots=True)
class _Generated:
    """The tests as written, before they are judged, and how they came about."""

    trials: tuple[Trials, ...]
    chosen: tuple[Chosen, ...]
    tests: tuple[Test, ...]
    suspects: tuple[SuspectedBug, ...]
    model: str
    notes: tuple[str, ...]


def _generate(pipeline: Pipeline, names: CallNames, session: Session | None) -> _Generated:
    """Candidates without the model, the choice among them, and then the model's top-up for what is left."""
    module, seed = pipeline.worker.module, pipeline.options.seed
    survey = PackageSurvey(module)
    package = PackageCalls(survey, names, seed)
    attributes = instance_attributes((module, *survey.others))
    texts = documents(module)
    generator = CandidateGenerator(
        module,
        seed,
        instances=package.instances(),
        deep=True,
        attributes=attributes,
        samples=sample_texts(module, texts),
        tables=table_rows(module),
    )
    factories = Factories(module, package, generator)
    working = pipeline.constructed(generator.constructors(_CONSTRUCTORS))
    shown = calls_of_documents(texts, names.resolve)
    generator.learn(working, factories.working(pipeline.observe, shown))
    trials = CallExploration(pipeline, generator, package, shown).run()
    found = suspected_bugs.find(pipeline, trials)
    trials = trials.without(suspected_bugs.find_pinned(pipeline, trials))
    trials, kills = SurvivorSearch(pipeline, generator).run(trials, pipeline.kills(trials))
    chosen = pipeline.choose(trials, kills)
    taken: set[str] = set()
    tests = pipeline.write(chosen, trials, taken)
    if session is None:
        return _Generated((trials,), tuple(chosen), tuple(tests), found, "none", ())
    more = request_cases(pipeline, session, generator, chosen, trials)
    new = suspected_bugs.find(pipeline, more.trials)
    known = {(one.function, one.quote) for one in found}
    extra = pipeline.write(more.chosen, more.trials, taken)
    return _Generated(
        (trials, more.trials),
        (*chosen, *more.chosen),
        (*tests, *extra),
        (*found, *(one for one in new if (one.function, one.quote) not in known)),
        more.model,
        more.notes,
    )


def _existing(module: TargetModule, options: Options) -> tuple[Path, ...]:
    """The tests the module has already: the file named in the options, else those named for the module.

    Raises:
        TestgenError: the file named is not there, or outside the project.
    """
    if options.existing is not None:
        path = Path(options.existing).resolve()
        if not path.is_file() or not path.is_relative_to(module.root):
            raise TestgenError(f"existing: {options.existing} is not a file of the project {module.root}")
        return (path,)
    names = (f"test_{module.path.stem}.py", f"{module.path.stem}_test.py")
    folders = [module.path.parent, module.root / "tests", module.root / "test"]
    found = [folder / name for folder in folders for name in names if (folder / name).is_file()]
    if not found and (module.root / "tests").is_dir():
        found = [path for name in names for path in sorted((module.root / "tests").rglob(name))][:5]
    return tuple(dict.fromkeys(found))


def _scores(pipeline: Pipeline, text: str, existing: tuple[Path, ...]) -> tuple[Score, Score, frozenset[int]]:
    """Coverage and mutants before and after, measured on the files themselves; and the mutants that survived."""
    every = frozenset(place.id for place in pipeline.places)
    killed_before = pipeline.killed("", existing, every) if existing else frozenset()
    killed_after = killed_before | pipeline.killed(text, (), every - killed_before)
    after = pipeline.measure(text, existing)
    before = pipeline.measure("", existing) if existing else Score(after.lines, 0, after.branches, 0)

    def score(one: Score, killed: frozenset[int]) -> Score:
        return Score(
            one.lines, one.lines_covered, one.branches, one.branches_covered, len(every), len(killed)
        )

    return score(before, killed_before), score(after, killed_after), every - killed_after


@_as_testgen_error()
def default_file(target: str) -> Path:
    """Where the tests of a target belong: tests/test_NAME.py of a project that has or wants it, else beside the module.

    Raises:
        TestgenError: the target cannot be read.
    """
    module = load(Path(target.partition("::")[0]))
    found = _existing(module, Options())
    if found:
        return found[0]
    tests = module.root / "tests"
    folder = tests if tests.is_dir() or module.root != module.import_root else module.path.parent
    return folder / f"test_{module.path.stem}.py"


@_as_testgen_error()
def project_of(target: str) -> Path:
    """The folder of the project that a target is in, whose files a run sees.

    Raises:
        TestgenError: the target cannot be read.
    """
    return load(Path(target.partition("::")[0])).root


@_as_testgen_error()
def worst_case(target: str, options: Options) -> tuple[int, int]:
    """The most requests, and tokens in and out, that a run with the model can take.

    Raises:
        TestgenError: the target cannot be read.
    """
    path, _, name = target.partition("::")
    return bound(load(Path(path)).pick(name or None), options)
