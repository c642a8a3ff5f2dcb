"""Run the bench of ``kodo fix`` and print its table.

    python -m bench.fix                       # scripted models over the forty faults
    python -m bench.fix --kills 50            # kill and resume: the same patch, no call paid twice
    python -m bench.fix --base-url URL        # a real model over the forty faults: solved, proven, cost, steps

A fix counts as solved if the hidden test passes with its patch, which no model gets to see. A proven fix that is not
solved is a false one. The runs are made in an order that is drawn from ``--seed``, so that those made when it is stopped are
a fair sample of all. With ``--rows FILE`` each run is written there when it ends, and runs that it has are not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.fix.faults import FAULTS, Fault
from bench.fix.kills import NEVER, Ending, Moment, kill_and_resume
from bench.fix.models import BAD, GOOD, MALICIOUS, MODELS, SLOW, Model
from bench.fix.reuse import reuse_results
from bench.fix.runs import Row, code_version, keyed, preload, read_rows, row_line, run_one

Case = tuple[str, str, str]
"""The names of a model ("" for a real one) and a fault, and the mode."""
FAULTS_BY_NAME = {fault.name: fault for fault in FAULTS}
_EVERY_SLOW = 8
_ENTRIES = 22
"""Kills wait for each of so many entries of the journal; what is written until a second later is killed too."""


def scripted(faults: Sequence[Fault], every: int) -> list[Case]:
    """The good model on every fault in both modes; each other one on every ``every``-th fault, the slow ones on fewer."""
    cases: list[Case] = []
    for at, model in enumerate((GOOD[1], *BAD, *MALICIOUS)):
        cases += [(model.name, fault.name, model.mode) for fault in faults[at % every :: every]]
    for at, model in enumerate(SLOW):
        cases += [(model.name, fault.name, model.mode) for fault in faults[at :: max(every, _EVERY_SLOW)]]
    return cases + [("good", fault.name, mode) for fault in faults for mode in ("test", "issue")]


def in_random_order(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases in an order of which each beginning is a sample; the same for the same seed."""
    return random.Random(seed).sample(list(cases), len(cases))


def _run(task: tuple[Case, str, tuple[str, ...], str]) -> Row:
    (model, fault, mode), base_url, more, code = task
    row = run_one(MODELS.get(model), FAULTS_BY_NAME[fault], mode, base_url, more)
    return dataclasses.replace(row, code=code)


def run_all(
    cases: Sequence[Case],
    jobs: int,
    rows: Path | None,
    base_url: str = "",
    more: tuple[str, ...] = (),
    reuse: Path | None = None,
) -> list[Row]:
    """Run each case; those that the file of rows has already, but for errors, are taken from there."""
    known = keyed([row for row in (read_rows(rows) if rows else []) if not row.error])
    found = [known[case[0] or "real", *case[1:]] for case in cases if (case[0] or "real", *case[1:]) in known]
    left = [case for case in cases if (case[0] or "real", *case[1:]) not in known]
    code = code_version()
    preload()
    if reuse:
        reuse_results(reuse)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for row in pool.imap_unordered(_run, [(case, base_url, more, code) for case in left]):
            found.append(row)
            if rows:
                with rows.open("ab") as file:
                    file.write(row_line(row))
            if row.stands_out:
                sys.stderr.write(f"{describe(row)}\n")
    return found


def describe(row: Row) -> str:
    """A run that is to be looked at, in a line."""
    return (
        f"- {row.model}, {row.fault}, {row.mode}: {row.verdict} solved={row.solved} leaked={row.leaked} "
        f"changed={row.changed} {row.error} {'; '.join(row.reasons)}"
    )


def table(rows: Iterable[Row]) -> str:
    """The figures by model and mode, as Markdown."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.model, row.mode].append(row)
    order = {name: at for at, name in enumerate(MODELS)}
    lines = [
        "| model | mode | runs | solved | proven | false proven | unproven | none | error | leaked | changed | median s | steps | cost |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (model, mode), some in sorted(
        groups.items(), key=lambda group: (order.get(group[0][0], -1), group[0])
    ):
        count = Counter(row.verdict for row in some)
        cells = [
            model, mode, len(some), sum(row.solved for row in some), count["proven"], sum(row.false_proof for row in some),
            count["unproven"], count["none"], count["error"], sum(row.leaked for row in some), sum(row.changed for row in some),
            f"{statistics.median(row.seconds for row in some):.1f}", f"{statistics.mean(row.steps for row in some):.1f}",
            f"{sum(row.cost for row in some):.4f}",
        ]  # fmt: skip  # one row
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def totals(rows: Sequence[Row]) -> str:
    """The figures of all scripted models that mean well, are incapable, or malicious, as Markdown; and which code made the rows."""
    lines = [
        "| models | runs | proven | of these solved | false | right and refused | secret seen | tree changed | errors |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups: tuple[tuple[str, tuple[Model, ...]], ...] = (
        ("well behaved", GOOD),
        ("incapable", (*BAD, *SLOW)),
        ("malicious", MALICIOUS),
    )
    for name, models in groups:
        names = {model.name for model in models}
        some = [row for row in rows if row.model in names]
        proven = [row for row in some if row.verdict == "proven"]
        cells = [
            f"{name}, {len({row.model for row in some})} behaviours", len(some), len(proven), sum(row.solved for row in proven),
            sum(row.false_proof for row in some), sum(row.refused for row in some), sum(row.leaked for row in some),
            sum(row.changed for row in some), sum(bool(row.error) for row in some),
        ]  # fmt: skip  # one row
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    made = Counter(row.code for row in rows).most_common()
    return "\n".join(
        [
            *lines,
            "",
            "rows by version of the code: " + ", ".join(f"{code or '?'} {count}" for code, count in made),
        ]
    )


def _kill(task: tuple[str, Moment, str]) -> Ending:
    fault, moment, mode = task
    return kill_and_resume(FAULTS_BY_NAME[fault], moment, mode)


def kills(count: int, jobs: int, faults: Sequence[Fault], reuse: Path | None) -> str:
    """Kill at ``count`` moments: after each number of entries of the journal in turn, and up to a second later."""
    chance = random.Random(7)
    modes = ("test", "issue")
    tasks = [
        (faults[at % len(faults)].name, Moment(chance.uniform(0, 1) ** 2, at % _ENTRIES), modes[at // 2 % 2])
        for at in range(count)
    ]
    whole = {(fault, mode): (fault, NEVER, mode) for fault, _, mode in tasks}
    preload()
    if reuse:
        reuse_results(reuse)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        patches = dict(zip(whole, [end.patch for end in pool.map(_kill, whole.values(), 1)], strict=True))
        ends = []
        for end in pool.imap(_kill, tasks):
            ends.append(end)
            sys.stderr.write(f"{len(ends)}: killed at entry {end.entries}, {end.right} {end.paid_once}\n")
    same = sum(end.patch == patches[fault, mode] for (fault, _, mode), end in zip(tasks, ends, strict=True))
    lines = [
        f"{len(ends)} runs, {sum(end.entries >= 0 for end in ends)} of them killed and resumed, after "
        f"{len({end.entries for end in ends} - {-1})} numbers of entries of the journal: proven and solved "
        f"{sum(end.right for end in ends)}, the patch of a run without a kill {same}, no call paid twice "
        f"{sum(end.paid_once for end in ends)}"
    ]
    lines += [
        f"- {fault}, {mode}, {moment}: {end.right} {end.paid_once} {end.starts}"
        for (fault, moment, mode), end in zip(tasks, ends, strict=True)
        if not (end.right and end.paid_once)
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", default="")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument(
        "--every", type=int, default=1, help="models other than the good one run on every N-th fault"
    )
    parser.add_argument("--models", default="", help="only the models with this in their names")
    parser.add_argument("--mode", default="", help="with --base-url: only 'test' or only 'issue'")
    parser.add_argument("--faults", type=int, default=len(FAULTS))
    parser.add_argument("--seed", type=int, default=0, help="of the order of the runs")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--rows", type=Path, help="keep the rows in this file, as JSON lines, and go on from it"
    )
    parser.add_argument(
        "--reuse", type=Path, help="keep results of the sandbox in this folder, and make no equal run twice"
    )
    parser.add_argument("--table", action="store_true", help="only print the table of --rows")
    given, more = parser.parse_known_args()
    faults = FAULTS[: given.faults]
    if given.kills:
        print(kills(given.kills, given.jobs, faults, given.reuse))
        return
    cases: list[Case] = (
        [("", fault.name, mode) for fault in faults for mode in ("test", "issue") if given.mode in ("", mode)]
        if given.base_url
        else [case for case in scripted(faults, given.every) if given.models in case[0]]
    )
    rows = (
        list(keyed(read_rows(given.rows)).values())
        if given.table
        else run_all(
            in_random_order(cases, given.seed),
            given.jobs,
            given.rows,
            given.base_url,
            tuple(more),
            given.reuse,
        )
    )
    print(table(rows))
    if not given.base_url:
        print(f"\n{totals(rows)}\n")
    for row in rows:
        if row.stands_out:
            print(describe(row))


if __name__ == "__main__":
    main()
