"""What each of kodo's own rules means: class, severity, and its words in both languages (``rules.toml``)."""

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kodo.jobs.report.model import Category, EvidenceKind, Severity
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.python import ParsedModule

SOURCE = "kodo"
Placed = ast.stmt | ast.expr | ast.ExceptHandler
"""The nodes that have a place in the text."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; ``{0}`` in its words is the first value a check gives."""

    category: Category
    severity: Severity
    en: str
    ja: str
    kind: EvidenceKind = EvidenceKind.RULE


@cache
def rules() -> dict[str, Rule]:
    """All rules by their full name (``kodo/…``)."""
    text = files("kodo.jobs.review.checks").joinpath("rules.toml").read_text(encoding="utf-8")
    return {
        f"kodo/{name}": Rule(
            Category(row["class"]),
            Severity(row["severity"]),
            row["en"],
            row["ja"],
            EvidenceKind(row.get("evidence", "rule")),
        )
        for name, row in tomllib.loads(text).items()
    }


def report_node(module: ParsedModule, node: Placed, name: str, *values: str, symbol: str = "") -> Candidate:
    """A candidate on a node of the tree (statements that hold others: on their first line only)."""
    end = node.lineno if hasattr(node, "body") else node.end_lineno or node.lineno
    column = module.column(node.lineno, node.col_offset)
    return report_line(node.lineno, name, *values, end_line=end, column=column, symbol=symbol)


def report_line(
    line: int, name: str, *values: str, end_line: int = 0, column: int = 0, symbol: str = ""
) -> Candidate:
    """A candidate on a line."""
    rule = rules()[f"kodo/{name}"]
    return Candidate(
        rule=f"kodo/{name}",
        category=rule.category,
        severity=rule.severity,
        line=line,
        end_line=end_line or line,
        column=column,
        message=rule.en.format(*values),
        source=SOURCE,
        detail=name,
        kind=rule.kind,
        symbol=symbol,
        values=values,
    )
