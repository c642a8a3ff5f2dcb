"""Differential execution: run what a change touched in both versions on the same inputs, and say what differs.

Knows the order of the steps and the budget. What a difference means is judged in ``behaviour_remarks``; the running
itself is ``kodo.jobs.execution``'s, in the sandbox.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.changed import Affected, affected_functions
from kodo.jobs.execution.model import Call, ExecutionError
from kodo.jobs.execution.relevant_words import relevant_texts
from kodo.jobs.execution.sandboxed import GRACE, run_worker, site_packages
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer, Compared, Exhausted, Finished
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.report.model import Executed
from kodo.jobs.review.behaviour_remarks import remarks
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.inputs_of_tests import instances, is_alike, recorded_calls, test_folders, written_calls
from kodo.jobs.review.javascript import behaviour as javascript
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.reading import ReviewInput
from kodo.jobs.review.snippets import GROUP, Proposer
from kodo.jobs.review.trees import TreeError, Trees, trees
from kodo.sandbox import Sandbox, SandboxError

T = TypeVar("T")
CALL_SECONDS = 1.0
INPUTS = 300
CALLER_INPUTS = 120
_FOR_TESTS, _FOR_RUNNING = 0.75, 0.6
"""The parts of a module's seconds that must be left when its inputs are made, and when the tests were read."""
_FOR_RECORDING = 0.25
"""The part of a module's seconds in which its tests are run for their calls, while inputs are made."""
_WORKER = "kodo.jobs.execution.worker"


@dataclass
class Behaviour:
    """Candidates by path, and what was run."""

    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    inputs: int = 0
    recorded: int = 0
    differences: int = 0
    unstable: int = 0
    not_run: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self, budget: float) -> Executed:
        """The figures for the report."""
        return Executed(
            functions=tuple(dict.fromkeys(self.functions)),
            inputs=self.inputs,
            recorded=self.recorded,
            differences=self.differences,
            unstable=self.unstable,
            not_run=tuple(dict.fromkeys(self.not_run)),
            seconds=round(self.seconds, 1),
            budget=budget,
        )


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
        packages = site_packages(material.root) if material.root is not None else ()
        sandbox = Sandbox(readable=packages)
        sandbox.require()
        with trees(material) as made:
            for file in changed:
                asked = time.monotonic()
                snippets = tuple(proposer.propose(file, _module_name(made, file))) if proposer else ()
                started += time.monotonic() - asked
                _compare_module(file, made, packages, sandbox, started + budget, found, files, snippets)
            for at, file in enumerate(scripts):
                now = time.monotonic()
                share = (started + budget - now) / (len(scripts) - at)
                _compare_script(file, made, material.root, now + share, found)
    except (SandboxError, TreeError) as error:
        found.not_run.append(str(error))
    found.seconds = time.monotonic() - started
    return found


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
    return False


def can_run(file: ChangedFile) -> bool:
    """Whether a file is Python that is not a test and is there in both versions."""
    return (
        file.language == "python"
        and file.before is not None
        and file.complete
        and not file.whole
        and file.path.endswith(".py")
        and not is_test(file.path)
    )


def _compare_module(
    file: ChangedFile,
    made: Trees,
    packages: Sequence[Path],
    sandbox: Sandbox,
    end: float,
    found: Behaviour,
    files: Sequence[ChangedFile],
    snippets: tuple[Call, ...],
) -> None:
    """Add what one module's functions do to ``found``."""
    try:
        before, after = load(made.before / (file.old_path or file.path)), load(made.after / file.path)
    except ExecutionError as error:
        found.not_run.append(str(error).replace(str(made.folder) + "/", ""))
        return
    if not _has_time(file, end, found):
        return
    affected = {one.function.qualname: one for one in affected_functions(before, after)}
    if not affected and not snippets:
        return
    room = end - time.monotonic()
    locations = _location(before, made.before, packages), _location(after, made.after, packages)
    with ThreadPoolExecutor(1) as thread:
        recording = thread.submit(
            recorded_calls, made, file, affected, locations[0], sandbox, end - (1 - _FOR_RECORDING) * room
        )
        groups = tuple(
            _until(
                end - _FOR_TESTS * room,
                _groups(before, after, affected.values(), _touched_lines(file), instances(made, file, after)),
            )
        )
        written = list(_until(end - _FOR_RUNNING * room, written_calls(made, file, affected, after)))
        recorded = _recorded(recording, file, found)
    tests = _in_both([*recorded, *written], files, after.name)
    if snippets:
        groups = ((GROUP, snippets), *groups)
    if not groups:
        return
    if not _has_time(file, end, found):
        return
    job = Compare(
        *locations,
        groups,
        CALL_SECONDS,
        end,
        tests,
        (
            *((GROUP,) if snippets else ()),
            *dict.fromkeys(root for one in affected.values() for root in one.roots),
        ),
        relevant_texts(_touched_lines(file), (before, after), list(affected)),
    )
    try:
        answers: list[CompareAnswer] = run_worker(
            sandbox, made.folder, _WORKER, job, CompareAnswer, seconds=end - time.monotonic(), grace=GRACE
        )
    except ExecutionError as error:
        found.not_run.append(f"{file.path}: {error}")
        return
    compared = [answer for answer in answers if isinstance(answer, Compared)]
    _count(file, compared, found)
    if out := list(dict.fromkeys(_without_answer(answers, [name for name, _ in groups]))):
        found.not_run.append(f"{file.path}: the budget ran out before {', '.join(out)}")
    found.candidates[file.path] = remarks(file, after, affected, compared, files)


def _count(file: ChangedFile, compared: Sequence[Compared], found: Behaviour) -> None:
    """Add up what was run of one module."""
    for one in compared:
        if one.tried:
            found.functions.append(f"{file.path}: {one.function}")
        elif one.unusable:
            found.not_run.append(f"{file.path}: {one.function}: {one.unusable}")
        found.inputs += one.tried
        found.unstable += one.unstable
        found.differences += len(one.differences)


def _without_answer(answers: Sequence[CompareAnswer], functions: Sequence[str]) -> Iterator[str]:
    """The functions that the worker had no time for, by what it says or because it was ended before."""
    for answer in answers:
        if isinstance(answer, Exhausted):
            yield from answer.functions
    if not any(isinstance(answer, Finished) for answer in answers):
        answered = {answer.function for answer in answers if isinstance(answer, Compared)}
        yield from (name for name in functions if name not in answered)


def _recorded(recording: Future[list[Call]], file: ChangedFile, found: Behaviour) -> list[Call]:
    """The calls of the tests that were run; why they could not be run is said."""
    try:
        calls = recording.result()
    except ExecutionError as error:
        found.not_run.append(f"{file.path}: the project's tests, for their calls: {error}")
        return []
    found.recorded += len(calls)
    return calls


def _in_both(calls: Iterable[Call], files: Sequence[ChangedFile], module: str) -> tuple[Call, ...]:
    """The calls out of tests that stand on the same files of tests in both versions, numbered."""
    alike = [call for call in calls if is_alike(call, files, module)]
    return tuple(msgspec.structs.replace(call, id=number) for number, call in enumerate(alike))


def _touched_lines(file: ChangedFile) -> list[str]:
    """The text of the lines that the change added or took away."""
    return [
        *(file.lines[line - 1] for line in sorted(file.added) if line <= len(file.lines)),
        *(line for removal in file.removals for line in removal.lines),
    ]


def _module_name(made: Trees, file: ChangedFile) -> str:
    try:
        return load(made.after / file.path).name
    except ExecutionError:
        return file.path.rpartition("/")[2].removesuffix(".py")


def _until(deadline: float, items: Iterable[T]) -> Iterator[T]:
    """The items that come before the deadline; at least the first one."""
    for item in items:
        yield item
        if time.monotonic() > deadline:
            return


def _groups(
    before: TargetModule,
    after: TargetModule,
    affected: Iterable[Affected],
    lines: Iterable[str],
    instances: Mapping[str, tuple[str, ...]],
) -> Iterator[tuple[str, tuple[Call, ...]]]:
    """Each function with the calls to make, those of both versions; optional parameters on changed ``lines`` matter most."""
    focus = frozenset(re.findall(r"[A-Za-z_]\w{2,}", "\n".join(lines)))
    new, old = (CandidateGenerator(one, 0, focus, instances) for one in (after, before))
    for one in affected:
        function = one.function
        in_both = function.qualname in before.every_function and function.qualname in after.every_function
        if not in_both and function.name != "__init__":
            continue
        count = INPUTS if one.depth == 0 else CALLER_INPUTS
        calls = new.calls(function, count)
        earlier = before.every_function.get(function.qualname)
        if earlier is not None and one.depth == 0:
            calls += old.calls(earlier, count)
        unique = {(call.setup, call.expression, call.args): call for call in reversed(calls)}
        numbered = [
            msgspec.structs.replace(call, id=number) for number, call in enumerate(reversed(unique.values()))
        ]
        if numbered:
            yield function.qualname, tuple(numbered)


def _location(module: TargetModule, tree: Path, packages: Sequence[Path]) -> ModuleLocation:
    tree = tree.resolve()
    return ModuleLocation(
        str(module.path.relative_to(tree)),
        str(module.import_root.relative_to(tree)),
        module.name,
        "",
        tuple(sorted(module.defined)),
        (*test_folders(tree), *map(str, packages)),
        module.imported,
    )
