"""Import the module under test, and make the names its calls may use."""

import importlib
import importlib.util
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path

from kodo.jobs.execution.worker.jobs import GIVEN, OWN, ModuleLocation

LIBRARY = (
    "asyncio",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "io",
    "itertools",
    "math",
    "operator",
    "pathlib",
    "random",
    "types",
    "typing",
    "uuid",
)

_SLOW = frozenset({"asyncio"})
"""Those whose import takes as long as the rest of a worker's start."""
WAIT = 4
"""Seconds of wall time to wait for a second of CPU time."""


class TooLong(BaseException):
    """The time limit of one call. A BaseException, so that ``except Exception`` in the code lets it through."""


class CannotImport(Exception):
    """The module under test does not import."""


def project() -> Path:
    """Where the project is seen in the sandbox."""
    return Path(os.environ["KODO_PROJECT"])


def locate(file: str) -> Path:
    """The path of a test file of a job: one that was given with it, or one of the project's own."""
    if file.startswith(GIVEN):
        return Path(os.environ["KODO_FILES"]) / file.removeprefix(GIVEN)
    return project() / file.removeprefix(OWN)


def prepare_path(where: ModuleLocation, *, hide: bool = True) -> None:
    """Put the project's folders first on the import path, and unless told otherwise ``hide`` what is to be hidden."""
    root = project()
    folders = [str(root / where.import_root), str(root), *(str(root / extra) for extra in where.extra_paths)]
    sys.path[:0] = list(dict.fromkeys(folders))
    if where.hidden and hide:
        sys.meta_path.insert(0, _Hidden(frozenset(where.hidden)))


class _Hidden(MetaPathFinder):
    """Finds none of the packages that are in kodo's environment alone."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for a module that is not hidden, which others find.

        Raises:
            ModuleNotFoundError: it is hidden.
        """
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def forget(package: str) -> None:
    """Let a package that the worker itself stands on be imported anew from the version under test."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def import_target(where: ModuleLocation, seconds: float) -> types.ModuleType:
    """Import the module.

    Raises:
        CannotImport: it raised, did not end in time, or another module of that name was found.
    """
    try:
        with time_limit(seconds):
            module = importlib.import_module(where.module)
    except TooLong:
        raise CannotImport(f"import {where.module}: not done after {seconds:g} s") from None
    except BaseException as error:
        raise CannotImport(f"import {where.module}: {type(error).__name__}: {error}") from error
    found = Path(module.__file__ or "")
    if found.resolve() != (project() / where.path).resolve():
        raise CannotImport(f"import {where.module}: found {found} instead of {where.path}")
    return module


def namespace(where: ModuleLocation, module: types.ModuleType) -> dict[str, object]:
    """The names calls may use: parts of the standard library, and what the module itself defines."""
    names: dict[str, object] = {name: _library(name) for name in LIBRARY}
    for name, dotted in module_names(where.module).items():
        names[name] = sys.modules[dotted]
    names |= defined(where, module)
    return names


def _library(name: str) -> types.ModuleType:
    """A module of the standard library, imported when something of it is asked for where that takes long."""
    spec = importlib.util.find_spec(name) if name in _SLOW and name not in sys.modules else None
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module_names(module: str) -> dict[str, str]:
    """The names that documentation calls a module by, as ``pkg.mod.f(1)`` or ``mod.f(1)``, and what each is."""
    return {module.partition(".")[0]: module.partition(".")[0], module.rpartition(".")[2]: module}


def defined(where: ModuleLocation, module: types.ModuleType) -> dict[str, object]:
    """What a test can name: what the module itself defines, and the classes it takes from other modules."""
    own = {name: getattr(module, name) for name in where.defined if hasattr(module, name)}
    return imported(where) | own


def imported(where: ModuleLocation) -> dict[str, object]:
    """The classes of other modules that arguments may be instances of, by name; without those that do not import."""
    out: dict[str, object] = {}
    for name, module in where.imported.items():
        with suppress(BaseException):  # another module may raise anything, and then its classes are not there
            out[name] = getattr(importlib.import_module(module), name)
    return out


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLong in this block after ``seconds``, and again every quarter second while it is swallowed."""
    with _timed(seconds, signal.SIGALRM, signal.ITIMER_REAL):
        yield


def _ring(_: int, frame: types.FrameType | None) -> None:
    raise TooLong


@contextmanager
def _timed(seconds: float, number: signal.Signals, timer: int) -> Iterator[None]:
    """The handler stays where it is afterwards: putting it there and away again takes longer than most calls."""
    if signal.getsignal(number) is not _ring:
        signal.signal(number, _ring)
    signal.setitimer(timer, seconds, 0.25)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """As :func:`time_limit` by CPU time, which other work on the machine does not use up.

    Of wall time there are ``WAIT`` times as many seconds, for what only waits.
    """
    with time_limit(seconds * WAIT), _timed(seconds, signal.SIGPROF, signal.ITIMER_PROF):
        yield
