"""Run the bench of ``kodo fix`` and print its table.

    python -m bench.fix                       # scripted models over the forty faults
    python -m bench.fix --kills 50            # kill and resume: the same patch, no call paid twice
    python -m bench.fix --base-url URL        # a real model over the forty faults: solved, proven, cost, steps

A fix counts as solved if the hidden test passes with its patch, which no model gets to see. A proven fix that is not
solved is a false one. With ``--rows FILE`` each run is written there when it ends, and runs that it has are not made again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.fix.faults import FAULTS, Fault
from bench.fix.kills import Moment, kill_and_resume
from bench.fix.models import BAD, GOOD, MALICIOUS, MODELS, SLOW
from bench.fix.runs import Row, keyed, preload, read_rows, row_line, run_one

Case = tuple[str, str, str]
"""The names of a model ("" for a real one) and a fault, and the mode."""
FAULTS_BY_NAME = {fault.name: fault for fault in FAULTS}
_EVERY_SLOW = 8


def scripted(faults: Sequence[Fault], every: int) -> list[Case]:
    """The good model on every fault in both modes; each other one on every ``every``-th fault, the slow ones on fewer."""
    cases: list[Case] = []
    for at, model in enumerate((GOOD[1], *BAD, *MALICIOUS)):
        cases += [(model.name, fault.name, model.mode) for fault in faults[at % every :: every]]
    for at, model in enumerate(SLOW):
        cases += [(model.name, fault.name, model.mode) for fault in faults[at :: max(every, _EVERY_SLOW)]]
    return cases + [("good", fault.name, mode) for fault in faults for mode in ("test", "issue")]


def _run(task: tuple[Case, str, tuple[str, ...]]) -> Row:
    (model, fault, mode), base_url, more = task
    return run_one(MODELS.get(model), FAULTS_BY_NAME[fault], mode, base_url, more)


def run_all(
    cases: Sequence[Case], jobs: int, rows: Path | None, base_url: str = "", more: tuple[str, ...] = ()
) -> list[Row]:
    """Run each case; those that the file of rows has already are taken from there."""
    known = keyed(read_rows(rows) if rows else [])
    found = [known[case[0] or "real", *case[1:]] for case in cases if (case[0] or "real", *case[1:]) in known]
    left = [case for case in cases if (case[0] or "real", *case[1:]) not in known]
    preload()
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for row in pool.imap_unordered(_run, [(case, base_url, more) for case in left]):
            found.append(row)
            if rows:
                with rows.open("ab") as file:
                    file.write(row_line(row))
            if row.error or row.false_proof or row.leaked or row.changed:
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


def kills(count: int, jobs: int, faults: Sequence[Fault]) -> str:
    """Kill at ``count`` moments: in turn at an entry of the journal and after some seconds."""
    chance = random.Random(7)
    tasks = [
        (
            faults[at % len(faults)],
            Moment(entry=1 + at // 2 % 18) if at % 2 else Moment(after=chance.uniform(0.4, 9.0)),
            ("test", "issue")[at // 2 % 2],
        )
        for at in range(count)
    ]
    with ThreadPoolExecutor(jobs) as pool:
        ends = list(pool.map(lambda task: kill_and_resume(*task), tasks))
        whole = {}
        for (fault, _, mode), _ in zip(tasks, ends, strict=True):
            whole.setdefault((fault.name, mode), pool.submit(kill_and_resume, fault, Moment(after=1e9), mode))
        same = sum(
            end.patch == whole[fault.name, mode].result().patch
            for (fault, _, mode), end in zip(tasks, ends, strict=True)
        )
    lines = [
        f"{len(ends)} runs, {sum(end.starts > 1 for end in ends)} of them killed and resumed: proven and solved "
        f"{sum(end.right for end in ends)}, the patch of a run without a kill {same}, no call paid twice "
        f"{sum(end.paid_once for end in ends)}"
    ]
    lines += [
        f"- {fault.name}, {mode}, {moment}: {end.right} {end.paid_once} {end.starts}"
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
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--rows", type=Path, help="keep the rows in this file, as JSON lines, and go on from it"
    )
    parser.add_argument("--table", action="store_true", help="only print the table of --rows")
    given, more = parser.parse_known_args()
    faults = FAULTS[: given.faults]
    if given.kills:
        print(kills(given.kills, given.jobs, faults))
        return
    cases: list[Case] = (
        [("", fault.name, mode) for fault in faults for mode in ("test", "issue") if given.mode in ("", mode)]
        if given.base_url
        else [case for case in scripted(faults, given.every) if given.models in case[0]]
    )
    rows = (
        read_rows(given.rows)
        if given.table
        else run_all(cases, given.jobs, given.rows, given.base_url, tuple(more))
    )
    print(table(rows))
    for row in rows:
        if row.error or row.false_proof or row.leaked or row.changed:
            print(describe(row))


if __name__ == "__main__":
    main()
