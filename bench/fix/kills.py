"""Kill a fix with ``kill -9`` at a moment and resume it until it ends: the same patch, and no call paid twice."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.fix.faults import Fault
from bench.fix.models import GOOD, reply
from bench.fix.projects import hidden_passes, make_project
from bench.fix.runs import TEST_SECONDS, Standby, arguments
from kodo.client.testing import FakeResponses, ReceivedRequest, Reply
from kodo.jobs.fix import FixReport, Verdict

MAX_STARTS = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: ``after`` seconds from where the journal has ``entry`` entries."""

    after: float = 0.0
    entry: int = 0


NEVER = Moment(after=1e9)


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of one: ``right`` patch, each call ``paid_once``, how often it was started, the patch.

    ``entries``: what the journal held when it was killed; -1 where it ended before.
    """

    right: bool
    paid_once: bool
    starts: int
    patch: str = ""
    entries: int = -1


def kill_and_resume(fault: Fault, moment: Moment, mode: str) -> Ending:
    """Kill a fix at a moment and resume it until it ends. A call counts as paid when the model made an answer."""
    with tempfile.TemporaryDirectory(prefix="kodo-fix-bench-") as name:
        folder = Path(name)
        root = make_project(fault, folder, with_failing=mode == "test")
        asked: Counter[int] = Counter()
        lock = threading.Lock()

        def answer(seen: ReceivedRequest) -> Reply:
            with lock:
                asked[sum(1 for item in seen.body["input"] if item.get("type") == "function_call")] += 1
            return reply(GOOD[1], fault, seen)

        report, starts, entries = folder / "report.json", 0, -1
        first = arguments(fault, mode, report, "--test-seconds", str(TEST_SECONDS))
        children = [Standby(root, folder) for _ in range(MAX_STARTS)]
        with FakeResponses(answer) as server:
            for child in children:
                if report.exists():
                    child.wait()
                    continue
                resumes = any(path.stat().st_size for path in _journals(folder))
                child.start(["fix", "--resume", "last", *first[-4:]] if resumes else first, server.base_url)
                starts += 1
                if _end(child, moment if starts == 1 else NEVER, folder):
                    entries = _entries(folder)
        if not report.exists():
            return Ending(False, False, starts)
        found = msgspec.json.decode(report.read_bytes(), type=FixReport)
        right = found.verdict is Verdict.PROVEN and hidden_passes(fault, root, found.patch, folder)
        return Ending(right, all(count == 1 for count in asked.values()), starts, found.patch, entries)


def _end(child: Standby, moment: Moment, folder: Path) -> bool:
    """Wait for the end of a run, or bring it about at a moment; whether that was done."""
    reached = 0.0
    while os.waitpid(child.pid, os.WNOHANG)[0] == 0:
        if not reached and _entries(folder) >= moment.entry:
            reached = time.monotonic()
        if reached and time.monotonic() - reached >= moment.after:
            os.killpg(child.pid, signal.SIGKILL)  # the group that the child made for itself
            os.waitpid(child.pid, 0)
            return True
        time.sleep(0.002)
    return False


def _entries(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in _journals(folder))


def _journals(folder: Path) -> Sequence[Path]:
    return list((folder / "home" / "fixes").glob("*/journal.jsonl"))
