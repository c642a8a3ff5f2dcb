"""Differential execution: run what a change touched in both versions on the same inputs, and say what differs.

Knows the order of the steps and the budget. What a difference means is judged in ``behaviour_remarks``; the running
itself is ``kodo.jobs.execution``'s, in the sandbox.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from kodo.jobs.execution.attribute_names import one_sided_attributes
from kodo.jobs.execution.calls_of_values import calls_of_value
from kodo.jobs.execution.changed import (
    Affected,
    affected_functions,
    changed_values,
    read_elsewhere,
)
from kodo.jobs.execution.model import Call, ExecutionError
from kodo.jobs.execution.sandboxed import GRACE, run_worker, site_packages
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer, Exhausted, Finished, Group
from kodo.jobs.execution.worker.handover import Outgoing
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.report.model import Executed
from kodo.jobs.review.behaviour_inputs import input_groups, what_it_is_about
from kodo.jobs.review.behaviour_remarks import remarks
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.inputs_of_tests import instances, is_alike, set_by_tests, test_folders, written_calls
from kodo.jobs.review.javascript import behaviour as javascript
from kodo.jobs.review.reading import ReviewInput
from kodo.jobs.review.recording import ChangedModule, Recording, recording
from kodo.jobs.review.runnable import can_run
from kodo.jobs.review.snippets import GROUP, Proposer
from kodo.jobs.review.touched import touched_in, touched_words
from kodo.jobs.review.trees import TreeError, Trees, trees
from kodo.sandbox import Sandbox, SandboxError

S = TypeVar("S")
T = TypeVar("T")
CALL_SECONDS = 1.0
_FOR_INPUTS, _FOR_RUNNING = 0.7, 0.5
"""The parts of a module's seconds that must be left when its inputs are made, and when the tests were read."""
_WRITTEN_FIRST, _WRITTEN_TOGETHER = 10, 25
"""The calls that are read out of tests before any inputs are made, and after those of each function."""
_FOR_READING = 0.5
"""The part of the budget after which no further changed module is read; the others are said."""
_FOR_RECORDING = 0.22, 0.5
"""The parts of the first module's seconds in which tests are run for their calls, while inputs are made and compared; the second one
where they had hardly begun by then.
"""
_LEAST_SECONDS = 6.0
"""What one file gets at least of what is left: with less, little more than the start of its workers could be done."""
_MANY_CALLS = 100
"""The calls of a function that show no difference from which on it seems to do the same as before."""
_NOT_INHERITED = "its inputs cannot be made: getattr raises AttributeError"
_REST, _WRITTEN = "rest", "written"
"""The files that the calls of functions and those that are written in tests are handed over in."""
_WORKER = "kodo.jobs.execution.worker"
_WAITED_SECONDS = 0.05


@dataclass
class Behaviour:
    """Candidates by path, and what was run."""

    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The calls of each function that ran in both versions, by the path of its file and its name."""
    inputs: int = 0
    recorded: int = 0
    differences: int = 0
    unstable: int = 0
    not_run: list[str] = field(default_factory=list)
    ran_out: bool = False
    """Whether something was left because the budget was used up."""
    seconds: float = 0.0

    def seem_unchanged(self, path: str) -> set[str]:
        """The functions of a file, where nothing in it differs, that many calls were made of in both versions."""
        if self.candidates.get(path):
            return set()
        return {name for (where, name), count in self.tried.items() if where == path and count >= _MANY_CALLS}

    def summary(self, budget: float) -> Executed:
        """The figures for the report."""
        return Executed(
            functions=tuple(dict.fromkeys(self.functions)),
            inputs=self.inputs,
            recorded=self.recorded,
            differences=self.differences,
            unstable=self.unstable,
            not_run=tuple(_by_reason(self.not_run)),
            seconds=round(self.seconds, 1),
            budget=budget,
        )


def _by_reason(texts: Iterable[str]) -> Iterator[str]:
    """What could not be run, the files for which one reason holds together: a budget that is used up names many."""
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        path, joined, reason = text.partition(": ")
        is_of_file = bool(joined) and " " not in path
        paths = found.setdefault(reason if is_of_file else text, {})
        if is_of_file:
            paths[path] = None
    return (f"{', '.join(paths)}: {reason}" if paths else reason for reason, paths in found.items())


def compare_behaviour(
    material: ReviewInput, files: Sequence[ChangedFile], budget: float, proposer: Proposer | None = None
) -> Behaviour:
    """Run the changed functions of ``files`` in both versions for at most ``budget`` seconds.

    ``proposer`` adds a model's snippets; the time it takes to answer is not part of the budget.

    Never raises for what it is given: what cannot be run is in ``not_run`` with the reason.
    """
    started = time.monotonic()
    found = Behaviour()
    changed = [file for file in files if can_run(file)]
    scripts = [file for file in files if javascript.can_run(file)]
    if not changed and not scripts:
        return found
    try:
        with ExitStack() as stack:
            packages = site_packages(material.root) if material.root is not None else ()
            sandbox = Sandbox(readable=packages)
            with ThreadPoolExecutor(1) as thread:
                proof = thread.submit(sandbox.require)  # while the project is written
                made = stack.enter_context(trees(material))
                proof.result()
            reading = list(_read_modules(changed, made, found, started + _FOR_READING * budget))
            modules = [one for one in reading if one.affected or one.values or one.elsewhere or proposer]
            one_sided = {
                name for one in reading for name in one_sided_attributes(one.before.tree, one.after.tree)
            }
            comparison = _Comparison(made, packages, sandbox, files, found, tuple(sorted(one_sided)))
            end = _share(started + budget, len(modules) + len(scripts))
            with comparison.tests(modules, end) as tests:
                for at, module in enumerate(modules):
                    asked = time.monotonic()
                    snippets = tuple(proposer.propose(module.file, module.after.name)) if proposer else ()
                    started += time.monotonic() - asked
                    end = _share(started + budget, len(modules) - at + len(scripts))
                    comparison.run(module, end, snippets, tests)
            for at, file in enumerate(scripts):
                _compare_script(file, made, material.root, _share(started + budget, len(scripts) - at), found)
    except (SandboxError, TreeError) as error:
        found.not_run.append(str(error))
    found.seconds = time.monotonic() - started
    return found


def _share(end: float, count: int) -> float:
    """When the first of ``count`` files that share the time until ``end`` has had its part."""
    left = end - time.monotonic()
    return end - left + min(left, max(left / max(count, 1), _LEAST_SECONDS))


def _compare_script(file: ChangedFile, made: Trees, root: Path | None, end: float, found: Behaviour) -> None:
    """Add what one JavaScript or TypeScript module's functions do to ``found``."""
    if not _has_time(file, end, found):
        return
    ran = javascript.compare(file, made, root, end)
    found.candidates[file.path] = ran.candidates
    found.functions += ran.functions
    found.inputs += ran.inputs
    found.differences += ran.differences
    found.unstable += ran.unstable
    found.not_run += ran.not_run


def _has_time(file: ChangedFile, end: float, found: Behaviour) -> bool:
    """Whether a second is left, so that it is worth to begin; where there is none, ``found`` says so."""
    if end - time.monotonic() >= 1.0:
        return True
    found.not_run.append(f"{file.path}: the budget of seconds was used up")
    found.ran_out = True
    return False


@dataclass(frozen=True, slots=True)
class _Module:
    """A changed module in both versions, and the functions and values that may be others by that; the values ``elsewhere`` are read by
    no function of it.
    """

    file: ChangedFile
    before: TargetModule
    after: TargetModule
    affected: Mapping[str, Affected]
    values: Sequence[str]
    elsewhere: Sequence[str] = ()

    @property
    def in_both(self) -> list[str]:
        """The functions to run that both versions have."""
        both = self.before.every_function.keys() & self.after.every_function.keys()
        return [name for name in self.affected if name in both]


def _read_modules(
    files: Sequence[ChangedFile], made: Trees, found: Behaviour, end: float
) -> Iterator[_Module]:
    """The changed modules, none after the first one begun after the monotonic time ``end``; ``found`` says which are not read, and
    why.
    """
    for at, file in enumerate(files):
        if at and time.monotonic() > end:
            found.not_run.append(
                f"{file.path}: not read, since reading the others took its part of the budget"
            )
            found.ran_out = True
            continue
        try:
            before, after = load(made.before / (file.old_path or file.path)), load(made.after / file.path)
        except ExecutionError as error:
            found.not_run.append(str(error).replace(str(made.folder) + "/", ""))
            continue
        affected = {one.function.qualname: one for one in affected_functions(before, after)}
        elsewhere = read_elsewhere(before, after)
        yield _Module(file, before, after, affected, changed_values(before, after), elsewhere)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What the comparison of every module of one change stands on."""

    made: Trees
    packages: Sequence[Path]
    sandbox: Sandbox
    files: Sequence[ChangedFile]
    found: Behaviour
    one_sided: tuple[str, ...] = ()
    """Attributes that the classes of only one version have."""
    said: set[tuple[str, ...]] = field(default_factory=set)
    """The calls that remarks on the modules so far show, with both outcomes: one change of two modules is said once."""

    @contextmanager
    def tests(self, modules: Sequence[_Module], end: float) -> Iterator[Recording]:
        """A run of tests for the calls they make, beside the block that compares the modules, the first of them until ``end``."""
        start = time.monotonic()
        until, longest = (start + part * (end - start) for part in _FOR_RECORDING)
        watched = [self._watched(module) for module in modules]
        with recording(self.made, self.sandbox, watched, until, longest) as record:
            yield record
        self.found.recorded += record.count
        if record.error:
            self.found.not_run.append(record.error)

    def run(self, module: _Module, end: float, snippets: tuple[Call, ...], tests: Recording) -> None:
        """Add what one module's functions do to what was found, until the monotonic time ``end``.

        Both versions are imported while calls are made up; those are compared first, then those out of ``tests`` as they come.
        """
        file, found = module.file, self.found
        if not _has_time(file, end, found):
            return
        room = end - time.monotonic()
        with (
            TemporaryDirectory(prefix="exchange-", dir=self.made.folder) as folder,
            ThreadPoolExecutor(1) as threads,
        ):
            exchange = Path(folder)
            exchange.chmod(0o755)
            rest, written = (f"{exchange.name}/{name}" for name in (_REST, _WRITTEN))
            groups = Outgoing[Group](exchange / _REST)
            outgoing = Outgoing[Call](
                exchange / _WRITTEN, lambda call: is_alike(call, self.files, module.after.name)
            )
            recorded = tests.names.get(file.path)
            later = (written,) if recorded is None else (written, recorded)
            job = self._job(module, end, snippets, rest, later)
            comparing: Future[list[CompareAnswer]] = threads.submit(
                run_worker, self.sandbox, self.made.folder, _WORKER, job, CompareAnswer,
                seconds=end - time.monotonic(), grace=GRACE,
            )  # fmt: skip
            tests.begin()
            names = [name for name, _ in job.groups]
            left, without_calls = dict.fromkeys(module.in_both), []
            words = touched_words(file, module.before, module.after)
            calls = _until(
                end - _FOR_RUNNING * room,
                written_calls(self.made, file, module.affected, module.after, words),
            )
            for call in itertools.islice(calls, _WRITTEN_FIRST):
                outgoing.add(call)
            for group in _while(comparing, _until(end - _FOR_INPUTS * room, self._inputs(module))):
                if not _has_time(file, end, found):
                    left.clear()
                    break
                left.pop(group[0], None)
                if group[1]:
                    groups.add(group)
                    names.append(group[0])
                elif group[0] in module.in_both:
                    without_calls.append(group[0])
                for call in itertools.islice(calls, _WRITTEN_TOGETHER):
                    outgoing.add(call)
                tests.hand_over()
            names += left
            was_cut = not comparing.done()
            groups.end()
            for call in _while(comparing, calls):
                outgoing.add(call)
                tests.hand_over()
            outgoing.end()
            while not comparing.done():
                tests.hand_over(_WAITED_SECONDS)
            answers: Sequence[CompareAnswer] = ()
            try:
                answers = comparing.result()
            except ExecutionError as error:
                found.not_run.append(f"{file.path}: {error}")
                return
        compared = [answer for answer in answers if isinstance(answer, Compared)]
        _count(file, compared, found)
        unread = left if was_cut or not _ended_by_itself(answers) else ()
        if without_calls:
            found.not_run.append(f"{file.path}: no call could be made up for {', '.join(without_calls)}")
        if out := list(dict.fromkeys((*_without_answer(answers, names), *unread))):
            found.not_run.append(f"{file.path}: the budget ran out before {', '.join(out)}")
            found.ran_out = True
        found.candidates[file.path] = remarks(
            file,
            module.after,
            module.affected,
            compared,
            self.files,
            {*module.values, *module.elsewhere},
            self.said,
        )

    def _inputs(self, module: _Module) -> Iterator[Group]:
        """Each function with the calls to make, the changed ones first."""
        known = instances(self.made, module.file, module.after)
        given = set_by_tests(self.made, module.file, module.affected)
        return input_groups(module.before, module.after, module.affected.values(), module.file, known, given)

    def _job(
        self, module: _Module, end: float, snippets: tuple[Call, ...], rest: str, later: Sequence[str]
    ) -> Compare:
        roots = dict.fromkeys(root for one in module.affected.values() for root in one.roots)
        return Compare(
            *self._locations(module),
            ((GROUP, snippets),) if snippets else (),
            CALL_SECONDS,
            end,
            roots=(*((GROUP,) if snippets else ()), *roots),
            about=what_it_is_about(module.file, (module.before, module.after), module.affected, roots),
            values=tuple((name, calls_of_value(name)) for name in module.values),
            elsewhere=tuple(module.elsewhere),
            later=tuple(later),
            rest=rest,
            callers=tuple(name for name in module.affected if name not in roots),
        )

    def _locations(self, module: _Module) -> tuple[ModuleLocation, ModuleLocation]:
        made = self.made
        return (
            _location(module.before, made.before, self.packages, self.one_sided),
            _location(module.after, made.after, self.packages, self.one_sided),
        )

    def _watched(self, module: _Module) -> ChangedModule:
        """What the run of the tests looks at of a module; calls that stand on a changed test are of no use."""
        rows = touched_in(module.file, module.before, module.after, module.affected).values()
        touched = {line for lines, _ in rows for line in lines}
        return ChangedModule(
            module.file,
            self._locations(module)[0],
            module.affected,
            tuple(sorted(touched)),
            lambda call: is_alike(call, self.files, module.after.name),
        )


def _while(running: Future[T], items: Iterable[S]) -> Iterator[S]:
    """The items as long as something else runs."""
    return itertools.takewhile(lambda _: not running.done(), items)


def _count(file: ChangedFile, compared: Sequence[Compared], found: Behaviour) -> None:
    """Add up what was run of one module."""
    for one in compared:
        if one.tried:
            found.functions.append(f"{file.path}: {one.function}")
        elif one.unusable and one.unusable != _NOT_INHERITED:
            found.not_run.append(f"{file.path}: {one.function}: {one.unusable}")
        found.inputs += one.tried
        found.tried[file.path, one.function] += one.tried
        found.unstable += one.unstable
        found.differences += len(one.differences)


def _ended_by_itself(answers: Iterable[CompareAnswer]) -> bool:
    """Whether a comparison ended before all was read since something is shown, or since its calls did nothing new."""
    return any(
        bool(one.differences) if isinstance(one, Compared) else isinstance(one, Finished) and one.is_dry
        for one in answers
    )


def _without_answer(answers: Sequence[CompareAnswer], functions: Sequence[str]) -> Iterator[str]:
    """The functions that the worker had no time for, by what it says or because it was ended before."""
    for answer in answers:
        if isinstance(answer, Exhausted):
            yield from answer.functions
    if not any(isinstance(answer, Finished) for answer in answers):
        answered = {answer.function for answer in answers if isinstance(answer, Compared)}
        yield from (name for name in functions if name not in answered)


def _until(deadline: float, items: Iterable[T]) -> Iterator[T]:
    """The items that come before the deadline; at least the first one."""
    for item in items:
        yield item
        if time.monotonic() > deadline:
            return


def _location(
    module: TargetModule, tree: Path, packages: Sequence[Path], one_sided: tuple[str, ...]
) -> ModuleLocation:
    tree = tree.resolve()
    return ModuleLocation(
        str(module.path.relative_to(tree)),
        str(module.import_root.relative_to(tree)),
        module.name,
        "",
        tuple(sorted(module.defined)),
        (*test_folders(tree), *map(str, packages)),
        module.imported,
        one_sided,
    )
