"""The copy of a project that a fix works in: the tree as it was, the tree as it is, and the patch between them.

Only this module writes into the tree, and only texts of files below it. The user's own working tree is read once and
never written. Commands see the tree read-only in the sandbox.
"""

from __future__ import annotations

import difflib
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from kodo.jobs.review.reading import project_files

MAX_PROJECT_BYTES = 200_000_000


class WorkspaceError(Exception):
    """The project cannot be copied, or a path is not one of it; the message says why."""


class Workspace:
    """A project's copy in ``folder``: ``base`` is never changed, ``tree`` is what the fix makes of it."""

    def __init__(self, folder: Path, project: Path | None = None) -> None:
        self.base, self.tree, self.project = folder / "base", folder / "tree", project

    @classmethod
    def create(cls, folder: Path, project: Path) -> Workspace:
        """Copy what git would track of ``project`` (uncommitted changes included); an earlier copy in ``folder`` stays.

        Raises:
            WorkspaceError: the project is too large.
        """
        made = cls(folder, project)
        if not made.base.is_dir():
            fresh = folder / "base.new"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            total = 0
            for name in project_files(project):
                source = project / name
                if source.is_symlink() or not source.is_file():
                    continue
                total += source.stat().st_size
                if total > MAX_PROJECT_BYTES:
                    raise WorkspaceError(
                        f"the project, without what git ignores, is larger than {MAX_PROJECT_BYTES // 1_000_000} MB"
                    )
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, fresh / name)
            fresh.rename(made.base)
        made.reset()
        return made

    def reset(self) -> None:
        """Make the tree the same as the base again."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.base, self.tree)

    def remove(self) -> None:
        """Remove both copies."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.rmtree(self.base, ignore_errors=True)

    def files(self) -> Iterator[str]:
        """The paths of the tree's files, sorted."""
        for path in sorted(self.tree.rglob("*")):
            if path.is_file():
                yield path.relative_to(self.tree).as_posix()

    def path(self, name: str) -> str:
        """A path as the tree names it: relative, with forward slashes.

        Raises:
            WorkspaceError: it leaves the project.
        """
        pure = PurePosixPath(name.replace("\\", "/"))
        parts = [part for part in pure.parts if part != "."]
        if pure.is_absolute() or ".." in parts or not parts or not name.isprintable() or '"' in name:
            raise WorkspaceError(f"{name!r} is not a path inside the project")
        return "/".join(parts)

    def kept_out(self, name: str) -> str:
        """What the project has at a path, or above it, that was not copied: a link, or a file that git ignores; "" for nothing."""
        if self.project is None:
            return ""
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            part = "/".join(parts[:count])
            here = self.project / part
            if here.is_symlink() or (here.exists() and not here.is_dir()):
                return part if not (self.base / part).is_file() else ""
        return ""

    def text(self, name: str) -> str | None:
        """The text of a file of the tree; None where there is none.

        Raises:
            WorkspaceError: the path leaves the project, or the file is not UTF-8 text.
        """
        return _text(self.tree, self.path(name))

    def base_text(self, name: str) -> str | None:
        """The text of a file before the fix; None where there was none. Errors as of :meth:`text`."""
        return _text(self.base, self.path(name))

    def write(self, texts: Mapping[str, str | None]) -> None:
        """Write or, with None, remove files of the tree.

        Raises:
            WorkspaceError: a path leaves the project or is a folder.
        """
        for name, text in texts.items():
            target = self.tree / self.path(name)
            if target.is_dir():
                raise WorkspaceError(f"{name}: is a folder")
            if text is None:
                target.unlink(missing_ok=True)
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise WorkspaceError(f"{name}: a part of the path is a file") from error
            target.write_bytes(text.encode("utf-8", "surrogateescape"))

    def changes(self) -> dict[str, tuple[str | None, str | None]]:
        """Path to text before and after, for each file that the fix changed."""
        names = {
            path.relative_to(root).as_posix()
            for root in (self.base, self.tree)
            for path in root.rglob("*")
            if path.is_file()
        }
        found = {}
        for name in sorted(names):
            before, after = self.base / name, self.tree / name
            if before.is_file() and after.is_file() and before.read_bytes() == after.read_bytes():
                continue
            found[name] = (_text(self.base, name), _text(self.tree, name))
        return found

    def patch(self) -> str:
        """The fix as a unified diff that ``git apply`` takes; empty without a change."""
        return "".join(
            _diff(self.base, name, before, after) for name, (before, after) in self.changes().items()
        )


def digest(text: str | None) -> str:
    """The SHA-256 of a text, by which a frozen test is known; empty for a missing file."""
    return "" if text is None else hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _text(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise WorkspaceError(f"{name}: is not UTF-8 text") from error


def _diff(root: Path, name: str, before: str | None, after: str | None) -> str:
    """One file's part of a diff in git's form."""
    head = f"diff --git a/{name} b/{name}\n"
    if before is None:
        head += "new file mode 100644\n"
    elif after is None:
        mode = "100755" if (root / name).stat().st_mode & 0o100 else "100644"
        head += f"deleted file mode {mode}\n"
    tab = "\t" if " " in name else ""  # git's own mark of where a name with spaces ends
    body = difflib.unified_diff(
        _lines(before),
        _lines(after),
        "/dev/null" if before is None else f"a/{name}{tab}",
        "/dev/null" if after is None else f"b/{name}{tab}",
    )
    return head + "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in body
    )


def _lines(text: str | None) -> list[str]:
    """The lines with their ends; only a newline ends a line, as git has it."""
    parts = (text or "").split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
