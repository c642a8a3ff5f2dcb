"""The proof of a fix: the frozen test fails before and passes after, no other test is worse, and what else changed is said.

That the test passes is not believed by itself: the patch brings no value of its own to choose by (``own_values``), it has to
change more than the test's own values, outside of pytest too (``near_inputs``, ``generality``), and under pytest do the
same (``cross_check``); the same test has to pass under another name, tests with a wrong expectation have to fail
(``counter_tests``), and a second run of both versions has to say the same. What is cheap comes first, and the first reason
against a patch ends it: what follows is not run.

Every run is a fresh copy in the sandbox, with results from outside of the tested process (``ProjectTests``). What a model
says plays no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from kodo.jobs.fix import policy
from kodo.jobs.fix.allowed_paths import refused_path, shadowed
from kodo.jobs.fix.counter_tests import counter_tests
from kodo.jobs.fix.cross_check import Recorded, cross_check
from kodo.jobs.fix.findings import FindingCheck
from kodo.jobs.fix.model import NOT_COMPARED, Suite
from kodo.jobs.fix.near_inputs import compare_near
from kodo.jobs.fix.reproduction import Reproduction, matching
from kodo.jobs.fix.versions import Known
from kodo.jobs.fix.workspace import Workspace, digest
from kodo.jobs.report.model import EvidenceKind, Finding
from kodo.jobs.review import DiffSource, ReviewOptions, review
from kodo.jobs.review.project_tests import ProjectTests, TestsError

Results = Mapping[str, str]
"""Each test's name to "" if it passed, else to its output."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown of a patch. ``reasons`` says why it is not proven; empty where it is.

    Attributes:
        fixed: whether the frozen test passes with the patch.
        suite: the project's tests; None where something else refused the patch before they were run.
        behaviour: what else the patch changes, as a review that runs both versions found it; only of a proven patch.
        compared: whether what the test looks at was also run outside of pytest, and with other values.
    """

    fixed: bool
    suite: Suite | None = None
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
        self,
        workspace: Workspace,
        tests: ProjectTests,
        before: Results,
        run_seconds: float = 20.0,
        issue: str = "",
        lang: str = "en",
    ) -> None:
        """``tests`` are those of the workspace's base; ``before`` their results there; ``issue`` what was said of the fault;
        ``lang`` the language of what a review finds in the patch."""
        self.workspace, self.tests, self.before, self.run_seconds = workspace, tests, before, run_seconds
        self.issue, self.lang = issue, lang
        self._known: Known = {}
        self._before_again: dict[str, Results] = {}

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
        reasons = [why for path in changes if (why := refused_path(path, allowed))]
        reasons += self._against_project(changes)
        reasons += (
            target.remaining(self.workspace)
            if isinstance(target, FindingCheck)
            else self._against_test(target, changes)
        )
        if reasons:
            return Proof(False, reasons=tuple(reasons))
        try:
            after = self.results(frozen)
            worse = self._worse(after, frozen)
        except TestsError as error:
            return Proof(False, reasons=(str(error),))
        suite = Suite(_passed(self.before), _passed(after), worse)
        remaining = _failing(frozen, after) if frozen is not None else ()
        reasons = [
            *remaining,
            *(f"{name} passed before the patch and does not with it" for name in worse[:5]),
        ]
        if reasons:
            return Proof(not remaining, suite, reasons=tuple(reasons))
        if frozen is None:
            return Proof(True, suite, self._behaviour())
        return self._doubted(frozen, tuple(changes), after, Proof(True, suite), certain=certain)

    def _against_project(self, changes: policy.Changes) -> list[str]:
        """Why the project, as it is outside of the copy, would not be what was tested."""
        reasons = []
        names = [
            path.relative_to(self.workspace.base).as_posix() for path in self.workspace.base.rglob("*.py")
        ]
        for path, (before, after) in changes.items():
            if before is None and (other := shadowed(path, names)):
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

    def _against_test(self, frozen: Reproduction, changes: policy.Changes) -> list[str]:
        """Why the frozen test says nothing of this patch."""
        reasons = []
        if digest(self.workspace.text(frozen.path)) != frozen.digest:
            reasons.append(f"{frozen.path}: the frozen test was changed")
        reasons += policy.suspicious(changes, frozen.text, self.issue)
        reasons += [f"the test asserts {what}, which the issue does not say" for what in frozen.unstated]
        return reasons

    def _doubted(
        self, frozen: Reproduction, changed: tuple[str, ...], after: Results, proof: Proof, *, certain: bool
    ) -> Proof:
        """The proof with why the test may pass without a fix, or, without such a reason, with what else the patch changes."""
        tests, tree = self.tests, self.workspace
        near = compare_near(tree.base, tree.tree, changed, frozen, tests.sandbox, tests.packages, self._known)
        if near is None and not certain:
            return replace(proof, reasons=(NOT_COMPARED,), compared=False)
        reasons = [objection] if near is not None and (objection := near.objection()) else []
        reasons = reasons or self._under_pytest(frozen, near.recorded if near is not None else None)
        if reasons:
            return replace(proof, reasons=tuple(reasons), compared=near is not None)
        with ThreadPoolExecutor(1) as thread:  # they run in sandboxes of their own
            again = thread.submit(self._again, frozen, after)
            behaviour = self._behaviour()
            reasons = again.result()
        return replace(
            proof, behaviour=() if reasons else behaviour, reasons=tuple(reasons), compared=near is not None
        )

    def _under_pytest(self, frozen: Reproduction, recorded: Recorded | None) -> list[str]:
        """What the test under another name, tests that must fail, and the calls that were recorded say against the patch."""
        counters = counter_tests(frozen)
        if counters is None:
            return []
        check = cross_check(counters, recorded) if recorded is not None else None
        texts = {**self.texts(frozen), counters.path: check.text if check is not None else counters.text}
        try:
            results = self.tests.failures(texts, only=[counters.path])
            reasons = counters.objections(results)
            if reasons or check is None:
                return reasons
            differing = check.differing(results)
            if differing:  # the order of a set is another one in each process
                again = check.differing(self.tests.failures(texts, only=[counters.path]))
                differing = {name: why for name, why in differing.items() if name in again}
        except TestsError as error:
            return [f"tests with a wrong expectation: {error}"]
        return [objection] if (objection := check.objection(differing)) else []

    def _again(self, frozen: Reproduction, after: Results) -> list[str]:
        """What a second run of both versions says: a test that fails now and then would prove anything.

        That of the version before is made once for all patches.
        """
        try:
            with ThreadPoolExecutor(1) as thread:
                running = thread.submit(self.results, frozen)
                if frozen.digest not in self._before_again:
                    self._before_again[frozen.digest] = self.tests.failures({frozen.path: frozen.text})
                before_again, after_again = self._before_again[frozen.digest], running.result()
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
        options = ReviewOptions(run=True, run_seconds=self.run_seconds, fixes=False, lang=self.lang)
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


def _passed(results: Results) -> int:
    return sum(not failure for failure in results.values())


def _doctests_of(path: str, name: str, results: Results) -> list[str]:
    """The results of the doctest of a function of a file; ``name`` is "" for that of the file's own docstring."""
    start, end = f"{path}::", f".{name}" if name else ""
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
