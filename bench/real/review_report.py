"""The figures over all cases."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

SEVERE = ("warning", "error")
_MAX_SAID = 110


class Remark(msgspec.Struct, frozen=True):
    """One remark of a review."""

    path: str
    line: int
    rule: str
    severity: str
    evidence: str
    message: str
    definition: str = ""


class Row(msgspec.Struct, frozen=True):
    """What one case gave."""

    name: str
    repository: str
    kind: str
    subject: str
    aside: bool
    remarks: tuple[Remark, ...] = ()
    others: dict[str, list[str]] = {}
    seconds: float = 0.0
    cpu: float = 0.0
    functions: int = 0
    inputs: int = 0
    not_run: tuple[str, ...] = ()
    crash: str = ""
    environment: str = ""
    """What was done for code that does not import with today's libraries: the day of those that it was reviewed with, or why not."""

    def evidence(self) -> str:
        """The strongest kind of evidence that a remark of this case has; "" for no remark."""
        kinds = {one.evidence for one in self.remarks}
        return next((kind for kind in ("execution", "rule", "opinion") if kind in kinds), "")

    def line(self) -> str:
        """One line for the terminal."""
        said = "; ".join(f"[{one.severity} {one.rule}] {one.message}" for one in self.remarks) or "-"
        note = f" CRASH {self.crash}" if self.crash else ""
        lost = f" (not run: {'; '.join(self.not_run)})" if self.not_run else ""
        return f"{self.name} {self.seconds:.1f} s, {self.inputs} inputs: {said}{lost}{note} <{self.subject}>"


def report(rows: Sequence[Row]) -> str:
    """The figures of each half as Markdown, and every bug with a remark: what is read by hand before it is quoted."""
    lines: list[str] = []
    for title, chosen in (("Set aside", True), ("Looked at while building", False)):
        part = [row for row in rows if row.aside is chosen]
        if part:
            lines += [f"## {title}", "", *_figures(part), ""]
    lines += ["## Bugs with a remark", "", "| case | found by | said |", "| --- | --- | --- |"]
    lines += [_case(row) for row in rows if row.crash or (row.kind == "bug" and row.remarks)]
    return "\n".join(lines).rstrip() + "\n"


def _figures(rows: Sequence[Row]) -> list[str]:
    bugs = [row for row in rows if row.kind == "bug"]
    clean = [row for row in rows if row.kind != "bug"]
    ran = [row.seconds for row in rows if not row.crash]
    found = {kind: sum(row.evidence() == kind for row in bugs) for kind in ("execution", "rule", "opinion")}
    lines = [
        "| what | figure |",
        "| --- | --- |",
        f"| repositories, bugs, clean changes | {len({row.repository for row in rows})}, {len(bugs)}, {len(clean)} |",
        f"| bugs with a remark | {sum(found.values())} of {len(bugs)} |",
        *(f"| … of which by {kind} | {count} |" for kind, count in found.items()),
        *(f"| … with {name} | {_others(bugs, name)} of {len(bugs)} |" for name in sorted({key for row in bugs for key in row.others})),
        f"| false alarms a clean change, warning and above | {_alarms(clean, SEVERE)} |",
        f"| remarks a clean change, info (questions) | {_alarms(clean, ('info',))} |",
        *(f"| … with {name}, all | {_rate(sum(len(row.others.get(name, [])) for row in clean), sum(row.kind == 'clean' for row in clean))} |"
          for name in sorted({key for row in clean for key in row.others})),
        f"| bugs whose code could not be run at all | {sum(not row.inputs for row in bugs)} |",
        f"| seconds a change, median and longest | {statistics.median(ran):.1f}, {max(ran):.1f} |" if ran else "",
        f"| crashes | {sum(bool(row.crash) for row in rows)} |",
    ]  # fmt: skip
    return [line for line in lines if line]


def _others(rows: Iterable[Row], name: str) -> int:
    return sum(bool(row.others.get(name)) for row in rows)


def _alarms(rows: Sequence[Row], severities: Sequence[str]) -> str:
    return _rate(sum(one.severity in severities for row in rows for one in row.remarks), len(rows))


def _rate(count: int, cases: int) -> str:
    return f"{count / cases:.2f} ({count} on {cases} changes)" if cases else "-"


def _case(row: Row) -> str:
    def cell(text: str) -> str:
        return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

    said = "; ".join(f"{one.severity} {one.rule}: {one.message[:_MAX_SAID]}" for one in row.remarks)
    return f"| {row.name} | {row.evidence() or '-'} | {cell(row.crash or said) or '-'} |"
