"""docs/reference/dependencies.md, pyproject.toml and the lock files say the same, and name no package index."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

import pytest
from tests.paths import REPOSITORY

from kodo.cli.extras import MODULES

ROW = re.compile(r"^\| ([a-z0-9-]+) \| (\S+) \| (\d{4}-\d\d-\d\d) \| (.+) \|$", re.MULTILINE)


def documented(section: str) -> dict[str, str]:
    """Name and version in each row of a section of the page."""
    text = (REPOSITORY / "docs" / "reference" / "dependencies.md").read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return {name: version for name, version, _, _ in ROW.findall(body)}


def names(lines: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[^A-Za-z0-9-]", line)[0] for line in lines}


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


NOT_IN_ALL = {"plot"}
"""Extras that are asked for by name: what they bring is locked for the tests alone."""


def extras() -> dict[str, set[str]]:
    """The packages that each extra brings; `all`, which is the others, is left out."""
    found = project()["project"]["optional-dependencies"]
    every = found.pop("all")
    assert every == [f"kodo[{','.join(extra for extra in found if extra not in NOT_IN_ALL)}]"]
    return {extra: names(lines) for extra, lines in found.items()}


def declared() -> tuple[set[str], set[str], set[str]]:
    """The names in pyproject.toml: the package's with its extras, development's, and the documentation's."""
    runtime = names(project()["project"]["dependencies"]).union(*extras().values())
    groups = project()["dependency-groups"]
    return runtime, names(groups["dev"]), names(groups["docs"])


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package in requirements/NAME.txt; some differ by Python version."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / "requirements" / f"{name}.txt").read_text(), re.MULTILINE
    ):
        versions.setdefault(package, set()).add(version)
    return versions


def test_every_dependency_has_a_row_and_every_row_a_dependency() -> None:
    """Both ways, for what the package needs, its development and its documentation."""
    runtime, development, documentation = declared()
    assert set(documented("Runtime")) == runtime
    assert set(documented("Development")) == development
    assert set(documented("Documentation")) == documentation


@pytest.mark.parametrize(
    ("section", "lock"), [("Runtime", "run"), ("Development", "dev"), ("Documentation", "docs")]
)
def test_the_documented_version_is_the_locked_one(section: str, lock: str) -> None:
    """A row that was not updated with the lock is named."""
    versions = locked(lock)
    if section == "Runtime":
        versions |= {name: locked("dev")[name] for extra in NOT_IN_ALL for name in extras()[extra]}
    stale = {
        name: (version, versions.get(name))
        for name, version in documented(section).items()
        if version not in versions.get(name, set())
    }
    assert stale == {}


def test_the_development_set_holds_the_runtime_set() -> None:
    """So the set-up for tests serves `make run` too, with the same versions."""
    run, dev = locked("run"), locked("dev")
    assert {name: dev.get(name) for name in run} == run


def test_the_lock_files_name_no_address_and_every_package_has_a_hash() -> None:
    """Where packages come from is the user's pip configuration; what they are is the hash."""
    files = sorted((REPOSITORY / "requirements").iterdir())
    assert [path.name for path in files] == ["dev.txt", "docs.txt", "run.txt", "ui.txt"]
    for path in files:
        text = path.read_text()
        assert not re.search(r"://|index-url|find-links|trusted-host", text), path.name
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in requirement, (path.name, requirement.splitlines()[0])


def test_the_table_of_extras_is_what_the_package_declares() -> None:
    """Each module stands with an extra whose packages bring it, and each package is found by its module."""
    brought = packages_distributions()
    for module, extra in MODULES.items():
        packages = {canonical(name) for name in brought[module]}
        assert packages & extras()[extra], (module, packages)
    covered = {canonical(name) for module in MODULES for name in brought[module]}
    run_as_programs = {"pip", "ruff", "bandit", "pytest-randomly"}
    assert set().union(*extras().values()) - covered == run_as_programs


def test_no_range_is_a_single_version() -> None:
    """kodo installs beside other pins of what it needs."""
    declared_lines = project()["project"]
    lines = [
        *declared_lines["dependencies"],
        *(line for extra in declared_lines["optional-dependencies"].values() for line in extra),
    ]
    assert [line for line in lines if "==" in line] == []


def canonical(name: str) -> str:
    """A distribution's name as pyproject.toml spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()
