"""Two versions of modules, and what the near calls say of them, with the calls made in this process instead of the sandbox."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.apart import Apart, ApartAnswer, SeededOutcome
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.load import defined, namespace
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of
from kodo.jobs.fix.generality import Comparison
from kodo.jobs.fix.near_inputs import compare_near
from kodo.jobs.fix.reproduction import Reproduction
from kodo.sandbox import Sandbox

Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Project:
    """A project before and with a patch, as paths to texts, and the text of the file whose ``test_fault`` is frozen."""

    before: Texts
    after: Texts
    test: str

    @property
    def frozen(self) -> Reproduction:
        """The test as it was frozen."""
        return Reproduction("tests/test_it.py::test_fault", "tests/test_it.py", self.test, "")

    def compared(self, folder: Path) -> Comparison | None:
        """What ``compare_near`` finds, without a sandbox."""
        for name, texts in (("base", self.before), ("tree", self.after)):
            for path, text in {**texts, self.frozen.path: self.test}.items():
                file = folder / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        changed = [path for path in self.after if self.before.get(path) != self.after[path]]

        with (
            patch("kodo.jobs.fix.versions.run_worker", _run_worker),
            patch("kodo.jobs.fix.versions.ThreadPoolExecutor", _NoThreads),
        ):
            return compare_near(folder / "base", folder / "tree", changed, self.frozen, Sandbox(), ())

    def objection(self, folder: Path) -> str:
        """What this says against the patch; "not compared" where the calls could not be made."""
        found = self.compared(folder)
        return "not compared" if found is None else found.objection()


class _NoThreads:
    """An executor that works in this thread: only there a call's time can be limited, and one module is both versions'."""

    def __init__(self, _count: int) -> None:
        pass

    def __enter__(self) -> _NoThreads:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


def _run_worker(
    _sandbox: object, root: Path, _worker: str, job: Apart, *_: object, **__: object
) -> list[ApartAnswer]:
    """What the worker in the sandbox gives, with the modules imported anew for each call."""
    return [SeededOutcome(seed, _outcome(root, job.where, call)) for seed in job.seeds for call in job.calls]


def _outcome(root: Path, where: ModuleLocation, call: Call) -> Outcome:
    path, count = list(sys.path), len(sys.modules)
    sys.path[:0] = [str(root / where.import_root), str(root)]
    try:
        module = importlib.import_module(where.module)
        return outcome_of(call, namespace(where, module), defined(where, module), 5.0, str(root))
    finally:
        sys.path[:] = path
        for name in list(islice(reversed(sys.modules), len(sys.modules) - count)):  # those imported last
            del sys.modules[name]
