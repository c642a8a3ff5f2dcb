"""Which packages of kodo's own environment the code under test must not see: those that it does not declare.

A test is written where kodo runs and kept where the project runs. A package that is there by chance, as an optional backend, changes
what the code does, and the test fails for everybody who has not got it. Where nothing says what is declared, nothing is hidden.
"""

from __future__ import annotations

import re
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from kodo.jobs.execution.documents import metadata_of
from kodo.jobs.execution.sandboxed import site_packages
from kodo.jobs.execution.target import TargetModule

_OF_THE_WORKER = ("coverage", "msgspec", "pytest", "pytest-randomly")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUFFIXES = (".py", ".so", ".pyd")


def hidden_packages(module: TargetModule) -> tuple[str, ...]:
    """The names at the top level of kodo's environment that neither the module's project declares nor its own folders hold, sorted."""
    declared = _declared(module)
    if declared is None:
        return ()
    here = {name for kind in ("purelib", "platlib") for name in _names_in(Path(sysconfig.get_path(kind)))}
    folders = (module.import_root, module.root, *site_packages(module.root))
    shown = {name for folder in folders for name in _names_in(folder)}
    for one in _closure((*_OF_THE_WORKER, *declared)):
        shown |= _modules(one)
    return tuple(sorted(here - shown - {"kodo"}))


def _declared(module: TargetModule) -> list[str] | None:
    """The requirements of the module's project, those of extras and groups included; None where nothing says them."""
    metadata = metadata_of(module)
    if metadata is not None:
        lines = metadata.split("\n\n", 1)[0].splitlines()
        found = (
            line.removeprefix("Requires-Dist:").strip() for line in lines if line.startswith("Requires-Dist:")
        )
        return [one for one in found if "extra ==" not in one]
    try:
        project = tomllib.loads((module.root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    table = project.get("project", {})
    if not isinstance(table, dict) or "dependencies" in table.get("dynamic", ()) or "name" not in table:
        return None
    extras = [one for group in table.get("optional-dependencies", {}).values() for one in group]
    groups = [one for group in project.get("dependency-groups", {}).values() for one in group]
    return [one for one in (*table.get("dependencies", ()), *extras, *groups) if isinstance(one, str)]


def _closure(requirements: Iterable[str]) -> Iterator[Distribution]:
    """The installed distributions that requirements mean, and what those require, extras left out."""
    known: set[str] = set()
    left = list(requirements)
    while left:
        found = _NAME.match(left.pop())
        name = found.group().lower() if found else ""
        if name and name not in known:
            known.add(name)
            one = _installed(name)
            if one is not None:
                yield one
                left += [need for need in one.requires or () if "extra ==" not in need]


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _modules(one: Distribution) -> set[str]:
    """The names at the top level that a distribution installs."""
    tops = (path.parts[0] for path in one.files or () if path.parts[0] != "..")
    return {name for top in tops if (name := _module_name(top))}


def _names_in(folder: Path) -> set[str]:
    return (
        {name for path in folder.iterdir() if (name := _module_name(path.name))} if folder.is_dir() else set()
    )


def _module_name(entry: str) -> str:
    """The module that a file or folder is; empty where it is none."""
    name = entry.partition(".")[0] if entry.endswith(_SUFFIXES) else entry
    return name if name.isidentifier() and name != "__pycache__" else ""
