"""The project on disk as it is before and after a change: two folders below one, ready for the sandbox.

Files that the change leaves alone are written once and linked. What git does not track is left out, but for the
Python files among packages that a build generates (a version module).
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kodo.jobs.execution.worker.jobs import AFTER, BEFORE
from kodo.jobs.review.built_files import add_built_files
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.git import GitError, Repository
from kodo.jobs.review.reading import ReviewInput, project_files

MAX_TREE_BYTES = 200_000_000
_MAX_FILE_BYTES = 8_000_000
_NOT_PACKAGES = frozenset(
    {".venv", "venv", "env", "node_modules", "build", "dist", "__pycache__", ".tox", ".nox", ".git"}
)


class TreeError(Exception):
    """The project cannot be laid out; the message says why."""


@dataclass(frozen=True, slots=True)
class Trees:
    """``folder`` holds both versions."""

    folder: Path

    @property
    def before(self) -> Path:
        """The project before the change."""
        return self.folder / BEFORE

    @property
    def after(self) -> Path:
        """The project after the change."""
        return self.folder / AFTER


@contextmanager
def trees(material: ReviewInput) -> Iterator[Trees]:
    """Lay both versions out for as long as the block runs.

    Raises:
        TreeError: the project is too large, or git cannot read it.
    """
    with TemporaryDirectory(prefix="kodo-versions-", ignore_cleanup_errors=True) as name:
        made = Trees(Path(name))
        made.folder.chmod(0o755)
        try:
            if material.root is not None and material.revisions is not None:
                _from_revisions(Repository(material.root), material.revisions, made)
            else:
                _from_folder(material.root, material.files, made)
            if material.root is not None:
                _add_generated(material.root, made)
            for tree in (made.before, made.after):
                add_built_files(tree)
        except (GitError, OSError) as error:
            raise TreeError(f"the project could not be laid out: {error}") from error
        yield made


def _from_revisions(repository: Repository, revisions: tuple[str, str], made: Trees) -> None:
    base, head = (repository.tree(revision) for revision in revisions)
    if sum(size for _, size in head.values()) > MAX_TREE_BYTES:
        raise TreeError(
            f"the project, without what git ignores, is larger than {MAX_TREE_BYTES // 1_000_000} MB"
        )
    shared = {path for path, row in head.items() if base.get(path) == row}
    contents = repository.blobs(
        {blob for tree in (base, head) for blob, size in tree.values() if size <= _MAX_FILE_BYTES}
    )
    for path, (blob, _) in head.items():
        if blob in contents:
            _write(made.after / path, contents[blob])
    for path, (blob, _) in base.items():
        if path in shared and blob in contents:
            _link(made.after / path, made.before / path)
        elif blob in contents:
            _write(made.before / path, contents[blob])


def _from_folder(root: Path | None, files: Sequence[ChangedFile], made: Trees) -> None:
    changed: Mapping[str, ChangedFile] = {file.path: file for file in files}
    total = 0
    for name in project_files(root) if root is not None else []:
        source = root / name if root is not None else Path(name)
        if name in changed or source.is_symlink() or not source.is_file():
            continue
        size = source.stat().st_size
        total += size
        if total > MAX_TREE_BYTES:
            raise TreeError(
                f"the project, without what git ignores, is larger than {MAX_TREE_BYTES // 1_000_000} MB"
            )
        if size <= _MAX_FILE_BYTES:
            _write(made.after / name, source.read_bytes())
            _link(made.after / name, made.before / name)
    for file in files:
        if not file.complete:
            continue
        _write(made.after / file.path, file.after.encode("utf-8", "surrogateescape"))
        if file.before is not None:
            _write(made.before / (file.old_path or file.path), file.before.encode("utf-8", "surrogateescape"))


def _add_generated(root: Path, made: Trees) -> None:
    """Add the ignored Python files and built extensions that lie in packages of the project."""
    try:
        names = Repository(root).ignored_files()
    except GitError:
        return
    for name in names:
        if not name.endswith((".py", ".so")) or not _NOT_PACKAGES.isdisjoint(name.split("/")):
            continue  # by the text alone: an environment in the project has tens of thousands of files
        source = root / name
        if source.is_symlink():
            continue
        target = made.after / name
        if target.parent.is_dir() and not target.exists() and source.stat().st_size <= _MAX_FILE_BYTES:
            _write(target, source.read_bytes())
            if not (made.before / name).exists():
                _link(target, made.before / name)


def _write(path: Path, content: bytes) -> None:
    _folder(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.fchmod(handle, 0o644)
        while content:
            content = content[os.write(handle, content) :]
    finally:
        os.close(handle)


def _link(source: Path, target: Path) -> None:
    """One file under two names: a copy takes more time and room, where a file system has one name a file."""
    _folder(target.parent)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
