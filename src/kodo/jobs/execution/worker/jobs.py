"""The jobs the host gives to a worker, and the answers, as they cross the sandbox's boundary."""

import msgspec

from kodo.jobs.execution.model import Call, Expectation, Observed

# Where a test file of a job is: before its name, one of these.
GIVEN = "given:"
OWN = "project:"


class ModuleLocation(msgspec.Struct, frozen=True):
    """The module under test, with paths relative to the project."""

    path: str
    import_root: str
    module: str
    source: str
    defined: tuple[str, ...]
    extra_paths: tuple[str, ...] = ()
    imported: dict[str, str] = {}
    """Name of a class that arguments may be instances of -> the module it is imported from."""


class Observe(msgspec.Struct, frozen=True, tag=True):
    """Run calls and say what each did. ``backwards`` runs them in the opposite order."""

    where: ModuleLocation
    calls: tuple[Call, ...]
    invariants: dict[str, tuple[Expectation, ...]]
    seconds: float
    trace: bool
    backwards: bool


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker could not do the job; one line for the user."""

    why: str


class Observation(msgspec.Struct, frozen=True, tag=True):
    """One observation."""

    observed: Observed
