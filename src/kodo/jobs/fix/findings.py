"""A finding of a review as the thing to fix: it is there before, and gone after without a new one beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kodo.jobs.fix.model import FixError
from kodo.jobs.fix.workspace import Workspace
from kodo.jobs.report.model import Finding
from kodo.jobs.review import PathsSource, PendingSource, ReviewOptions, ReviewSource, review

MIN_FINGERPRINT = 4


@dataclass(frozen=True, slots=True)
class FindingCheck:
    """A finding that is to go away. ``rules`` counts the findings of its file before the fix, by rule."""

    finding: Finding
    rules: Counter[str]

    def remaining(self, workspace: Workspace) -> tuple[str, ...]:
        """Why the finding is not fixed in the tree as it is; empty where it is."""
        path = self.finding.place.path
        now = _rules(workspace.tree, path)
        reasons = []
        if now[self.finding.rule] >= self.rules[self.finding.rule]:
            reasons.append(f"{self.finding.rule} is still found in {path}")
        reasons += [f"{rule} is found in {path} and was not before" for rule in sorted(now - self.rules)]
        return tuple(reasons)

    def describe(self) -> str:
        """The finding in a few lines, for the model."""
        place = self.finding.place
        return f"{place.path}:{place.line}: {self.finding.rule}: {self.finding.message}\n{self.finding.code}"


def find_finding(project: Path, workspace: Workspace, fingerprint: str) -> FindingCheck:
    """The finding with this fingerprint, or beginning of one: in what is not committed yet, else in the whole project.

    Raises:
        FixError: there is none, or more than one.
    """
    if len(fingerprint) < MIN_FINGERPRINT:
        raise FixError(
            f"finding: give at least {MIN_FINGERPRINT} characters of the fingerprint",
            f"finding: フィンガープリントを {MIN_FINGERPRINT} 文字以上指定してください",
        )
    sources: tuple[ReviewSource, ...] = (
        PendingSource(project),
        PathsSource((workspace.base,), workspace.base),
    )
    for source in sources:
        report = review(source, ReviewOptions(), None)
        found = {
            item.fingerprint: item for item in report.findings if item.fingerprint.startswith(fingerprint)
        }
        if len(found) > 1:
            raise FixError(
                f"finding: {fingerprint} is the beginning of {len(found)} findings",
                f"finding: {fingerprint} で始まる指摘が {len(found)} 件あります",
            )
        for finding in found.values():
            return FindingCheck(finding, _rules(workspace.base, finding.place.path))
    raise FixError(
        f"finding: no finding {fingerprint} in what is not committed, nor in the project",
        f"finding: 指摘 {fingerprint} は、未コミットの変更にもプロジェクトにもありません",
    )


def _rules(root: Path, path: str) -> Counter[str]:
    report = review(PathsSource((root / path,), root), ReviewOptions(fixes=False), None)
    return Counter(item.rule for item in report.findings)
