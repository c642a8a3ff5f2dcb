"""Send jobs to the worker in the sandbox and read its answers.

Every run of the code under test goes through here. Knows the worker's job format, not what a job is for.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kodo.jobs.sandbox import FILES, LIB, PROJECT, PYTHON, Isolation, ResourceLimits, Sandbox
from kodo.jobs.testgen.model import TestgenError
from kodo.jobs.testgen.target import TargetModule
from kodo.jobs.testgen.worker.jobs import Answer, Failed, Job, ModuleLocation

_START_SECONDS = 60.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker over one module."""

    sandbox: Sandbox
    module: TargetModule
    isolation: Isolation

    @property
    def where(self) -> ModuleLocation:
        """The module as the worker finds it."""
        module = self.module
        return ModuleLocation(
            str(module.path.relative_to(module.root)),
            str(module.import_root.relative_to(module.root)),
            module.name,
            module.source,
            tuple(sorted(module.defined)),
            tuple(str(path.relative_to(module.root)) for path in site_packages(module.root)),
        )

    def ask(
        self, job: Job, seconds: float, files: Mapping[str, str] | None = None, seed: int = 0
    ) -> list[Answer]:
        """Do one job in a fresh sandbox and return its answers, as many as there were in ``seconds``.

        Raises:
            TestgenError: the module does not import, or the worker ended without an answer.
        """
        outcome = self.sandbox.run(
            [PYTHON, "-P", "-m", "kodo.jobs.testgen.worker", f"{FILES}/job.json"],
            project=self.module.root,
            files={"job.json": msgspec.json.encode(job), **(files or {})},
            limits=ResourceLimits(
                wall_seconds=seconds + _START_SECONDS,
                cpu_seconds=int(seconds + _START_SECONDS),
                output_bytes=64 * _MIB,
            ),
            env={
                "PYTHONPATH": LIB,
                "KODO_PROJECT": PROJECT,
                "KODO_FILES": FILES,
                "PYTHONHASHSEED": str(seed),
                "PYTHONWARNINGS": "ignore",
            },
        )
        lines = outcome.stdout.splitlines(keepends=True)
        answers = [msgspec.json.decode(line, type=Answer) for line in lines if line.endswith("\n")]
        for answer in answers:
            if isinstance(answer, Failed):
                raise TestgenError(answer.why)
        if not answers and not outcome.ok:
            said = (outcome.stderr.strip() or f"status {outcome.status}").splitlines()[-1]
            raise TestgenError(f"the worker in the sandbox ended early: {said}")
        return answers


def site_packages(root: Path) -> tuple[Path, ...]:
    """The packages of the project's own virtual environment, where it is for this version of Python."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = (root / name / "lib" / version / "site-packages" for name in (".venv", "venv", "env"))
    return tuple(path for path in found if path.is_dir() and not path.is_relative_to(sys.prefix))
