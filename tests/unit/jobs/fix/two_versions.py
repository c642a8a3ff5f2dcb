"""Two versions of modules, and what the near calls say of them, with the calls made in this process instead of the sandbox."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.load import defined, namespace
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of
from kodo.jobs.execution.worker.vary import Vary, VaryAnswer, run_vary
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
        return Reproduction("tests.test_it.test_fault", "tests/test_it.py", self.test, "")

    def compared(self, folder: Path) -> Comparison | None:
        """What ``compare_near`` finds, without a sandbox."""
        for name, texts in (("base", self.before), ("tree", self.after)):
            for path, text in {**texts, self.frozen.path: self.test}.items():
                file = folder / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        changed = [path for path in self.after if self.before.get(path) != self.after[path]]

        def run_worker(
            _sandbox: object, root: Path, _worker: str, job: Vary, *_: object, **__: object
        ) -> list[VaryAnswer]:
            def pair(*_: object) -> _Pair:
                return _Pair(_Version(root / "before", job.before), _Version(root / "after", job.after))

            with patch("kodo.jobs.execution.worker.vary.Pair", pair):
                return list(run_vary(job))

        with patch("kodo.jobs.fix.near_inputs.run_worker", run_worker):
            return compare_near(folder / "base", folder / "tree", changed, self.frozen, Sandbox(), ())

    def objection(self, folder: Path) -> str:
        """What this says against the patch; "not compared" where the calls could not be made."""
        found = self.compared(folder)
        return "not compared" if found is None else found.objection()


class _Version:
    """One version, whose modules are imported anew for each batch of calls."""

    def __init__(self, root: Path, where: ModuleLocation) -> None:
        self.root, self.where = root, where

    def run(self, calls: Sequence[Call]) -> dict[int, Outcome]:
        modules: dict[str, ModuleType] = dict(sys.modules)
        path = list(sys.path)
        sys.path[:0] = [str(self.root / self.where.import_root), str(self.root)]
        try:
            module = importlib.import_module(self.where.module)
            names, own = namespace(self.where, module), defined(self.where, module)
            return {call.id: outcome_of(call, names, own, 5.0, str(self.root)) for call in calls}
        finally:
            sys.path[:] = path
            for name in sys.modules.keys() - modules.keys():
                del sys.modules[name]


class _Pair:
    """Both versions, as ``compare.Pair`` is with processes of their own."""

    def __init__(self, before: _Version, after: _Version) -> None:
        self.before, self.after = before, after

    def run(self, calls: Sequence[Call]) -> dict[int, tuple[Outcome, Outcome]]:
        before, after = self.before.run(calls), self.after.run(calls)
        return {number: (before[number], after[number]) for number in before.keys() & after.keys()}
