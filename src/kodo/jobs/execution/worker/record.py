"""Run a project's own tests and write down the calls they make through changed functions.

    python -m kodo.jobs.execution.worker.record JOB.json > calls

Each line is a ``RecordedCall`` call, written as soon as it is known. The tests run in a child, in the project's folder, with the plugins of the project's own
environment and no others. What they say does not matter here.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from _pytest.runner import runtestprotocol

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.carving import Recorder
from kodo.jobs.execution.worker.fork import Send, forked
from kodo.jobs.execution.worker.jobs import Record, RecordedCall
from kodo.jobs.execution.worker.load import forget, prepare_path, project, time_limit
from kodo.jobs.execution.worker.marks import Marks
from kodo.jobs.execution.worker.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEST_SECONDS = 1.0
_TOGETHER = 12
_PORTIONS = (0, 2, 6, 12)
"""Where the files are divided: the nearest ones run before others are imported, which may take long."""
_OPTIONS = (
    "-q",
    "-p",
    "no:cacheprovider",
    "--continue-on-collection-errors",
    "--assert=plain",  # what a failed assertion says does not matter, and rewriting a large file takes long
    "-o",
    "addopts=",
    "-o",
    "filterwarnings=",
)
_WITHOUT_SETTINGS = ("--noconftest", "-c", os.devnull, "--rootdir", ".")
"""Options by which nothing of the project decides how its tests run."""
_MAX_CALLS = 300
_MAX_CALLS_A_TEST = 4
_FEW_CALLS, _MANY_TESTS = 10, 400
"""With fewer calls than these the tests are run for longer, but not when so many went through no changed function."""
_TRIED_TESTS = 40
"""The tests of the files that are imported together after which the next ones are, where none went through a changed function."""
_TRACED = 60
"""The tests through changed functions that are written down whatever way they take; then those of new ways."""
_MAX_ALIKE = 24
_MAX_VAIN = 40
"""The tests one after the other that take no new way through the changed functions before no more are run."""
_PART = re.compile(r"[A-Z]?[a-z]{3,}")
_COMMON = 0.3
"""The share of the tests whose names have a word in them from which on it says nothing."""
_PATIENCE = 4
"""How many times as many they are as long as there are lines touched by the change that none of them ran, or none are known."""


def is_stopped(job: Record) -> bool:
    """Whether nobody waits for the calls any more. The folder of the version is the project's by then."""
    return bool(job.stop) and (project().parent / job.stop).exists()


class _Plugin:
    """Orders the tests, watches each, and sends the calls that were found in it."""

    def __init__(self, recorder: Recorder, job: Record, send: Send) -> None:
        self._recorder, self._job, self._send = recorder, job, send
        self._alike: Counter[tuple[tuple[str, ...], str]] = Counter()
        self._sent: set[Call] = set()
        self._path: Path | None = None
        self._ran = 0
        self._marks: dict[str, Marks] = {}
        self._ways: set[tuple[tuple[int, ...], ...]] = set()
        self._touched = {(one.where.path, line) for one in job.watched for line in one.touched}
        self._knows_touched = bool(self._touched)
        self._vain = 0
        self._traced = 0
        self._tried = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Those that name what changed first, and of a test with rows one row after those of the others."""
        self._tried = 0
        for one in self._job.watched:
            marks = Marks(str(project() / one.where.path), one.names)
            if one.where.path not in self._marks and marks.put():
                self._marks[one.where.path] = marks
        names = (name for one in self._job.watched for name in one.names)
        items[:] = _ordered(items, frozenset(self._job.words), parts_of_names(names))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Run one test with its fixtures as it is; once more with its calls written down where that is of use.

        Most tests go nowhere near the change, and to watch every call makes a test several times as long. Where the changed
        functions cannot say that they ran, every test is written down at once.
        """
        if item.path != self._path:
            self._recorder.forget()
            self._path = item.path
        self._ran += 1
        self._tried += 1
        self._begin()
        if len(self._marks) < len(self._job.watched):
            with self._written_down(item):
                result = yield
        else:
            result = yield
            way = self._way()
            if any(way) and (self._traced < _TRACED or way not in self._ways):
                self._begin()
                self._traced += 1
                if isinstance(item, pytest.Function):
                    item._initrequest()  # without it a test runs once; plugins that run tests again do the same
                with self._written_down(item):
                    runtestprotocol(item, log=False, nextitem=nextitem)
        self._learn()
        if self.is_enough() or self._is_elsewhere():
            item.session.shouldstop = "enough was seen"
        return result

    def _begin(self) -> None:
        """Begin a run of a test."""
        for marks in self._marks.values():
            marks.clear()
        random.seed(0)

    @contextmanager
    def _written_down(self, item: pytest.Item) -> Iterator[None]:
        """Watch the calls that are made in the block, and tell them."""
        start = self._recorder.count()
        sys.settrace(self._recorder.trace)
        try:
            yield
        finally:
            sys.settrace(None)
            self._tell(item, start)

    def is_enough(self) -> bool:
        """Whether the time is over, nobody waits any more, there are as many calls as anybody needs, or no more come that do
        anything else.
        """
        has_begun = len(self._sent) >= _FEW_CALLS
        end = self._job.until if has_begun else max(self._job.until, self._job.longest)
        is_near = self._knows_touched and not self._touched
        patience = _MAX_VAIN * (1 if is_near else _PATIENCE)
        is_vain = self._vain >= (patience if has_begun else _MANY_TESTS)
        return is_stopped(self._job) or is_vain or time.monotonic() > end or len(self._sent) >= _MAX_CALLS

    def _is_elsewhere(self) -> bool:
        """Whether the tests that were imported together go nowhere near the change."""
        return self._tried >= _TRIED_TESTS and self._vain >= self._tried

    def _way(self) -> tuple[tuple[int, ...], ...]:
        """The statements of the changed functions that ran."""
        return tuple(marks.lines for marks in self._marks.values())

    def _learn(self) -> None:
        """Look at the way that a test took through the changed functions."""
        way = self._way()
        is_new = any(way) and way not in self._ways
        self._vain = 0 if is_new else self._vain + 1
        self._ways.add(way)
        for (path, _), lines in zip(self._marks.items(), way, strict=True):
            self._touched.difference_update((path, line) for line in lines)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """No test takes long."""
        with time_limit(_TEST_SECONDS):
            return (yield)

    def _tell(self, item: pytest.Item, start: int) -> None:
        try:
            path = item.path.relative_to(project()).as_posix()
        except ValueError:
            return
        told = 0
        for call, reached in self._recorder.carved(start):
            shape = call.setup, call.expression
            if call in self._sent or self._alike[shape] >= _MAX_ALIKE or told >= _MAX_CALLS_A_TEST:
                continue
            self._alike[shape] += 1
            self._sent.add(call)
            told += 1
            self._send(
                msgspec.json.encode(RecordedCall(msgspec.structs.replace(call, function=path), reached))
            )


def parts_of_names(names: Iterable[str]) -> frozenset[str]:
    """The words that names of functions are made of, in lower case, without short ones."""
    return frozenset(part.lower() for name in names for part in _PART.findall(name))


def _ordered(
    items: Sequence[pytest.Item], words: frozenset[str], parts: frozenset[str] = frozenset()
) -> list[pytest.Item]:
    """Some tests of each file in turn; of a file those first that name what changed, then those whose own name has the rarest of
    ``parts`` in it, of a test with rows one row at a time.
    """
    worth = _worth([item.name.lower() for item in items], parts)
    files: defaultdict[Path, list[tuple[bool, float, int, pytest.Item]]] = defaultdict(list)
    rows: Counter[tuple[Path, str]] = Counter()
    for item in items:
        name = getattr(item, "originalname", item.name)
        code = getattr(getattr(item, "function", None), "__code__", None)
        rows[item.path, name] += 1
        is_far = code is None or not words & set(code.co_names)
        files[item.path].append((is_far, -worth[item.name.lower()], rows[item.path, name], item))
    sorted_files = [sorted(found, key=lambda row: row[:3]) for found in files.values()]
    longest = max(map(len, sorted_files), default=0)
    return [
        item
        for start in range(0, longest, _TOGETHER)
        for found in sorted_files
        for *_, item in found[start : start + _TOGETHER]
    ]


def _worth(names: Sequence[str], parts: frozenset[str]) -> dict[str, float]:
    """How rare the rarest of the ``parts`` is that a name has in it, in shares of all names; 0.0 for one with a common part or none."""
    counts = {part: sum(part in name for name in names) for part in parts}
    rare = {
        part: 1 - count / len(names) for part, count in counts.items() if 0 < count < _COMMON * len(names)
    }
    return {name: max((worth for part, worth in rare.items() if part in name), default=0.0) for name in names}


def _run(files: Sequence[str], options: list[str], plugin: _Plugin) -> None:
    """Run some files of tests; where pytest does not take the project's settings or conftest files, which may be of another time,
    without these.
    """
    try:
        status = pytest.main([*options, *files], plugins=[plugin])
    except BaseException:  # noqa: BLE001 - what a conftest does at its import may be anything
        status = pytest.ExitCode.USAGE_ERROR
    if status == pytest.ExitCode.USAGE_ERROR and _WITHOUT_SETTINGS[0] not in options:
        options += _WITHOUT_SETTINGS
        _run(files, options, plugin)


def _plugins(packages: Sequence[str]) -> list[str]:
    """Options that load the plugins of these packages and no others."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    points = (point for one in distributions(path=list(packages)) for point in one.entry_points)
    found = {point.value.partition(":")[0] for point in points if point.group == "pytest11"}
    return [part for name in sorted(found) for part in ("-p", name)]


def main() -> None:
    """Run the tests once, as long as there is time."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Record)
    os.environ["KODO_PROJECT"] = str(project() / job.folder)
    first = job.watched[0].where
    packages = [extra for extra in first.extra_paths if extra.startswith("/")]
    tests = frozenset(job.tests)
    for one in reversed(job.watched):
        prepare_path(one.where)
        forget(one.where.module.partition(".")[0])

    def work(send: Send) -> None:
        root = project()
        os.environ["TMPDIR"] = tempfile.tempdir = str(Path.cwd())  # so that its paths are known from others
        names = {one.where.path: one.names for one in job.watched}
        recorder = Recorder(Places(root, first.path, first.module), names, tests.__contains__)
        os.chdir(root)
        plugin = _Plugin(recorder, job, send)
        options = [*_OPTIONS, *_plugins(packages)]
        for start, stop in itertools.pairwise(_PORTIONS):
            if job.files[start:stop] and not plugin.is_enough():
                _run(job.files[start:stop], options, plugin)

    def tell(line: bytes) -> None:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    forked(work, math.inf, max(job.until, job.longest), tell, lambda: is_stopped(job))


if __name__ == "__main__":
    main()
