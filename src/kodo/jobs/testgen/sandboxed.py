"""Send test generation's jobs to its worker in the sandbox and read the answers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from kodo.jobs.execution.sandboxed import run_worker, site_packages
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.testgen.hidden_packages import hidden_packages
from kodo.jobs.testgen.worker.jobs import Answer, Job, Spent
from kodo.sandbox import Isolation, Sandbox


@dataclass(frozen=True)
class Worker:
    """The worker over one module."""

    sandbox: Sandbox
    module: TargetModule
    isolation: Isolation
    names: Mapping[str, str] = field(default_factory=dict)
    """Name -> module of what calls use besides the module's own names and the classes it imports."""

    spent: list[float] = field(default_factory=list)
    """CPU seconds of each job that was done; of one that ended without a word of it, its seconds of wall time."""

    @property
    def imported(self) -> dict[str, str]:
        """Name -> the module it is imported from, for all that calls may use of other modules."""
        return self.module.imported | dict(self.names)

    @cached_property
    def _hidden(self) -> tuple[str, ...]:
        return hidden_packages(self.module)

    @property
    def where(self) -> ModuleLocation:
        """The module as the worker finds it, with the names that calls use by now: documents and the package give more while calls are made."""
        module = self.module
        return ModuleLocation(
            str(module.path.relative_to(module.root)),
            str(module.import_root.relative_to(module.root)),
            module.name,
            module.source,
            tuple(sorted(module.defined)),
            tuple(str(path.relative_to(module.root)) for path in site_packages(module.root)),
            self.imported,
            hidden=self._hidden,
        )

    def ask(
        self, job: Job, seconds: float, files: Mapping[str, str] | None = None, seed: int = 0
    ) -> list[Answer]:
        """Do one job in a fresh sandbox and return its answers, as many as there were in ``seconds``.

        Raises:
            ExecutionError: the module does not import, or the worker ended without an answer.
        """
        root, package = self.module.root, "kodo.jobs.testgen.worker"
        started = time.monotonic()
        used = -1.0
        try:
            answers: list[Answer] = run_worker(
                self.sandbox, root, package, job, Answer, seconds=seconds, files=files, seed=seed
            )
            used = next((one.seconds for one in answers if isinstance(one, Spent)), used)
        finally:
            self.spent.append(used if used >= 0 else time.monotonic() - started)
        return answers
