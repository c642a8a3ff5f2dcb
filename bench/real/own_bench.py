"""Review the last commits of this repository, each with its code executed in both versions.

    python -m bench.real own                 the last 50 commits, newest first
    python -m bench.real own --rows FILE     append each commit's row, and go on after those that are in it

A commit counts where it is no merge and changes a Python file below src; how many others lie between them is said. The
environment is the repository's own .venv, as it is for a user.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec

from bench.real.review_report import Remark
from bench.real.review_score import remark
from bench.real.selection import git
from kodo.jobs.report.model import Executed, State
from kodo.jobs.review.job import review
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import CommitSource

ROOT = Path(__file__).parent.parent.parent


class OwnRow(msgspec.Struct, frozen=True):
    """What the review of one commit gave; ``crash`` is a traceback or what the review failed by, ``load`` the machine's."""

    commit: str
    subject: str
    seconds: float = 0.0
    load: float = 0.0
    state: str = ""
    remarks: tuple[Remark, ...] = ()
    executed: Executed | None = None
    notes: tuple[str, ...] = ()
    crash: str = ""

    def text(self) -> str:
        """The row for the terminal: a head, and a line a remark and a line a reason why code was not run."""
        ran = self.executed or Executed()
        head = f"{self.commit[:10]} {self.seconds:.1f} s, {len(ran.functions)} functions, {ran.inputs} inputs: {self.subject}"
        said = [f"[{one.severity} {one.rule}] {one.path}:{one.line} {one.message}" for one in self.remarks]
        lost = [f"not run: {reason}" for reason in ran.not_run]
        return "\n    ".join([head, *said, *lost, *([f"CRASH {self.crash}"] if self.crash else [])])


def main(arguments: Sequence[str]) -> int:
    """Run the bench; exit status 1 where a review ended in an exception or failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.real own", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repository", type=Path, default=ROOT)
    parser.add_argument("--head", default="HEAD", help="the newest commit")
    parser.add_argument("--last", type=int, default=50, help="how many commits")
    parser.add_argument("--commit", action="append", default=[], help="only these (the beginning of an id)")
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0, help="budget of a review for running code")
    parser.add_argument("--jobs", type=int, default=1, help="commits at the same time")
    args = parser.parse_args(arguments)
    chosen, others = last_commits(args.repository, args.head, args.last)
    rows = _read_rows(args.rows)
    done = {row.commit for row in rows}
    wanted = [one for one in chosen if one[0] not in done]
    if args.commit:
        wanted = [one for one in wanted if one[0].startswith(tuple(args.commit))]
    with ProcessPoolExecutor(args.jobs) as pool:  # processes, as a review sets signals
        running = [pool.submit(review_commit, args.repository, *one, args.seconds) for one in wanted]
        for future in as_completed(running):
            rows.append(future.result())
            print(rows[-1].text(), flush=True)
            if args.rows:
                with args.rows.open("ab") as file:
                    file.write(msgspec.json.encode(rows[-1]) + b"\n")
    print("\n".join(figures(rows, others)))
    return int(any(row.crash for row in rows))


def last_commits(repository: Path, head: str, count: int) -> tuple[list[tuple[str, str]], int]:
    """The newest ``count`` commits with Python below src, id and subject, and how many newer ones than the last have none."""
    chosen: list[tuple[str, str]] = []
    others = 0
    for line in git(repository, "log", "--no-merges", "--format=%H%x09%s", head).splitlines():
        if len(chosen) == count:
            break
        commit, subject = line.split("\t", 1)
        names = git(repository, "show", "--format=", "--name-only", "--no-renames", commit).splitlines()
        if any(name.startswith("src/") and name.endswith(".py") for name in names):
            chosen.append((commit, subject))
        else:
            others += 1
    return chosen, others


def review_commit(repository: Path, commit: str, subject: str, seconds: float) -> OwnRow:
    """Review one commit without a model, as a user's review of it, but for fixes, which are not tried."""
    options = ReviewOptions(run=True, run_seconds=seconds, fixes=False)
    start, load = time.perf_counter(), round(os.getloadavg()[0], 1)
    try:
        report = review(CommitSource(commit, repository), options, None)
    except Exception:  # noqa: BLE001 - a crash of the job is a result of the bench
        spent = time.perf_counter() - start
        return OwnRow(commit, subject, spent, load, crash=traceback.format_exc())
    return OwnRow(
        commit,
        subject,
        round(time.perf_counter() - start, 1),
        load,
        str(report.state),
        tuple(map(remark, report.findings)),
        report.executed,
        report.notes,
        "; ".join(report.notes) if report.state is State.FAILED else "",
    )


def figures(rows: Sequence[OwnRow], others: int) -> list[str]:
    """What the rows come to, a line each."""
    if not rows:
        return ["no commits"]
    ran = [row.executed or Executed() for row in rows]
    seconds = [row.seconds for row in rows]
    severities = Counter(one.severity for row in rows for one in row.remarks)
    said = ", ".join(f"{count} {name}" for name, count in sorted(severities.items()))
    return [
        f"{len(rows)} commits ({others} between them change no Python below src)",
        f"{sum(bool(row.crash) for row in rows)} crashes",
        f"{sum(severities.values())} remarks ({said}), on {sum(bool(row.remarks) for row in rows)} commits",
        f"code executed on {sum(bool(one.inputs) for one in ran)}: {sum(len(one.functions) for one in ran)} functions,"
        f" {sum(one.inputs for one in ran)} inputs, {sum(one.differences for one in ran)} differences",
        f"seconds a commit: {statistics.median(seconds):.1f} (median), {max(seconds):.1f} (most)",
        f"load: {statistics.median(row.load for row in rows):.1f} (median)",
    ]


def _read_rows(path: Path | None) -> list[OwnRow]:
    if path is None or not path.exists():
        return []
    return [msgspec.json.decode(line, type=OwnRow) for line in path.read_bytes().splitlines()]
