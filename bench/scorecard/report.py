"""The scorecard as text: the tables for the terminal, and the Markdown page that is kept in docs. Pure formatting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.scorecard.cases import ReviewCase
from bench.scorecard.review_score import NEAR, Reviewed, Threshold, hits
from bench.scorecard.review_score import score as review_score
from bench.scorecard.runner import WITHOUT_MODEL, Scorecard, with_model
from bench.scorecard.suites import MUTANTS
from bench.scorecard.testgen_score import Measured
from bench.scorecard.testgen_score import score as testgen_score

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""A head and rows."""

REVIEW_HEAD = (
    "review",
    "precision",
    "recall",
    "F1",
    "bugs found",
    "false alarms a clean diff",
    "said again after a re-push",
    "not reviewed whole",
    "s a diff",
)
TESTS_HEAD = (
    "tests",
    "kept",
    "modules without any",
    "coverage",
    "mutation score",
    "regressions caught",
    "bugs revealed",
    "bugs cemented",
    "false alarms",
    "s a module",
)


@dataclass(frozen=True)
class Circumstances:
    """What stands beside every figure."""

    date: str
    machine: str
    load: str
    command: str
    version: str
    notes: tuple[str, ...] = ()
    """What else a reader must know to run it again, in whole sentences."""


def review_table(card: Scorecard, threshold: Threshold) -> Table:
    """One row a reviewer, over remarks at or above the threshold."""
    rows = []
    for name, reviewed in card.reviews.items():
        got = review_score(card.cases, reviewed, threshold)
        rows.append(
            (
                name,
                _share(got.precision),
                _share(got.recall),
                _share(got.f1),
                f"{got.hits} of {got.seeded}",
                _share(got.alarms_per_clean),
                f"{got.repeated} of {got.told}",
                str(got.incomplete),
                _mean([item.seconds for item in reviewed]),
            )
        )
    return REVIEW_HEAD, rows


def tests_table(card: Scorecard) -> Table:
    """One row a writer of tests."""
    rows = []
    for name, tested in card.tests.items():
        got = testgen_score(tested)
        rows.append(
            (
                name,
                str(got.kept),
                str(sum(not item.kept for item in tested)),
                _share(got.coverage),
                _share(got.mutation_score),
                f"{got.caught} of {got.modules}",
                f"{got.revealed} of {got.modules}",
                f"{got.cemented} ({got.cemented_unmarked} unmarked)",
                f"{got.false_alarms} in {got.alarmed} modules",
                _mean([item.seconds for item in tested]),
            )
        )
    return TESTS_HEAD, rows


def plain(table: Table) -> str:
    """A table for a terminal: columns of equal width."""
    head, rows = table
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(card: Scorecard, circumstances: Circumstances) -> str:
    """The whole page."""
    parts = [_introduction(card, circumstances)]
    if card.reviews:
        parts += [_review_part(card)]
    if card.tests:
        parts += [_tests_part(card)]
    if card.left_out:
        parts.append("Left out:\n\n" + "\n".join(f"- {line}" for line in card.left_out))
    return "\n\n".join(parts) + "\n"


def _introduction(card: Scorecard, circumstances: Circumstances) -> str:
    model = f"with the model `{card.model}` and without one" if card.model else "without a model"
    return f"""# Scorecard

What `kodo review` and `kodo tests` are worth, {model}, beside tools that ask no model. Written by the run itself:

    {circumstances.command}

{circumstances.date}, kodo {circumstances.version}, {circumstances.machine}, load average at the end {circumstances.load}.
{" ".join(circumstances.notes)}

The sets were written by hand, are in the repository (`bench/scorecard/data`) and were not shown to whoever
wrote the jobs. They are small: a difference of one or two cases is noise. What the row without the model has is static
work and is not the model's merit; only the difference between the two rows of kodo is."""


def _review_part(card: Scorecard) -> str:
    seeded = sum(bool(case.truth) for case in card.cases)
    linter = sum(case.linter for case in card.cases)
    return f"""## Review

{seeded} changes with one seeded bug each ({linter} of them of a kind that ruff or bandit has a rule for) and
{len(card.cases) - seeded} clean ones. A remark counts as right when it names the file, a line at most {NEAR} away and the class of
the bug; every other remark, on a clean change too, counts against precision.

All remarks:

{_as_markdown(review_table(card, "info"))}

Warnings and errors alone:

{_as_markdown(review_table(card, "warning"))}
{_model_in_review(card)}
Bugs found, by case:

{_as_markdown(_found_table(card))}

False alarms on clean changes:

{_alarms(card)}"""


def _model_in_review(card: Scorecard) -> str:
    """What the model added to the static part, in numbers; empty without a model."""
    if not card.model:
        return ""
    got = review_score(card.cases, card.reviews[with_model(card.model)])
    without = review_score(card.cases, card.reviews[WITHOUT_MODEL])
    return f"""
The model was asked {got.requests} times (first pushes alone) and {got.accepted} of its opinions became remarks. By
itself it added {got.hits_by_opinion} found bugs and {got.alarms_by_opinion} false alarms on clean changes; on
seeded ones, remarks that hit nothing went from {without.strays} to {got.strays}.
"""


def _found_table(card: Scorecard) -> Table:
    names = list(card.reviews)
    by_case = {name: {item.case: item for item in reviewed} for name, reviewed in card.reviews.items()}
    rows = [
        (
            f"{case.name} ({case.language})",
            case.truth[0].kind,
            *(_found(case, by_case[name][case.name]) for name in names),
        )
        for case in card.cases
        if case.truth
    ]
    return ("change", "class", *names), rows


def _found(case: ReviewCase, reviewed: Reviewed) -> str:
    found = [remark for remark in reviewed.remarks if any(hits(truth, remark) for truth in case.truth)]
    if not found:
        return "-"
    return "opinion" if all(remark.opinion for remark in found) else found[0].rule


def _alarms(card: Scorecard) -> str:
    clean = {case.name for case in card.cases if not case.truth}
    lines = []
    for name, reviewed in card.reviews.items():
        said = [
            f"{item.case} ({', '.join(sorted({r.rule for r in item.remarks}))})"
            for item in reviewed
            if item.case in clean and item.remarks
        ]
        lines.append(f"- {name}: {'; '.join(said) or 'none'}")
    return "\n".join(lines)


def _tests_part(card: Scorecard) -> str:
    return f"""## Tests

{len(card.modules)} modules, each with a good and a bad version; the bug contradicts the documentation, an example in it, or the types.
{card.isolation}.

{_as_markdown(tests_table(card))}

- Coverage (lines and branches) and mutation score are those of the tests that pass on the good version; the mutants, at
  most {MUTANTS} a module, are the scorecard's own and not those that test generation selects by.
- A regression is caught when the suite written for the good version fails on the bad one.
- A bug is revealed when, from the bad version alone, a test is reported as "this may be a bug" that fails there and
  passes on the good version (the ghostwriter has no such report: its failing tests count).
- A bug is cemented when a test that was kept for the bad version fails on the good one; "unmarked" are those that do
  not say that their value was read off the code.
- A false alarm is a test that accuses the good version.

The funnel, on the good versions:

{_as_markdown(_funnel_table(card))}

By module:

{_as_markdown(_module_table(card))}"""


def _funnel_table(card: Scorecard) -> Table:
    funnels = {name: testgen_score(tested).funnel for name, tested in card.tests.items()}
    steps = list(dict.fromkeys(step for funnel in funnels.values() for step in funnel))
    rows = [(name, *(str(funnel[step]) for step in steps)) for name, funnel in funnels.items() if funnel]
    return ("tests", *(step.replace("_", " ") for step in steps)), rows


def _module_table(card: Scorecard) -> Table:
    names = list(card.tests)
    by_case = {name: {item.case: item for item in tested} for name, tested in card.tests.items()}
    rows = [
        (case.name, case.rests_on, *(_module_cell(by_case[name][case.name]) for name in names))
        for case in card.modules
    ]
    return ("module", "bug contradicts", *names), rows


def _module_cell(item: Measured) -> str:
    if item.error:
        return f"nothing: {item.error.replace('|', '/')}"
    words = [f"{item.killed}/{item.mutants} mutants"]
    words += ["caught"] if item.caught else []
    words += ["revealed"] if item.revealed else []
    words += [f"{item.false_alarms} false"] if item.false_alarms else []
    return ", ".join(words)


def _as_markdown(table: Table) -> str:
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.1f}" if values else "-"
