"""One fix from beginning to end: copy, reproduce, freeze, propose, prove, report.

The proposals that need no model come first. Whatever proposes a patch, only :mod:`proof` says whether it is one. The run's
folder holds its journal, so that a killed run continues; the project itself is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kodo import __version__
from kodo.client.errors import KodoError
from kodo.jobs.agent import Agent, AgentResult, Journal, Observer, ToolError
from kodo.jobs.execution.sandboxed import site_packages
from kodo.jobs.fix import certain, prompts
from kodo.jobs.fix.findings import FindingCheck, find_finding
from kodo.jobs.fix.issue_expectations import unstated
from kodo.jobs.fix.model import (
    NO_MODEL,
    NOT_COMPARED,
    FixError,
    FixOptions,
    FixReport,
    FixRequest,
    FrozenTest,
    Verdict,
    Work,
)
from kodo.jobs.fix.proof import Proof, Prover, Results
from kodo.jobs.fix.reproduction import (
    WRITTEN_TEST,
    Reproduction,
    ReproductionError,
    check_failure,
    failing_cases,
    node_id,
)
from kodo.jobs.fix.toolbox import PATCHED, Toolbox
from kodo.jobs.fix.workspace import Workspace
from kodo.jobs.review.project_tests import ProjectTests, TestsError
from kodo.sandbox import Isolation, ResourceLimits, Sandbox

if TYPE_CHECKING:
    from kodo.client.session import Session

Progress = Callable[[str], None]
REQUEST = "request"
FAILURE = "failure"
REPORT = "report"
JOURNAL = "journal.jsonl"


def fix(
    request: FixRequest,
    options: FixOptions,
    session: Session | None,
    folder: Path,
    *,
    observer: Observer | None = None,
    progress: Progress = lambda _: None,
) -> FixReport:
    """Fix one fault of a project; ``session`` is the way to a model, None for none.

    Args:
        folder: the run's own; with the journal of an earlier process in it, the run continues. One that has ended
            gives its report again.
        progress: told what is done, by a key of the messages.

    Raises:
        FixError: the request cannot be met as it is.
        JournalError: another process works on this run, or it is of another request.
        SandboxError, WorkspaceError: the project cannot be run or copied.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # copies of the project, which may hold secrets
    with Journal(folder / JOURNAL) as journal:
        first = next(journal.of_kind(REQUEST), None)
        if first is None:
            journal.write(REQUEST, request=msgspec.to_builtins(request))
        if (ended := _ended(journal)) is not None:
            return ended
        work = _Fix(request, options, journal, Workspace.create(folder, Path(request.project)), progress)
        try:
            report = work.run(session, observer or Observer())
        except FixError:
            work.workspace.remove()
            if first is None:  # there is nothing to resume
                shutil.rmtree(folder)
            raise
        journal.write(REPORT, report=msgspec.to_builtins(report))
        work.workspace.remove()
        return report


def _ended(journal: Journal) -> FixReport | None:
    """The report of a run that is proven, or whose model called it done; None for one that can go on."""
    for entry in journal.of_kind(REPORT):
        report = msgspec.convert(entry["report"], FixReport)
        if report.verdict is Verdict.PROVEN or (report.work is not None and report.work.stop == "finished"):
            return report
    return None


def stored_request(folder: Path) -> FixRequest:
    """The request of an earlier run.

    Raises:
        FixError: there is no such run.
    """
    journal = folder / JOURNAL
    if not journal.is_file():
        raise FixError(f"there is no run {folder.name}", f"実行 {folder.name} はありません")
    with journal.open("rb") as file:  # not as a journal: another process may work on it
        line = file.readline()
    try:
        first = msgspec.json.decode(line)
        return msgspec.convert(first[REQUEST], FixRequest)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise FixError(
            f"run {folder.name} has no request", f"実行 {folder.name} には依頼内容がありません"
        ) from error


@dataclass
class _Fix:
    """What one fix knows so far."""

    request: FixRequest
    options: FixOptions
    journal: Journal
    workspace: Workspace
    progress: Progress
    notes: list[str] = field(default_factory=list)
    frozen: Reproduction | None = None
    finding: FindingCheck | None = None
    result: AgentResult | None = None
    before: Results = field(default_factory=dict)
    toolbox: Toolbox | None = None
    proofs: dict[str, Proof] = field(default_factory=dict)
    """By patch: the judge and the report ask for the same one."""

    def run(self, session: Session | None, observer: Observer) -> FixReport:
        """Do it all and report."""
        project = Path(self.request.project)
        packages = site_packages(project)
        sandbox = Sandbox(readable=packages)
        isolation = sandbox.require()
        tests = ProjectTests(
            self.workspace.base,
            sandbox,
            limits=ResourceLimits(
                wall_seconds=self.options.test_seconds, cpu_seconds=int(self.options.test_seconds) + 1
            ),
            packages=tuple(map(str, packages[:1])),
            parts=False,  # a patch can skip the sub-test that fails
        )
        prover = Prover(
            self.workspace, tests, {}, self.options.run_seconds, self.request.text, self.options.lang
        )
        self._begin(prover)
        proven = self._try_certain(prover)
        if proven is not None:
            how, proof = proven
            return self._report(isolation, how, proof, None)
        if session is None:
            self.notes.append(NO_MODEL)
            return self._report(isolation, "", None, None)
        self.toolbox = Toolbox(
            self.workspace,
            sandbox,
            tuple(map(str, packages)),
            self.request.allowed,
            None if self.frozen or self.finding else (lambda text: self._freeze(prover, text)),
            lambda: self.frozen is not None or self.finding is not None,
        )
        self._replay(self.toolbox)
        try:
            self._work(session, observer, prover, self.toolbox)
        except KodoError as error:
            if not self.workspace.changes():
                raise
            self.notes.append(f"stopped: {error}")
        self.progress("proving")
        return self._report(isolation, "model", self._prove(prover), self.toolbox)

    def _begin(self, prover: Prover) -> None:
        """Run the suite as it is, and freeze a given test or look a given finding up."""
        request = self.request
        if not any(name.endswith(".py") for name in self.workspace.files()):
            raise FixError(
                "there is no Python here: a fix is proven with tests that pytest runs, and no other runner is known",
                "Python のファイルがありません。修正は pytest で実行するテストで証明します(他のテストランナーには対応していません)",
            )
        test = node_id(request.test, list(self.workspace.files()))
        path = test.partition("::")[0]
        text = self.workspace.base_text(path) if path else ""
        if text is None:
            raise FixError(
                f"test: there is no file {path} among those that git tracks or would track",
                f"test: git が追跡する(追跡できる)ファイルの中に {path} がありません",
            )
        self.progress("reproducing")
        try:
            prover.before = self.before = prover.results(None)
        except TestsError as error:
            raise FixError(str(error)) from error
        if test:
            try:
                failure = check_failure(test, self.before, written=False)
            except ReproductionError as error:
                raise FixError(f"test: {error}", f"test: {error.ja}") from error
            failing = failing_cases(test, path, self.before)
            self.frozen = Reproduction(test, path, text, self._first_failure(failure), failing=failing)
        elif request.finding:
            self.finding = find_finding(Path(request.project), self.workspace, request.finding)

    def _first_failure(self, failure: str) -> str:
        """The output as the model was told it; a later run of the same test may write other addresses and times."""
        first = next(self.journal.of_kind(FAILURE), None)
        if first is None:
            self.journal.write(FAILURE, text=failure)
            return failure
        return str(first["text"])

    def _try_certain(self, prover: Prover) -> tuple[str, Proof] | None:
        """The first proposal without a model that is proven; the tree holds it then."""
        proposals = []
        if self.finding is not None:
            found = certain.from_finding(self.workspace, self.finding.finding)
            proposals = [found] if found else []
        elif self.frozen is not None:
            proposals = list(certain.from_failure(self.workspace, self.frozen.failure))
        for proposal in proposals:
            self.workspace.write(dict(proposal.texts))
            proof = self._prove(prover, certain=True)
            if proof is not None and proof.proven:
                return proposal.what, proof
            self.workspace.reset()
        return None

    def _prove(self, prover: Prover, *, certain: bool = False) -> Proof | None:
        """The proof of the tree as it is; None without anything to prove against. ``certain``: no model made it."""
        target = self.frozen or self.finding
        if target is None:
            return None
        patch = self.workspace.patch()
        if patch not in self.proofs:
            self.proofs[patch] = prover.prove(target, self.request.allowed, certain=certain)
        return self.proofs[patch]

    def _freeze(self, prover: Prover, text: str) -> str:
        """Take a test that the agent wrote, if it shows the fault; returns what the agent is told."""
        if self.frozen is not None:
            raise ToolError(f"the test is frozen already: {self.frozen.path}")
        path = _test_path(self.workspace)
        try:
            assumed = unstated(text, self.request.text)
            results = prover.tests.failures({path: text})
            failure = check_failure(path, results, written=True)
        except (ReproductionError, TestsError) as error:
            raise ToolError(str(error)) from error
        except (SyntaxError, ValueError) as error:
            raise ToolError(f"the test does not parse: {error}") from error
        self.frozen = Reproduction(
            path, path, text, failure, True, assumed, failing_cases(path, path, results)
        )
        self.workspace.write({path: text})
        told = f"frozen as {path}; it fails with:\n{failure[-4000:]}"
        if assumed:
            told += f"\nnote: it asserts {', '.join(assumed)}, which the text does not say, so the fix cannot be proven by it"
        return told

    def _replay(self, toolbox: Toolbox) -> None:
        """Bring the tree to where the journal says it was."""
        tools = {tool.name: tool for tool in toolbox.tools()}
        calls = {entry["call_id"]: entry for entry in self.journal.of_kind("call")}
        for entry in self.journal.of_kind("result"):
            call = calls[entry["call_id"]]
            if entry["output"].startswith(PATCHED):
                try:
                    tools[call["name"]].run(msgspec.json.decode(call["arguments"]))
                except ToolError as error:
                    raise FixError(
                        f"the project is another one than when this run began: {error}",
                        f"この実行の開始後にプロジェクトが変わっています: {error}",
                    ) from error
        toolbox.refused.clear()

    def _work(self, session: Session, observer: Observer, prover: Prover, toolbox: Toolbox) -> None:
        """Let the agent work; a failed proof goes back to it, some times."""
        rounds = sum(1 for _ in self.journal.of_kind("feedback"))

        def judge() -> str | None:
            nonlocal rounds
            proof = self._prove(prover)
            if proof is not None and proof.proven:
                return None
            reasons = proof.reasons if proof is not None else ("no failing test was written",)
            if reasons == (NOT_COMPARED,):
                return None  # the test is frozen, so that no other patch is proven by it
            rounds += 1
            if rounds > self.options.rounds:
                return None
            return "It is not proven yet:\n" + "\n".join(f"- {reason}" for reason in reasons)

        agent = Agent(
            session,
            toolbox.tools(),
            prompts.INSTRUCTIONS,
            self.options.limits,
            lambda _tool, _arguments: True,
            observer,
            self.options.model or None,
        )
        self.progress("asking")
        finding = self.finding.describe() if self.finding is not None else ""
        given = self.frozen if self.frozen is not None and not self.frozen.written else None
        self.result = agent.run(prompts.task(self.request, given, finding), self.journal, judge)

    def _report(
        self, isolation: Isolation, how: str, proof: Proof | None, toolbox: Toolbox | None
    ) -> FixReport:
        changes = self.workspace.changes()
        own = [path for path in changes if self.frozen is None or path != self.frozen.path]
        reasons = proof.reasons if proof is not None else ()
        if not own:
            verdict = Verdict.NONE
        else:
            verdict = Verdict.PROVEN if proof is not None and proof.proven else Verdict.UNPROVEN
            if verdict is Verdict.PROVEN and proof is not None and not proof.compared:
                self.notes.append(NOT_COMPARED)
            if proof is None:
                reasons = ("there is no failing test that the patch could make pass",)
        return FixReport(
            run=self.workspace.tree.parent.name,
            verdict=verdict,
            reasons=reasons,
            how=how if own else "",
            test=_frozen_test(self.frozen),
            patch=self.workspace.patch() if own else "",
            files=tuple(changes) if own else (),
            suite=proof.suite if proof is not None and own else None,
            behaviour=tuple(
                f"{item.place.path}:{item.place.line}: {item.message}" for item in proof.behaviour
            )
            if proof is not None
            else (),
            work=self._spent(toolbox),
            notes=tuple(self.notes),
            isolation=isolation.line(),
            kodo=__version__,
        )

    def _spent(self, toolbox: Toolbox | None) -> Work | None:
        result = self.result
        if toolbox is None:
            return None
        refused = tuple(dict.fromkeys(toolbox.refused))
        if result is None:
            return Work(self.options.model, "error", 0, 0, refused, 0, 0, "0")
        return Work(
            self.options.model,
            result.stop,
            result.asked,
            result.calls,
            refused,
            result.input_tokens,
            result.output_tokens,
            str(result.cost),
        )


def _frozen_test(frozen: Reproduction | None) -> FrozenTest | None:
    if frozen is None:
        return None
    return FrozenTest(frozen.name, frozen.path, frozen.digest, frozen.failure[-4000:], frozen.written)


def _test_path(workspace: Workspace) -> str:
    """A free path for a new test file: in the folder of the project's own tests, else in ``tests``."""
    folders = [
        path.rpartition("/")[0] for path in workspace.files() if path.rpartition("/")[2].startswith("test_")
    ]
    folder = max(set(folders), key=lambda one: (folders.count(one), one)) if folders else "tests"
    name = WRITTEN_TEST.rpartition("/")[2].removesuffix(".py")
    number = 1
    while True:
        path = f"{folder}/{name}{'' if number == 1 else f'_{number}'}.py".lstrip("/")
        if workspace.base_text(path) is None:
            return path
        number += 1
