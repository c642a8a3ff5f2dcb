"""The proof of a fix: the frozen test fails before and passes after, no other test is worse, and what else changed is said.

That the test passes is not believed by itself: the same test has to pass under another name, tests with a wrong
expectation have to fail (``counter_tests``), the patch has to change more than the test's own values, outside of
pytest too (``near_inputs``, ``generality``), and a second run of both versions has to say the same.

Every run is a fresh copy in the sandbox, with results from outside of the tested process (``ProjectTests``). What a model
says plays no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kodo.jobs.fix import policy
from kodo.jobs.fix.counter_tests import counter_tests
from kodo.jobs.fix.findings import FindingCheck
from kodo.jobs.fix.model import NOT_COMPARED
from kodo.jobs.fix.near_inputs import compare_near
from kodo.jobs.fix.reproduction import Reproduction, matching, result_name
from kodo.jobs.fix.workspace import Workspace, digest
from kodo.jobs.report.model import EvidenceKind, Finding
from kodo.jobs.review import DiffSource, ReviewOptions, review
from kodo.jobs.review.project_tests import ProjectTests, TestsError

Changes = Mapping[str, tuple[str | None, str | None]]
"""Path to the text before and after."""
Results = Mapping[str, str]
"""Each test's name to "" if it passed, else to its output."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown of a patch. ``reasons`` says why it is not proven; empty where it is.

    Attributes:
        fixed: whether the frozen test passes with the patch.
        passed_before, passed_after: how many tests of the suite passed.
        worse: tests that passed before and do not with the patch, also not in a second run.
        behaviour: what else the patch changes, as a review that runs both versions found it; only of a proven patch.
        compared: whether what the test looks at was also run outside of pytest, and with other values.
    """

    fixed: bool
    passed_before: int = 0
    passed_after: int = 0
    worse: tuple[str, ...] = ()
    behaviour: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()
    compared: bool = True

    @property
    def proven(self) -> bool:
        """Whether the patch is shown to be a fix."""
        return self.fixed and not self.reasons


class Prover:
    """Proves patches of one workspace against one frozen test."""

    def __init__(
        self, workspace: Workspace, tests: ProjectTests, before: Results, run_seconds: float = 20.0
    ) -> None:
        """``tests`` are those of the workspace's base; ``before`` their results there."""
        self.workspace, self.tests, self.before, self.run_seconds = workspace, tests, before, run_seconds

    def texts(self, frozen: Reproduction | None) -> dict[str, str | None]:
        """What lies over the base: the fix, and the frozen test as it was frozen."""
        texts: dict[str, str | None] = {path: after for path, (_, after) in self.workspace.changes().items()}
        if frozen is not None:
            texts[frozen.path] = frozen.text
        return texts

    def results(self, frozen: Reproduction | None) -> Results:
        """The results of the whole suite with the fix.

        Raises:
            TestsError: the tests could not be run.
            SandboxError: the sandbox could not be used.
        """
        return self.tests.failures(self.texts(frozen))

    def prove(
        self,
        target: Reproduction | FindingCheck,
        allowed: tuple[str, ...] = (),
        *,
        certain: bool = False,
    ) -> Proof:
        """Everything that is asked of a fix, in the order of its cost.

        Args:
            target: the frozen test, or the finding that is to go away.
            allowed: patterns of paths that may be patched.
            certain: whether the patch is none of a model's but one of :mod:`certain`'s, which cannot be a special case;
                then it may be proven where the test cannot be run with other values.

        Raises:
            SandboxError: the sandbox could not be used.
        """
        frozen = target if isinstance(target, Reproduction) else None
        changes = self.workspace.changes()
        if frozen is not None:
            changes.pop(frozen.path, None)
        if not changes:
            return Proof(False, reasons=("nothing was changed",))
        reasons = [why for path in changes if (why := policy.refused_path(path, allowed))]
        reasons += self._against_project(changes)
        if frozen is not None:
            reasons += self._against_test(frozen, changes)
        try:
            after = self.results(frozen)
            worse = self._worse(after, frozen)
        except TestsError as error:
            return Proof(False, reasons=(*reasons, str(error)))
        remaining = _failing(frozen, after) if frozen is not None else ()
        if isinstance(target, FindingCheck):
            remaining = target.remaining(self.workspace)
        reasons += remaining
        reasons += [f"{name} passed before the patch and does not with it" for name in worse[:5]]
        compared = True
        if frozen is not None and not reasons:
            doubts, compared = self._doubts(frozen, tuple(changes), after)
            reasons += doubts
            if not (compared or certain or doubts):
                reasons.append(NOT_COMPARED)
        return Proof(
            not remaining,
            sum(not failure for failure in self.before.values()),
            sum(not failure for failure in after.values()),
            worse,
            () if reasons else self._behaviour(),
            tuple(reasons),
            compared,
        )

    def _against_project(self, changes: Changes) -> list[str]:
        """Why the project, as it is outside of the copy, would not be what was tested."""
        reasons = []
        names = [
            path.relative_to(self.workspace.base).as_posix() for path in self.workspace.base.rglob("*.py")
        ]
        for path, (before, after) in changes.items():
            if before is None and (other := policy.shadowed(path, names)):
                reasons.append(f"{path}: would be imported in the place of {other}")
            if before is None and (there := self.workspace.kept_out(path)):
                reasons.append(f"{path}: {there} is in the project, and git does not track it as a file")
            if before is not None and after is not None:
                reasons += [
                    f"{path}: changes what the doctest of {name} expects"
                    for name in policy.changed_doctests(before, after)
                    if any(not self.before.get(one, "-") for one in _doctests_of(path, name, self.before))
                ]
        return reasons

    def _against_test(self, frozen: Reproduction, changes: Changes) -> list[str]:
        """Why the frozen test says nothing of this patch."""
        reasons = []
        if digest(self.workspace.text(frozen.path)) != frozen.digest:
            reasons.append(f"{frozen.path}: the frozen test was changed")
        reasons += policy.suspicious(changes, frozen.text)
        reasons += [f"the test asserts {what}, which the issue does not say" for what in frozen.unstated]
        return reasons

    def _doubts(
        self, frozen: Reproduction, changed: tuple[str, ...], after: Results
    ) -> tuple[list[str], bool]:
        """Why the test may pass without a fix; and whether other values than the test's could be tried."""
        if reasons := self._counter_tests(frozen):
            return reasons, False
        tests, tree = self.tests, self.workspace
        near = compare_near(tree.base, tree.tree, changed, frozen, tests.sandbox, tests.packages)
        objection = near.objection() if near is not None else ""
        return [objection] if objection else self._again(frozen, after), near is not None

    def _counter_tests(self, frozen: Reproduction) -> list[str]:
        """What the test under another name, and tests that must fail, say against the patch."""
        counters = counter_tests(frozen)
        if counters is None:
            return []
        texts = {**self.texts(frozen), counters.path: counters.text}
        try:
            return counters.objections(self.tests.failures(texts, only=counters.path))
        except TestsError as error:
            return [f"tests with a wrong expectation: {error}"]

    def _again(self, frozen: Reproduction, after: Results) -> list[str]:
        """What a second run of both versions says: a test that fails now and then would prove anything."""
        try:
            before_again = self.tests.failures({frozen.path: frozen.text})
            after_again = self.results(frozen)
        except TestsError as error:
            return [f"in a second run: {error}"]
        reasons = [
            f"{case} failed before the patch and then passed, without a change: it fails now and then"
            for case in frozen.failing
            if not before_again.get(case, "gone")
        ]
        reasons += _failing(frozen, after_again)
        worse = sorted(
            name
            for name, failure in before_again.items()
            if not failure and after.get(name, "gone") and after_again.get(name, "gone")
        )
        return reasons + [f"{name} passed before the patch and does not with it" for name in worse[:5]]

    def _behaviour(self) -> tuple[Finding, ...]:
        """What a review that runs both versions finds in the patch."""
        options = ReviewOptions(run=True, run_seconds=self.run_seconds, fixes=False)
        report = review(DiffSource(self.workspace.patch(), self.workspace.tree), options, None)
        return tuple(found for found in report.findings if found.evidence.kind is EvidenceKind.EXECUTION)

    def _worse(self, after: Results, frozen: Reproduction | None) -> tuple[str, ...]:
        """Tests that passed before and now fail or are gone, in two runs."""
        passed = {name for name, failure in self.before.items() if not failure}
        worse = {name for name in passed if after.get(name, "gone")}
        if worse:
            again = self.results(frozen)
            worse = {name for name in worse if again.get(name, "gone")}
        return tuple(sorted(worse))


def _doctests_of(path: str, name: str, results: Results) -> list[str]:
    """The results of the doctest of a function of a file; ``name`` is "" for that of the file's own docstring."""
    start, end = f"{result_name(path)}.", f".{name}" if name else ""
    return [one for one in results if one.startswith(start) and one.endswith(end)]


def _failing(frozen: Reproduction, after: Results) -> tuple[str, ...]:
    cases = matching(frozen.name, after)
    gone = [case for case in frozen.failing if case not in after]
    if cases and not any(after[case] for case in cases):
        return tuple(f"{case} failed before the patch and is not run with it" for case in gone[:5])
    shown = next(
        (after[case] for case in cases if after[case]), "it is not there, or a part of it is skipped"
    )
    last = next((line for line in reversed(shown.splitlines()) if line.startswith("E ")), shown[-200:])
    return (f"{frozen.name} does not pass with the patch: {last.removeprefix('E').strip()[:300]}",)
