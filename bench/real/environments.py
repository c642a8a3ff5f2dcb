"""Environments of the day: what a project asked for, as the package index had it when a commit was made.

A commit of some years ago does not import with today's libraries. Whoever reviewed it then had the libraries of then, so a case whose
code does not import in the shared environment is reviewed once more in one with these. Reads what a project declares and runs none
of its code; uv fetches the packages.
"""

from __future__ import annotations

import ast
import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bench.real.selection import git

SITE = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
IMPORT_FAILED = re.compile(r": import [\w.]+: (?:ImportError|ModuleNotFoundError|AttributeError|TypeError)\b")
"""What a review says of a module that could not be imported in the environment."""
_FILES = ("pyproject.toml", "setup.cfg", "setup.py", "requirements.txt", "requirements/base.txt")
_UV_SECONDS = 300


class NoEnvironment(Exception):
    """An environment cannot be made; the message is one line."""


def dated(root: Path, sha: str, shared: Path, home: Path) -> Path:
    """The environment for the commit ``sha`` of the clone at ``root``: that of ``shared`` with the declared dependencies in the versions of
    its day in their place, below ``home``. It is made once for a set of dependencies and a day.

    Raises:
        NoEnvironment: nothing is declared, or the index does not have it for this Python.
    """
    day = git(root, "log", "-1", "--format=%cs", sha).strip()
    wanted = sorted(declared(root, sha))
    if not wanted:
        raise NoEnvironment("no dependencies are declared that can be read without running code")
    digest = hashlib.sha256("\n".join([day, *wanted]).encode()).hexdigest()[:16]
    made = home / digest
    if not made.exists():
        part = home / f"{digest}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(shared / SITE, part / SITE, symlinks=True)
        _install(wanted, day, part / SITE)
        part.rename(made)
    return made


def _install(wanted: Sequence[str], day: str, target: Path) -> None:
    """Put packages of a day over those in a folder. Where not all of them can be had for this Python, each that can: the others stay as
    they are today.

    Raises:
        NoEnvironment: none can be had.
    """
    if not _uv(wanted, day, target):
        return
    said = [_uv([one], day, target) for one in wanted]
    if all(said):
        raise NoEnvironment(said[0])


def _uv(wanted: Sequence[str], day: str, target: Path) -> str:
    """Install wheels into a folder; what uv says against it, "" where it is done."""
    command = [
        "uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target), "--upgrade", "--reinstall",
        "--no-build", "--exclude-newer", day, *wanted,
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "UV_LINK_MODE": "copy"}
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_UV_SECONDS, env=env
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"uv: {error}"
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return f"uv: {' '.join(said)}"[:200] if done.returncode else ""


def declared(root: Path, sha: str) -> set[str]:
    """What a project declares at a commit that it needs to run: requirements without markers, with their limits."""
    found: set[str] = set()
    for name in _FILES:
        shown = subprocess.run(
            ["git", "show", f"{sha}:{name}"],
            check=False,
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if shown.returncode == 0:
            found |= {
                one for line in _READERS[name.rpartition(".")[2]](shown.stdout) if (one := _plain(line))
            }
    return found


def _plain(text: str) -> str:
    """A requirement that applies here, without its marker; "" for what is none, names an address, or is for another Python or machine."""
    try:
        one = Requirement(text.partition(" #")[0].strip())
    except InvalidRequirement:
        return ""
    if one.url or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
        return ""
    return f"{one.name}{one.specifier}"


def _of_pyproject(text: str) -> Iterator[str]:
    """``project.dependencies``, and those of Poetry as names with what can be said of their versions."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    yield from data.get("project", {}).get("dependencies", ())
    for name, limit in data.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
        if name != "python" and not (isinstance(limit, dict) and limit.get("optional")):
            yield name


def _of_setup_cfg(text: str) -> Iterator[str]:
    """``install_requires`` of ``[options]``."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    yield from parser.get("options", "install_requires", fallback="").splitlines()


def _of_setup_py(text: str) -> Iterator[str]:
    """The literals of ``install_requires``, also where a name stands for them."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    bound = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            value = bound.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
            for one in ast.walk(value):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield from one.value.splitlines()


def _of_requirements(text: str) -> Iterator[str]:
    """The lines of a file of requirements, without its options."""
    return (line for line in text.splitlines() if not line.lstrip().startswith("-"))


_READERS = {"toml": _of_pyproject, "cfg": _of_setup_cfg, "py": _of_setup_py, "txt": _of_requirements}
