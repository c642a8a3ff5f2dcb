"""Three jobs over test files: judge each test alone, measure coverage, score against mutants."""

import ast
import gc
import importlib
import io
import os
import shutil
import time
import types
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from kodo.jobs.execution.worker.fork import Send, cpu_seconds, forked
from kodo.jobs.execution.worker.jobs import OWN
from kodo.jobs.execution.worker.load import TooLong, locate, project, time_limit
from kodo.jobs.testgen.model import Score
from kodo.jobs.testgen.mutate import Mutant, mutants
from kodo.jobs.testgen.worker import plain
from kodo.jobs.testgen.worker.jobs import Judge, Judged, Killed, Measure, Measured, ScoreMutants
from kodo.jobs.testgen.worker.mutant_code import MutantCode

_PLAIN = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--assert=plain", "--rootdir=.")
_ROUNDS = 5
_PLUGIN_SECONDS = 20.0
_STALL_SECONDS = 5.0


class _Listener:
    """A pytest plugin that keeps each test's outcome, by its name without the file."""

    def __init__(self) -> None:
        self.collected: list[str] = []
        self.failed: dict[str, str] = {}
        self.passed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.collected = [item.nodeid.split("::", 1)[1] for item in session.items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.split("::", 1)[1]
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.failed[name] = str(getattr(crash, "message", report.longrepr)).splitlines()[0][:200]
        elif report.when == "call" and report.passed:
            self.passed.add(name)


class _Heard(msgspec.Struct):
    """What a listener heard, as it comes out of a child."""

    collected: list[str]
    passed: list[str]
    failed: dict[str, str]


def _pytest(arguments: list[str]) -> _Listener:
    listener = _Listener()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        pytest.main(arguments, plugins=[listener])
    return listener


def run_judge(job: Judge, module: types.ModuleType) -> Iterator[Judged]:
    """Each test alone in a child, then the whole file five times under pytest, each time in another order."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    importlib.import_module("pytest_randomly")
    code = compile(locate(job.file).read_text(encoding="utf-8"), job.file, "exec")
    alone = {name: _run_alone(code, name, job.seconds) for name in job.names}
    failing = [name for name, (reason, _) in alone.items() if reason]
    collected: set[str] = set()
    unstable: dict[str, str] = {}
    for round_number in range(_ROUNDS):
        order = ["-p", "pytest_randomly", f"--randomly-seed={round_number + 1}"]
        skip = [f"--deselect={locate(job.file).name}::{name}" for name in failing]
        heard = _in_child(job.file, [*_PLAIN, *order, *skip], job.seconds * 3 + 30)
        collected.update(heard.collected)
        for name in (name for name in job.names if name not in failing and name not in heard.passed):
            unstable.setdefault(name, heard.failed.get(name, "the file did not run to its end"))
    for name, (reason, seconds) in alone.items():
        if reason:
            yield Judged(name, True, False, False, reason, seconds)
        elif name not in collected:
            yield Judged(name, False, True, False, "pytest does not collect it", seconds)
        elif name in unstable:
            yield Judged(name, True, True, False, f"fails in another order: {unstable[name]}", seconds)
        else:
            yield Judged(name, True, True, True, "", seconds)


def _in_child(file: str, arguments: list[str], silence: float) -> _Heard:
    def work(send: Send) -> None:
        name = str(shutil.copy(locate(file), "."))
        heard = _pytest([*arguments, name])
        send(msgspec.json.encode(_Heard(heard.collected, sorted(heard.passed), heard.failed)))

    messages, _ = forked(work, silence)
    return msgspec.json.decode(messages[0], type=_Heard) if messages else _Heard([], [], {})


def _run_alone(code: types.CodeType, name: str, seconds: float) -> tuple[str, float]:
    """Why a test fails by itself in a fresh child, empty where it passes; and the seconds it takes."""

    def work(send: Send) -> None:
        space: dict[str, object] = {"__name__": "kodo_judged"}
        try:
            exec(code, space)  # noqa: S102 - in the sandbox; running it is the point
            for test in plain.tests(space, name):
                test()
        except BaseException as error:  # noqa: BLE001 - a test may fail in any way
            lines = f"{type(error).__name__}: {error}".splitlines()
            send(lines[0][:200].encode())
        else:
            send(b"")

    started = time.perf_counter()
    messages, _ = forked(work, seconds + _STALL_SECONDS)
    reason = messages[0].decode() if messages else "not done in time, or the interpreter died"
    return reason, time.perf_counter() - started


def run_measure(job: Measure) -> Iterator[Measured]:
    """Line and branch coverage of the target; the module is imported anew under measurement."""
    import coverage

    path = str(project() / job.where.path)

    def work(send: Send) -> None:
        measured = coverage.Coverage(branch=True, include=[path], data_file=None, config_file=False)
        measured.start()
        files = _copied(job.files)
        heard = _pytest([*_arguments(files), *files]) if files else _Listener()
        measured.stop()
        try:
            measured.json_report(outfile="coverage.json")
            totals = msgspec.json.decode(Path("coverage.json").read_bytes())["totals"]
        except coverage.exceptions.NoDataError:
            return
        send(
            msgspec.json.encode(
                Measured(
                    Score(
                        totals["num_statements"],
                        totals["covered_lines"],
                        totals["num_branches"],
                        totals["covered_branches"],
                    ),
                    tuple(heard.collected),
                    tuple(heard.failed),
                )
            )
        )

    messages, _ = forked(work, job.seconds)
    if messages:
        yield msgspec.json.decode(messages[0], type=Measured)


def _copied(files: tuple[str, ...]) -> list[str]:
    """Files that are not in the project stand in the working folder; those of the project where they are."""
    out: list[str] = []
    for file in files:
        path = locate(file)
        out.append(str(path) if file.startswith(OWN) else str(shutil.copy(path, ".")))
    return out


def _arguments(files: list[str]) -> list[str]:
    """The project's own tests run with the plugins that are installed, generated ones without any."""
    if not any(Path(file).is_absolute() for file in files):
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        return [*_PLAIN, "-x"]
    return [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        "--import-mode=importlib",
        "-p",
        "no:randomly",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",  # of the plugins that were imported already
    ]


def _import_plugins() -> None:
    """Import the plugins once here, where each child would import them anew: that may take longer than its tests."""
    for point in entry_points(group="pytest11"):
        with suppress(BaseException), time_limit(_PLUGIN_SECONDS):  # pytest itself will say why
            point.load()
    gc.freeze()  # they live to the end: no child's garbage collection has to look at them


def _import_named(texts: list[str]) -> None:
    """Import once here what the files import, where each child would import it anew."""
    for node in (node for text in texts for node in ast.parse(text).body):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            with suppress(BaseException), time_limit(_PLUGIN_SECONDS):  # the file itself will say why
                importlib.import_module(name)


def run_score(job: ScoreMutants, changed: MutantCode) -> Iterator[Killed]:
    """Run the files against each mutant; -1 in ``killers`` says that they failed, so it is killed."""
    started = cpu_seconds()
    wanted = frozenset(job.only)
    texts = [locate(file).read_text(encoding="utf-8") for file in job.files] if job.plain else []
    codes = [compile(text, file, "exec") for text, file in zip(texts, job.files, strict=False)]
    with changed.importing():
        _import_named(texts)
    patience = _patience(codes)
    if not job.plain and any(file.startswith(OWN) for file in job.files):
        _import_plugins()

    def passes(_: types.ModuleType) -> bool:
        if job.plain:
            return all(_plain_passes(code, patience) for code in codes)
        files = _copied(job.files)
        return not _pytest([*_arguments(files), *files]).failed

    changed.prepare(passes)
    for mutant in mutants(job.where.source, frozenset(job.functions), job.limit, job.seed):
        if mutant.place.id not in wanted:
            continue
        if cpu_seconds() - started > job.budget:
            return

        def work(send: Send, mutant: Mutant = mutant) -> None:
            module = changed.put(mutant)
            send(b"survived" if module is not None and passes(module) else b"killed")

        messages, end = forked(work, job.seconds * 2 + _STALL_SECONDS)
        killed = end == "silent" or (messages == [b"killed"]) or not messages
        yield Killed(mutant.place.id, (-1,) if killed else ())


def _patience(codes: list[types.CodeType]) -> float:
    """Seconds for one run of the plain files: many times what they take on the real module, measured here."""
    started = time.perf_counter()
    forked(lambda send: send(b"" if all(_plain_passes(code, 30.0) for code in codes) else b"x"), 40.0)
    return max(1.0, 10 * (time.perf_counter() - started))


def _plain_passes(code: types.CodeType, seconds: float) -> bool:
    """Whether every test of a generated file passes; stops at the first that fails."""
    space: dict[str, object] = {"__name__": "kodo_scored"}
    try:
        with time_limit(seconds):
            exec(code, space)  # noqa: S102 - in the sandbox; running it is the point
            for test in plain.tests(space):
                test()
    except (TooLong, Exception):  # noqa: BLE001 - any failure is a failure
        return False
    return True
