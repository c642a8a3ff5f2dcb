"""Kill a fix with ``kill -9`` at a moment and resume it until it ends: the same patch, and no call paid twice."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.fix.faults import Fault
from bench.fix.models import GOOD, reply
from bench.fix.projects import hidden_passes, make_project
from bench.fix.runs import PYTHON, arguments, environment
from kodo.client.testing import FakeResponses, ReceivedRequest, Reply
from kodo.jobs.fix import FixReport, Verdict

MAX_STARTS = 20


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: ``after`` seconds, or, where ``entry`` is above 0, as soon as the journal has so many entries."""

    after: float = 0.0
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of one: ``right`` patch, each call ``paid_once``, how often it was started, the patch."""

    right: bool
    paid_once: bool
    starts: int
    patch: str = ""


def kill_and_resume(fault: Fault, moment: Moment, mode: str) -> Ending:
    """Kill a fix at a moment and resume it until it ends. A call counts as paid when the model made an answer."""
    with tempfile.TemporaryDirectory(prefix="kodo-fix-kill-") as name:
        folder = Path(name)
        root = make_project(fault, folder, with_failing=mode == "test")
        asked: Counter[int] = Counter()
        lock = threading.Lock()

        def answer(seen: ReceivedRequest) -> Reply:
            with lock:
                asked[sum(1 for item in seen.body["input"] if item.get("type") == "function_call")] += 1
            return reply(GOOD[1], fault, seen)

        report, starts = folder / "report.json", 0
        with FakeResponses(answer) as server:
            while starts < MAX_STARTS and not report.exists():
                resumes = any(path.stat().st_size for path in _journals(folder))
                line = (
                    ["fix", "--resume", "last", "--format", f"json={report}"]
                    if resumes
                    else arguments(fault, mode, report)
                )
                starts += 1
                _start(
                    line, root, environment(folder, server.base_url), folder, moment if starts == 1 else None
                )
        if not report.exists():
            return Ending(False, False, starts)
        found = msgspec.json.decode(report.read_bytes(), type=FixReport)
        right = found.verdict is Verdict.PROVEN and hidden_passes(fault, root, found.patch, folder)
        return Ending(right, all(count == 1 for count in asked.values()), starts, found.patch)


def _start(line: list[str], root: Path, env: dict[str, str], folder: Path, moment: Moment | None) -> None:
    with subprocess.Popen(
        [*PYTHON, *line], cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:  # fmt: skip  # one row of options
        began = time.monotonic()
        while process.poll() is None:
            if moment is not None and _is_now(moment, time.monotonic() - began, folder):
                os.killpg(process.pid, signal.SIGKILL)  # the group that this function made
                process.wait()
            time.sleep(0.005)


def _is_now(moment: Moment, seconds: float, folder: Path) -> bool:
    if moment.entry:
        return any(path.read_bytes().count(b"\n") >= moment.entry for path in _journals(folder))
    return seconds >= moment.after


def _journals(folder: Path) -> list[Path]:
    return list((folder / "home" / "fixes").glob("*/journal.jsonl"))
