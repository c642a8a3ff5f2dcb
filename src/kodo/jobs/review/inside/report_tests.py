"""The tested process: runs pytest over a project and reports each result to ``run_tests.py`` through a pipe.

    python -I report_tests.py DESCRIPTOR TMP PROJECT ONLY [SITE-PACKAGES]

ONLY is a JSON list of the files to run the tests of, relative to the project, each test in a process of its own; empty
for all tests, in this process.

With the packages of the project's own environment, those come before kodo's, and only their plugins are loaded; without
them, kodo's own plugin for a random order is not.

The secret and the name of the planted test come through the standard input. Everything that this program and pytest
need is imported before the project's folders are on the path, so that no file there can stand for a library.
"""

import gc
import json
import os
import random
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol


class Planted(pytest.Item):
    """A test that must fail, with a text that only the two programs know."""

    sign = ""

    def runtest(self) -> None:
        """Fail."""
        raise AssertionError(self.sign)


class Reporter:
    """Writes every result to the pipe."""

    def __init__(self, descriptor: int, secret: str, planted: str, sign: str, *, apart: bool) -> None:
        # What the project replaces later is not used.
        self._write, self._dumps, self._exit = os.write, json.dumps, os._exit
        self._fork, self._wait = os.fork, os.waitpid
        self.descriptor, self.secret, self.planted, self.sign = descriptor, secret, planted, sign
        self.apart = apart

    def send(self, **what: object) -> None:
        """Write one line; a line is longer than a pipe takes in one go where a failure is."""
        data = (self._dumps({"secret": self.secret, **what}) + "\n").encode()
        while data:
            data = data[self._write(self.descriptor, data) :]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: "list[pytest.Item]") -> None:
        """Plant the test that must fail anywhere among the others."""
        item = Planted.from_parent(session, name=self.planted)
        item.sign = self.sign
        items.insert(random.SystemRandom().randint(0, len(items)), item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> "bool | None":
        """Run a test in a process of its own, where that is asked for; what another test did is not seen there."""
        if not self.apart or isinstance(item, Planted):
            return None
        gc.freeze()  # a child's collector would touch, and so copy, all that there is
        child = self._fork()
        if child == 0:
            status = 1
            try:
                runtestprotocol(item, nextitem=None)
                status = 0
            finally:
                self._exit(status)
        if self._wait(child, 0)[1]:
            text = "the process of the test ended early"
            self.send(id=self._name(item.nodeid), phase="call", outcome="failed", text=text)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        text = report.longreprtext if report.failed else ""
        self.send(id=self._name(report.nodeid), phase=report.when, outcome=report.outcome, text=text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected."""
        if report.failed:
            name = self._name(report.nodeid)
            self.send(id=name, phase="collect", outcome="failed", text=report.longreprtext)

    def _name(self, nodeid: str) -> str:
        """A test's name as pytest takes it: ``tests/test_cart.py::TestCart::test_total``."""
        return self.planted if nodeid.endswith(self.planted) else nodeid


def _plugins(packages: str) -> "list[str]":
    """Options that load the plugins of these packages and no others."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    found = [
        point.value.partition(":")[0]
        for one in distributions(path=[packages])
        for point in one.entry_points
        if point.group == "pytest11"
    ]
    return [part for name in sorted(set(found)) for part in ("-p", name)]


def main() -> None:
    """Run pytest once, then say that it came to its end."""
    descriptor, folder, project = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    os.set_inheritable(descriptor, False)
    orders = json.loads(sys.stdin.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    only, packages = json.loads(sys.argv[4]), sys.argv[5:6]
    reporter = Reporter(descriptor, orders["secret"], orders["planted"], orders["sign"], apart=bool(only))
    options = _plugins(packages[0]) if packages else ["-p", "no:randomly"]
    sys.path[:0] = [str(project), str(project / "src"), *packages]
    status = pytest.main(
        [
            "-q", "-p", "no:cacheprovider", "--doctest-modules", "--doctest-continue-on-failure", "--basetemp",
            str(folder / "pytest"), "--ignore-glob=*/setup.py", "--continue-on-collection-errors",
            "-o", "addopts=", *options, *(str(project / path) for path in only or [""]),
        ],
        plugins=[reporter],
    )  # fmt: skip  # one row of options
    reporter.send(end=int(status))
    sys.exit(int(status))


if __name__ == "__main__":
    main()
