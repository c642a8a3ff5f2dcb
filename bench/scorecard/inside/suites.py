"""Runs one test suite against several versions of a module, each in a process of its own; inside the sandbox.

    python suites.py JOB.json        # writes one JSON document to standard output

The job: ``suite`` (text), ``module`` (file name), ``versions`` (name -> source), ``detail`` (names of the versions
whose tests are all run and told one by one, with coverage; for the others the first failure ends the run), ``only``
(names of the tests to run; all of them where it is empty), ``seconds`` (for each version). The answer, by version: ``passed``, ``failed`` and ``broken`` tests (by name), ``covered`` (share of
lines and branches, only with detail), ``timed_out``. pytest is imported once, before the processes are forked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import pytest

SUITE = "test_scorecard_suite.py"
PLUGIN = "_hypothesis_pytestplugin"
"""The one plugin that suites get; finding and importing all that are installed takes seconds for each version."""


class Outcomes:
    """A pytest plugin that writes down how each test ended."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test; a failure of set-up or tear-down makes the test broken."""
        name = report.nodeid.partition("::")[2]
        if report.when == "call":
            (self.failed if report.failed else self.passed).append(name)
        elif report.failed:
            self.broken.append(name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected is broken."""
        if report.failed:
            self.broken.append("collection")


def run_version(folder: Path, job: dict[str, Any], name: str) -> dict[str, Any]:
    """Run the suite against one version, in this process, in ``folder``."""
    module = folder / job["module"]
    module.write_text(job["versions"][name], encoding="utf-8")
    suite = folder / SUITE
    suite.write_text(job["suite"], encoding="utf-8")
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    hypothesis.settings.register_profile(
        "scorecard",
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("scorecard")
    outcomes = Outcomes()
    detail = name in job["detail"]
    arguments = [
        *([f"{SUITE}::{test}" for test in job["only"]] or [SUITE]),
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        PLUGIN,
        "-c",
        os.devnull,
    ]
    arguments += ["--rootdir", str(folder), *([] if detail else ["-x"])]
    measure = coverage.Coverage(data_file=None, branch=True, include=[str(module)]) if detail else None
    if measure:
        measure.start()
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main(arguments, plugins=[outcomes])
    answer: dict[str, Any] = dict(vars(outcomes))
    if measure:
        measure.stop()
        answer["covered"] = _covered(measure, folder)
    return answer


def _covered(measure: coverage.Coverage, folder: Path) -> float:
    """Share of the module's lines and branches that ran, 0 to 1; 0 when it was never imported."""
    target = folder / "coverage.json"
    try:
        measure.json_report(outfile=str(target))
    except coverage.exceptions.NoDataError:
        return 0.0
    totals = json.loads(target.read_text(encoding="utf-8"))["totals"]
    return float(totals["percent_covered"]) / 100


def in_child(job: dict[str, Any], name: str) -> dict[str, Any]:
    """Fork, run one version, and read its answer from a file; kill it when its time is over."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "version"
        folder.mkdir()
        answer = Path(scratch) / "answer.json"
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setpgid(0, 0)
                answer.write_text(json.dumps(run_version(folder, job, name)), encoding="utf-8")
                status = 0
            finally:
                os._exit(status)
        timed_out = not _wait(child, job["seconds"])
        empty = {"passed": [], "failed": [], "broken": [] if timed_out else ["process"]}
        told = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() and not timed_out else empty
        return {"covered": None, **told, "timed_out": timed_out, "seconds": time.monotonic() - start}


def _wait(child: int, seconds: float) -> bool:
    """Whether the child ended in time; otherwise it and its group are killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> None:
    """Read the job, run every version, write the answers. A run of nothing comes first, so that children find it all imported."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main(["--version", "-p", PLUGIN, "-c", os.devnull])
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps({name: in_child(job, name) for name in job["versions"]}))


if __name__ == "__main__":
    main()
