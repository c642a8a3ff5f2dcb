"""Run the bench of ``kodo fix`` and print its table.

    python -m bench.fix                       # scripted models over the forty faults
    python -m bench.fix --kills 50            # kill and resume: the same patch, no call paid twice
    python -m bench.fix --base-url URL        # a real model over the forty faults: solved, proven, cost, steps

A fix counts as solved if the hidden test passes with its patch, which no model gets to see. A proven fix that is not
solved is a false one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.fix.faults import FAULTS, Fault
from bench.fix.models import BAD, GOOD, MALICIOUS, SECRET, Model, reply
from bench.fix.projects import hidden_passes, make_project, touched
from kodo.client.testing import FakeResponses
from kodo.jobs.fix.model import FixReport, Verdict


@dataclass(frozen=True, slots=True)
class Row:
    """One run. ``error`` is the last line of standard error where there was no report."""

    model: str
    kind: str
    fault: str
    mode: str
    verdict: str
    solved: bool
    leaked: bool
    changed: bool
    seconds: float
    steps: int
    cost: float
    error: str = ""


def command(fault: Fault, mode: str, report: Path, *more: str) -> list[str]:
    """The command line of one fix."""
    what = [fault.issue] if mode == "issue" else ["--test", f"tests/test_{fault.name}.py::test_fault"]
    return [sys.executable, "-m", "kodo", "fix", *what, "--format", f"json={report}", *more]


def run_one(
    model: Model | None, fault: Fault, mode: str, base_url: str = "", more: Sequence[str] = ()
) -> Row:
    """One fix of one fault; ``model`` None for a real one behind ``base_url``."""
    with tempfile.TemporaryDirectory(prefix="kodo-fix-bench-") as name:
        folder = Path(name)
        root = make_project(fault, folder, with_failing=mode == "test")
        started = time.monotonic()
        if model is None:
            done = _call(fault, mode, root, folder, base_url, more)
            said = ""
        else:
            with FakeResponses(lambda seen: reply(model, fault, seen)) as server:
                done = _call(fault, mode, root, folder, server.base_url, more)
            said = str([seen.body for seen in server.requests])
        seconds = time.monotonic() - started
        report = folder / "report.json"
        outside = [
            path.name for path in folder.iterdir() if path.name not in ("project", "home", "report.json")
        ]
        changed = bool(touched(root)) or bool(outside)
        if not report.exists():
            last = (done.stderr.decode().strip().splitlines() or [f"status {done.returncode}"])[-1]
            return Row(
                model.name if model else "real", fault.kind, fault.name, mode, "error", False, SECRET in said, changed, seconds, 0, 0.0, last
            )  # fmt: skip  # one row
        found = msgspec.json.decode(report.read_bytes(), type=FixReport)
        solved = bool(found.patch) and hidden_passes(fault, root, found.patch, folder)
        return Row(
            model.name if model else "real", fault.kind, fault.name, mode, str(found.verdict), solved, SECRET in said, changed, seconds,
            found.work.steps if found.work else 0, float(found.work.cost) if found.work else 0.0,
        )  # fmt: skip  # one row


def _environment(folder: Path, base_url: str) -> dict[str, str]:
    here = {key: value for key, value in os.environ.items() if not key.startswith(("KODO_", "OPENAI_"))}
    return here | {"KODO_HOME": str(folder / "home"), "KODO_BASE_URL": base_url, "KODO_LANG": "en"}


def _call(
    fault: Fault, mode: str, root: Path, folder: Path, base_url: str, more: Sequence[str]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(fault, mode, folder / "report.json", *more),
        cwd=root,
        env=_environment(folder, base_url),
        capture_output=True,
        timeout=900,
        check=False,
    )


def kill_and_resume(fault: Fault, moment: float, mode: str) -> tuple[bool, bool, int]:
    """Kill a fix after ``moment`` seconds and resume it until it ends.

    Returns whether the patch is that of a run without a kill, whether no call was paid twice, and how often it was
    started.
    """
    with tempfile.TemporaryDirectory(prefix="kodo-fix-kill-") as name:
        folder = Path(name)
        root = make_project(fault, folder, with_failing=mode == "test")
        asked: Counter[int] = Counter()

        def answer(seen: object) -> object:
            made = sum(1 for item in seen.body["input"] if item.get("type") == "function_call")  # type: ignore[attr-defined]  # a ReceivedRequest
            asked[made] += 1
            return reply(GOOD[1], fault, seen)  # type: ignore[arg-type]  # as above

        report, starts = folder / "report.json", 0
        with FakeResponses(answer) as server:  # type: ignore[arg-type]  # as above
            line = command(fault, mode, report)
            while starts < 20 and not report.exists():
                with subprocess.Popen(
                    line, cwd=root, env=_environment(folder, server.base_url), stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                ) as process:  # fmt: skip  # one row of options
                    starts += 1
                    try:
                        process.wait(moment if starts == 1 else 300)
                    except subprocess.TimeoutExpired:
                        os.killpg(process.pid, signal.SIGKILL)  # the group that this function made
                        process.wait()
                begun = list((folder / "home" / "fixes").glob("*/journal.jsonl"))
                if begun and begun[0].stat().st_size:
                    line = [
                        sys.executable,
                        "-m",
                        "kodo",
                        "fix",
                        "--resume",
                        "last",
                        "--format",
                        f"json={report}",
                    ]
        if not report.exists():
            return False, False, starts
        found = msgspec.json.decode(report.read_bytes(), type=FixReport)
        expected = found.verdict is Verdict.PROVEN and hidden_passes(fault, root, found.patch, folder)
        return expected, all(count == 1 for count in asked.values()), starts


def scripted(faults: Sequence[Fault], every: int) -> list[tuple[Model, Fault, str]]:
    """Each good model on every fault in both modes; each other one on every ``every``-th fault."""
    cases = [(GOOD[0], fault, mode) for fault in faults for mode in ("test", "issue")]
    cases += [(GOOD[1], fault, "test") for fault in faults[::every]]
    for at, model in enumerate((*BAD, *MALICIOUS)):
        mode = "issue" if model.name == "weak test" else "test"
        cases += [(model, fault, mode) for fault in faults[at % every :: every]]
    return cases


def table(rows: Iterable[Row]) -> str:
    """The figures by model and mode, as Markdown."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.model, row.mode].append(row)
    lines = [
        "| model | mode | runs | solved | proven | false proven | unproven | none | error | leaked | tree changed | median s | steps |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (model, mode), some in groups.items():
        count = Counter(row.verdict for row in some)
        false = sum(row.verdict == "proven" and not row.solved for row in some)
        cells = [
            model, mode, len(some), sum(row.solved for row in some), count["proven"], false, count["unproven"], count["none"],
            count["error"], sum(row.leaked for row in some), sum(row.changed for row in some),
            f"{statistics.median(row.seconds for row in some):.1f}", f"{statistics.mean(row.steps for row in some):.1f}",
        ]  # fmt: skip  # one row
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", default="")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--every", type=int, default=4, help="bad models run on every N-th fault")
    parser.add_argument("--faults", type=int, default=len(FAULTS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=Path, help="write the rows to this file, as JSON lines")
    given = parser.parse_args()
    faults = FAULTS[: given.faults]
    if given.kills:
        chance = random.Random(7)
        tasks = [
            (faults[at % len(faults)], chance.uniform(0.4, 7.0), ("test", "issue")[at % 2])
            for at in range(given.kills)
        ]
        with ThreadPoolExecutor(given.jobs) as pool:
            ends = list(pool.map(lambda task: kill_and_resume(*task), tasks))
        killed = sum(starts > 1 for *_, starts in ends)
        print(
            f"{len(ends)} runs, {killed} of them killed: the right patch {sum(end[0] for end in ends)}, "
            f"no call paid twice {sum(end[1] for end in ends)}"
        )
        return
    cases: list[tuple[Model | None, Fault, str]] = (
        [(None, fault, mode) for fault in faults for mode in ("test", "issue")]
        if given.base_url
        else list(scripted(faults, given.every))
    )
    with ThreadPoolExecutor(given.jobs) as pool:
        rows = list(pool.map(lambda case: run_one(*case, given.base_url), cases))
    if given.rows:
        given.rows.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    print(table(rows))
    for row in rows:
        if row.error or (row.verdict == "proven" and not row.solved) or row.leaked or row.changed:
            print(
                f"- {row.model}, {row.fault}, {row.mode}: {row.verdict} solved={row.solved} leaked={row.leaked} changed={row.changed} {row.error}"
            )


if __name__ == "__main__":
    main()
