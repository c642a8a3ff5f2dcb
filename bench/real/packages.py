"""The released packages that test generation is scored on: their table, the rule behind it, and their environment.

The rule. Packages are pure Python, from the package index, by name, version and hash of the wheel. Of each, one module:
of those of 60 to 600 lines the one with the most public functions and methods (the first by path of several), and where
no module fits, the shortest one with a public function. Tests, vendored code, command lines, and modules that are
named as deprecated, for one other platform or for compatibility are left out, as are those that a package of the same
name hides.

Two halves. ``building``: 76 packages that are read while test generation is built. 15 of them were set aside until
2026-11-30, were scored twice, and were read from then on. 14 more were taken on 2026-11-30, by the rule of those set aside:
the next three of each subject, but for one whose module does not import on Python 3 (gast). 12 more were taken that day by
the same rule for four other subjects, of the kinds that those set aside score lowest on: types (type, typing), trees (tree,
nested), tables (timezone, mime, country, currency), grammars (toml, parser, parsing); of a package that needs only others of
this table, nothing was left out. 15 more were set aside on 2026-11-30 by the rule below, three of each subject, were scored
six times, and were read from 2026-12-01 on. ``aside``: 15 packages that are scored and never looked at. They were taken on
2026-12-01 by this rule, before a line of them was read: of the 15,000 most downloaded names of the index, in the order of
their downloads, for each of five subjects the next four whose summary has one of its words: texts (text, string, unicode,
letters, case), quantities (date, duration, version, number, unit, color), addresses (url, uri, email, domain, hostname, path),
containers (dictionary, dict, immutable, iterable, collection, functional, memoizing), formats (parser, parse, parsing), plurals
included. Left out are packages that were scored or read before, whose wheel for this Python is not pure, that need another
package, whose last release is over five years old, that have no public function, whose module needs a package that they do
not ask for, and those for a terminal or the clipboard and the plug-ins of a program, by their summary or name.
Of the 20 that the rule gave, five had been met elsewhere, which was seen before anything was scored: lark, sqlglot and sqlparse are read
for reviews (``repositories.toml``), rfc3986 and isodate were run for their accusations in 2026-11. They are ``building``.
Nothing here knows how tests are generated.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

TABLE = Path(__file__).parent / "data" / "packages.json"
Half = Literal["building", "aside"]

_MIN_LINES, _MAX_LINES = 60, 600
_OTHER_FOLDERS = frozenset(
    {"tests", "test", "testing", "vendor", "_vendor", "benchmarks", "compat", "_compat"}
)
_OTHER_NAMES = frozenset(
    [
        "__main__",
        "cli",
        "compat",
        "_compat",
        "setup",
        "conftest",
        "deprecated",
        "_deprecated",
        "win",
        "windows",
    ]
)


class Wheel(msgspec.Struct, frozen=True):
    """One wheel of the environment; ``module`` is the file under test in it and ``half`` its half, both empty for a dependency."""

    name: str
    version: str
    sha256: str
    module: str = ""
    half: Half | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Module:
    """One module under test, and the half its package is in."""

    wheel: Wheel
    half: Half

    @property
    def name(self) -> str:
        """The package's name, by which the command line knows the module."""
        return self.wheel.name


def wheels() -> tuple[Wheel, ...]:
    """The table, dependencies included."""
    return tuple(msgspec.json.decode(TABLE.read_bytes(), type=list[Wheel]))


def modules() -> tuple[Module, ...]:
    """The modules under test, in the order of the hash of their packages' names."""
    scored = sorted(wheels(), key=lambda one: hashlib.sha256(one.name.encode()).hexdigest())
    return tuple(Module(one, one.half) for one in scored if one.half)


def choose_module(sources: Iterable[tuple[str, str]]) -> str:
    """The path that the rule takes among a package's (path, source); empty where nothing is public."""
    files = dict(sources)
    hidden = {path.removesuffix("/__init__.py") + ".py" for path in files if path.endswith("/__init__.py")}
    rows = [
        (_public_functions(source), source.count("\n"), path)
        for path, source in files.items()
        if path.endswith(".py") and path not in hidden and _is_candidate(path)
    ]
    rows = [row for row in rows if row[0]]
    fitting = [row for row in rows if _MIN_LINES <= row[1] <= _MAX_LINES]
    if fitting:
        return min(fitting, key=lambda row: (-row[0], row[2]))[2]
    return min(rows, key=lambda row: (row[1], row[2]))[2] if rows else ""


def _is_candidate(path: str) -> bool:
    parts = path.split("/")
    name = parts[-1].removesuffix(".py")
    is_test = name.startswith("test_") or name.endswith("_test")
    return not is_test and not _OTHER_FOLDERS & set(parts) and name not in _OTHER_NAMES


def _public_functions(source: str) -> int:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return 0
    public = [node for node in tree.body if not getattr(node, "name", "_").startswith("_")]
    inner = [item for node in public if isinstance(node, ast.ClassDef) for item in node.body]
    every = [node for node in (*public, *inner) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sum(not node.name.startswith("_") for node in every)


class Environment:
    """A virtual environment outside the repository that holds every wheel of the table, and pytest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where the wheels are installed."""
        return (
            self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        )

    def install(self) -> None:
        """Make the environment, once for each state of the table.

        Raises:
            CalledProcessError: pip could not install a wheel, or its hash is another.
        """
        done = self.folder / "table.sha256"
        state = hashlib.sha256(TABLE.read_bytes()).hexdigest()
        if done.exists() and done.read_text() == state:
            return
        venv.create(self.folder, clear=True, with_pip=False)
        hashed = "".join(f"{one.name}=={one.version} --hash=sha256:{one.sha256}\n" for one in wheels())
        self._pip("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", "/dev/stdin", text=hashed)
        self._pip("pytest")
        done.write_text(state)

    def _pip(self, *arguments: str, text: str = "") -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "-q", *arguments]
        subprocess.run(command, input=text, text=True, check=True, env={**os.environ, "PIP_NO_COMPILE": "0"})
