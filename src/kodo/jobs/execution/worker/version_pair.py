"""Both versions of a module, each in a process of its own, asked to make the same calls at the same time.

Knows neither which calls are worth making nor what their outcomes mean.
"""

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE, Failed, ModuleLocation
from kodo.jobs.execution.worker.one_version import Batch
from kodo.jobs.execution.worker.outcome import Outcome


class SideFailed(Exception):
    """One version cannot be run; the message is one line."""


class SideProcess:
    """A process with one version of the module, below the project's folder ``name`` or with "" that itself, under one hash seed.

    It has a home of its own, so that no version reads what another wrote. ``elsewhere``: it is told another path to the folder.
    """

    def __init__(self, name: str, where: ModuleLocation, seed: int, *, elsewhere: bool = False) -> None:
        file = Path(f"{name}-{seed}.json").absolute()
        file.write_bytes(msgspec.json.encode(where))
        root = str(Path(os.environ["KODO_PROJECT"]) / name)
        if elsewhere:
            root = _other_path(root)
        home = tempfile.mkdtemp(prefix="case-", dir=Path.cwd())  # the prefix of folders that no outcome shows
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kodo.jobs.execution.worker.one_version", str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ
            | {"PYTHONHASHSEED": str(seed), "KODO_PROJECT": root, "HOME": home, "TMPDIR": home},
        )  # fmt: skip
        self._open = False

    def send(self, batch: Batch) -> None:
        """Begin a batch; ``receive`` gives its answers."""
        self.wait()
        pipe = self._pipe(self._process.stdin)
        pipe.write(msgspec.json.encode(batch) + b"\n")
        pipe.flush()

    def receive(self) -> dict[int, Outcome]:
        """The outcomes of the batch by the calls' numbers. Raises SideFailed where something else came."""
        try:
            found = [msgspec.json.decode(line, type=Outcome) for line in self._lines()]
        except (
            msgspec.MsgspecError
        ) as error:  # whoever runs in the process can write to any file that is open in it
            raise SideFailed(f"the code under test wrote in the place of its answers: {error}") from error
        return {one.id: one for one in found}

    def wait(self) -> None:
        """Wait until the module is imported. Raises SideFailed where it cannot be."""
        if not self._open:
            for line in self._lines():
                raise SideFailed(msgspec.json.decode(line, type=Failed).why)
            self._open = True

    def _lines(self) -> Iterator[bytes]:
        for line in self._pipe(self._process.stdout):
            if line == b"\n":
                return
            yield line
        raise SideFailed("the interpreter ended early")

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # noqa: S101 - all pipes were requested
        return pipe


def _other_path(folder: str) -> str:
    """Another path to a folder, as long as its own where there is room for that, since what code does may hang on the length."""
    here = Path.cwd()
    link = here / f"{Path(folder).name}-again".ljust(len(folder) - len(str(here)) - 1, "_")
    link.symlink_to(folder)
    return str(link)


class Pair:
    """Both versions, under one hash seed; ``seconds`` are for one call, ``words`` what the changed code is about.

    No call is begun after the monotonic time ``until``. ``elsewhere``: by other paths than without it, so that what hangs on them,
    such as a digest, comes out otherwise.
    """

    def __init__(
        self,
        before: ModuleLocation,
        after: ModuleLocation,
        seconds: float,
        seed: int,
        words: tuple[str, ...] = (),
        until: float | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._seconds = seconds
        self._until = until
        self._words = words
        self.sides = (
            SideProcess(BEFORE, before, seed, elsewhere=elsewhere),
            SideProcess(AFTER, after, seed, elsewhere=elsewhere),
        )

    def wait(self) -> None:
        """Wait until both versions are imported. Raises SideFailed where one cannot be."""
        for side in self.sides:
            side.wait()

    def run(
        self,
        calls: Sequence[Call],
        factor: float = 1.0,
        reach: Sequence[str] = (),
        vary: float = 0.0,
        *,
        inner: bool = True,
        until: float = math.inf,
        operands: Sequence[str] = (),
        apart: bool = False,
    ) -> dict[int, tuple[Outcome, Outcome]]:
        """Both outcomes of each call there was time for until the monotonic time ``until``; both versions work at the same
        time.

        ``vary``: seconds for calling the functions in ``reach`` with other arguments than the calls do; ``inner``: whether
        what these are given inside is described; ``operands``: functions whose comparisons are told instead;
        ``apart``: each call in a process that has made no other.
        """
        words = self._words if vary else ()
        end = min(until, math.inf if self._until is None else self._until)
        batch = Batch(
            tuple(calls),
            self._seconds * factor,
            tuple(reach),
            vary,
            words,
            inner,
            None if end == math.inf else end,
            self._until,
            tuple(operands),
            apart,
        )
        if batch.is_over():
            return {}
        for side in self.sides:
            side.send(batch)
        before, after = (side.receive() for side in self.sides)
        return {number: (before[number], after[number]) for number in before.keys() & after.keys()}
