"""The jobs the host gives to a worker, and the answers, as they cross the sandbox's boundary."""

import msgspec

from kodo.jobs.execution.model import Call, Expectation, Observed

# Where a test file of a job is: before its name, one of these.
GIVEN = "given:"
OWN = "project:"
BEFORE, AFTER = "older", "newer"
"""The folders of the two versions. They are equally long, since what code does may hang on the length of its path."""


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
    one_sided: tuple[str, ...] = ()
    """Attributes that only one of two versions has, which are not compared."""
    hidden: tuple[str, ...] = ()
    """Packages of kodo's environment that the module must not see."""


class Observe(msgspec.Struct, frozen=True, tag=True):
    """Run calls and say what each did. ``backwards`` runs them in the opposite order, in a folder with other
    files around it; ``entered`` are the functions of which
    is said what they are given inside the calls. ``budget`` are the seconds of wall time for all of them, of which no function
    takes more than a few times its part; 0 for no end. ``parts``: say also which objects of the package each result holds.
    """

    where: ModuleLocation
    calls: tuple[Call, ...]
    invariants: dict[str, tuple[Expectation, ...]]
    seconds: float
    trace: bool
    backwards: bool
    entered: tuple[str, ...] = ()
    budget: float = 0.0
    parts: bool = False


class Watched(msgspec.Struct, frozen=True):
    """The changed functions ``names`` of a module, and those of their lines that the change ``touched``."""

    where: ModuleLocation
    names: tuple[str, ...]
    touched: tuple[int, ...] = ()


class Record(msgspec.Struct, frozen=True):
    """Run the tests in ``files``, nearest first, until the monotonic time ``until``, and where they had hardly begun by
    then, until ``longest``; watch the changed functions of some modules.

    ``folder`` is that of the version below the project, ``tests`` are all files of tests; ``words`` are names that matter.
    No further test is begun when there is a file ``stop`` beside the version; "" for no such file.
    """

    folder: str
    watched: tuple[Watched, ...]
    files: tuple[str, ...]
    tests: tuple[str, ...]
    words: tuple[str, ...]
    until: float
    stop: str = ""
    longest: float = 0.0


class RecordedCall(msgspec.Struct, frozen=True):
    """A call that a test made, and the files of the changed functions that it went through."""

    call: Call
    reached: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker could not do the job; one line for the user."""

    why: str


class Observation(msgspec.Struct, frozen=True, tag=True):
    """One observation."""

    observed: Observed
