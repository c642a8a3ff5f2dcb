"""What a project's build would add to its sources: the metadata of its distribution, and a version module.

Many packages ask for their own version when they are imported. A change is laid out without a build, so both are
written from what the project says of itself; nothing of the build system is run.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"\bname\s*=\s*['\"]([A-Za-z0-9._-]+)['\"]")
_UNKNOWN = "0.0.0"
_VERSION_FILES = (
    ("tool", "hatch", "build", "hooks", "vcs", "version-file"),
    ("tool", "setuptools_scm", "write_to"),
    ("tool", "setuptools_scm", "version_file"),
    ("tool", "pdm", "version", "write_to"),
)
"""Where a pyproject names the module that its build writes the version to."""


def add_built_files(tree: Path) -> None:
    """Write the metadata and the version module of the project at ``tree``, where they are not there."""
    settings = _pyproject(tree)
    name = _name(tree, settings)
    version = _version(settings)
    for keys in _VERSION_FILES:
        where = _text(settings, *keys)
        if where.endswith(".py") and not Path(where).is_absolute() and ".." not in Path(where).parts:
            _write_version(tree / where, version)
    if name and not any(tree.glob("*.dist-info")):
        folder = tree / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if points := _entry_points(settings):
            (folder / "entry_points.txt").write_text(points)


def _write_version(path: Path, version: str) -> None:
    if path.exists() or not path.parent.is_dir():
        return
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    path.write_text(f"__version__ = version = {version!r}\n__version_tuple__ = version_tuple = {numbers!r}\n")


def _pyproject(tree: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _name(tree: Path, settings: Mapping[str, object]) -> str:
    """The name of the distribution, "" where the project does not say it."""
    if found := _text(settings, "project", "name") or _text(settings, "tool", "poetry", "name"):
        return found
    reader = configparser.ConfigParser(interpolation=None)
    try:
        reader.read(tree / "setup.cfg", encoding="utf-8")
        if found := reader.get("metadata", "name", fallback=""):
            return found
        match = _NAME.search((tree / "setup.py").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return ""
    return match[1] if match else ""


def _version(settings: Mapping[str, object]) -> str:
    found = _text(settings, "project", "version") or _text(settings, "tool", "poetry", "version")
    return found if re.fullmatch(r"\d[\w.+!-]*", found) else _UNKNOWN


def _entry_points(settings: Mapping[str, object]) -> str:
    project = settings.get("project")
    groups = project.get("entry-points") if isinstance(project, dict) else None
    lines: list[str] = []
    for group, rows in groups.items() if isinstance(groups, dict) else ():
        lines.append(f"[{group}]")
        lines += [f"{name} = {target}" for name, target in rows.items() if isinstance(target, str)]
    return "\n".join(lines) + "\n" if lines else ""


def _text(settings: Mapping[str, object], *keys: str) -> str:
    at: object = settings
    for key in keys:
        at = at.get(key) if isinstance(at, Mapping) else None
    return at if isinstance(at, str) else ""
