"""From a source to the files under review: the only module that reads the project's files.

Nothing outside the root is read, through no symbolic link. What cannot be reviewed becomes an ``Unreviewed``
with its reason. ``base_text`` gives the project's own settings as they were before the change.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path, PurePosixPath

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from kodo.client.i18n import LocalizedError
from kodo.jobs.report.model import Unreviewed
from kodo.jobs.review import changes
from kodo.jobs.review.changes import ChangedFile, DiffError
from kodo.jobs.review.git import Entry, GitError, Repository
from kodo.jobs.review.languages import is_minified, language_of, unreviewable_reason
from kodo.jobs.review.source import (
    BaseSource,
    CommitSource,
    DiffSource,
    PathsSource,
    PendingSource,
    ReviewSource,
    StagedSource,
    TextSource,
    VersionsSource,
)

_SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".mypy_cache", ".ruff_cache"}
)


MAX_SETTINGS_BYTES = 10_000_000
"""A larger file of the project is not read for its settings."""


class SourceError(LocalizedError, ValueError):
    """There is nothing to review under that name; the message says which name and why."""


@dataclass(frozen=True)
class ReviewInput:
    """What a source turned out to be: files, what was left out, and the way to the project's settings."""

    name: str
    files: tuple[ChangedFile, ...]
    unreviewed: tuple[Unreviewed, ...]
    base_text: Callable[[str], str | None]
    root: Path | None = None
    changed: tuple[str, ...] = ()
    """Every path that the change names, also those that cannot be reviewed; empty for whole files."""
    revisions: tuple[str, str] | None = None
    """The commits (or trees) before and after, where the source names both."""


def read(source: ReviewSource, max_bytes: int) -> ReviewInput:
    """Read everything that ``source`` names. Raises SourceError if it names nothing that exists."""
    try:
        match source:
            case PathsSource():
                return _paths(source, max_bytes)
            case TextSource():
                return _text(source, max_bytes)
            case VersionsSource():
                return _versions(source, max_bytes)
            case DiffSource():
                return _diff(source, max_bytes)
            case PendingSource():
                return _pending(source, max_bytes)
            case StagedSource():
                return _staged(source, max_bytes)
            case BaseSource():
                return _base(source, max_bytes)
            case CommitSource():
                return _commit(source, max_bytes)
    except (GitError, DiffError) as error:
        raise SourceError(str(error), error.ja) from error


class _InputBuilder:
    """Puts each candidate among the files to review or among what is left out."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.files: list[ChangedFile] = []
        self.unreviewed: list[Unreviewed] = []

    def leave(self, path: str, reason: str, *, gap: bool) -> None:
        self.unreviewed.append(Unreviewed(printable(path), reason, gap))

    def readable(self, path: str, raw: bytes) -> str | None:
        """The text of a file that can be reviewed, else None and the reason is noted."""
        if b"\0" in raw[:8192]:
            self.leave(path, "binary", gap=False)
            return None
        if len(raw) > self.max_bytes:
            self.leave(path, f"larger than {self.max_bytes} bytes", gap=bool(language_of(path)))
            return None
        try:
            text = raw.decode("utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8")
        except UnicodeDecodeError:
            code = bool(language_of(path)) or unreviewable_reason(path)[1]
            self.leave(path, "not UTF-8", gap=code)
            return None
        if not language_of(path, text):
            reason, gap = unreviewable_reason(path, text)
            self.leave(path, reason, gap=gap)
            return None
        if is_minified(language_of(path, text), text):
            self.leave(path, "minified", gap=False)
            return None
        if "\r" in text.replace("\r\n", ""):
            self.leave(path, "has carriage returns that end no line", gap=True)
            return None
        return text

    def add(self, file: ChangedFile) -> None:
        if not file.whole and not file.touched:
            self.leave(file.path, "no line changed", gap=False)
        else:
            self.files.append(replace(file, path=printable(file.path)))

    def material(
        self,
        name: str,
        base_text: Callable[[str], str | None],
        root: Path | None = None,
        changed: Iterable[str] = (),
    ) -> ReviewInput:
        return ReviewInput(name, tuple(self.files), tuple(self.unreviewed), base_text, root, tuple(changed))


def printable(path: str) -> str:
    """A path as it may appear in a report: bytes that are not UTF-8 are shown as escapes."""
    return path.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def _safe(path: str) -> bool:
    """Whether a path stays below the root it is joined to."""
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def _inside(root: Path, path: str) -> Path | None:
    """The real file for a relative path, or None if it is not a regular file inside the root."""
    if not _safe(path):
        return None
    file = root / path
    try:
        real = file.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return None
    return file if real.is_file() and not file.is_symlink() and real.is_relative_to(root.resolve()) else None


def tree_text(root: Path | None, errors: str = "replace") -> Callable[[str], str | None]:
    """The text of a path in the tree at ``root``; None where there is no regular file of that name.

    ``errors`` says what becomes of bytes that are not UTF-8, as for :meth:`bytes.decode`.
    """

    def text(path: str) -> str | None:
        file = _inside(root, path) if root else None
        raw = _read_regular(file, MAX_SETTINGS_BYTES) if file else None
        return raw.decode("utf-8", errors=errors) if raw is not None else None

    return text


def _paths(source: PathsSource, max_bytes: int) -> ReviewInput:
    builder = _InputBuilder(max_bytes)
    root = source.root.resolve()
    seen: set[str] = set()
    for given in source.paths:
        start = given if given.is_absolute() else root / given
        if not start.exists():
            raise SourceError(
                f"{given}: no such file or directory", f"{given}: ファイルもフォルダーもありません"
            )
        named = start.is_file()
        if not named and not start.is_dir():
            raise SourceError(
                f"{given}: neither a regular file nor a folder",
                f"{given}: 通常のファイルでもフォルダーでもありません",
            )
        for file in [start] if named else _walk(start):
            path = Path(
                os.path.relpath(file.parent.resolve() / file.name, root)
            ).as_posix()  # a link's own name
            if path not in seen:
                seen.add(path)
                _add_path(builder, file, path, named=named)
    names = " ".join(str(path) for path in source.paths)
    return builder.material(names, tree_text(root), root)


def _add_path(builder: _InputBuilder, file: Path, path: str, *, named: bool) -> None:
    """One file of a folder, or one that was named itself and may then be a link."""
    if file.is_symlink() and not named:
        builder.leave(path, "symbolic link", gap=False)
        return
    try:
        raw = _read_regular(file, builder.max_bytes + 1, cut=True)
    except OSError as error:
        builder.leave(path, f"cannot be read: {error.strerror}", gap=True)
        return
    if raw is None:
        builder.leave(path, "not a regular file", gap=bool(language_of(path)))
    elif (text := builder.readable(path, raw)) is not None:
        builder.add(ChangedFile(path, language_of(path, text), text, whole=True))


def _read_regular(file: Path, limit: int, *, cut: bool = False) -> bytes | None:
    """The content of a regular file; None for anything else (a pipe, a device, a folder), which is not waited for.

    Of a file that is larger than ``limit`` bytes it is None too, or with ``cut`` the first ``limit`` bytes.
    Raises OSError.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        raw = opened.read(limit if cut else limit + 1)
        return raw if cut or len(raw) <= limit else None


def _walk(folder: Path) -> Iterator[Path]:
    """The files under a folder: those that git would track, or else all but hidden and generated folders.

    A folder that is itself ignored has nothing that git would track; it was named, so it is walked.
    """
    try:
        names = Repository(folder).files(["."])
    except GitError:
        names = []
    if names:
        yield from (folder / name for name in sorted(names) if (folder / name).is_file())
        return
    yield from _walk_folders(folder)


def _walk_folders(folder: Path) -> Iterator[Path]:
    """The files under a folder but hidden and generated folders; a folder that cannot be listed stands for its files.

    Not ``os.walk``, which is recursive before Python 3.12: a tree may be deeper than the interpreter's stack.
    """
    todo = [folder]
    while todo:
        here = todo.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            yield here
            continue
        folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield from (Path(entry.path) for entry in entries if entry not in folders)
        todo += [
            Path(entry.path)
            for entry in reversed(folders)
            if entry.name not in _SKIPPED_FOLDERS and not entry.name.startswith(".")
        ]


def project_files(root: Path) -> list[str]:
    """The paths, relative to ``root``, of what git would track there, or of all files without git."""
    return [file.relative_to(root).as_posix() for file in _walk(root)]


def _text(source: TextSource, max_bytes: int) -> ReviewInput:
    builder = _InputBuilder(max_bytes)
    text = builder.readable(source.name, source.text.encode("utf-8", errors="surrogateescape"))
    if text is not None:
        builder.add(ChangedFile(source.name, language_of(source.name, text), text, whole=True))
    return builder.material(source.name, lambda _: None)


def _versions(source: VersionsSource, max_bytes: int) -> ReviewInput:
    builder = _InputBuilder(max_bytes)
    moved = changes.moved_files(source.before, source.after)
    for path in sorted({*source.before, *source.after} - {*moved.values()}):
        if path not in source.after:
            builder.leave(path, "deleted", gap=False)
            continue
        text = builder.readable(path, source.after[path].encode("utf-8", errors="surrogateescape"))
        if text is None or text == source.before.get(path):
            continue
        old_path = moved.get(path, "")
        before = source.before.get(old_path or path)
        hunks = changes.hunks_of(changes.unified(before or "", text), len(changes.split_lines(text)))
        builder.add(ChangedFile(path, language_of(path, text), text, before, hunks, old_path=old_path))
    return builder.material("two versions", source.before.get)


def _diff(source: DiffSource, max_bytes: int) -> ReviewInput:
    builder = _InputBuilder(max_bytes)
    diff = changes.with_plain_headers(source.diff)
    try:
        patches = PatchSet(StringIO(diff, newline="\n"))
    except (UnidiffParseError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise DiffError(f"diff: {error}", f"差分を読めません（{error}）") from error
    if not patches and changes.has_hunk(diff):
        raise DiffError(
            "diff: it has hunks of no file that is named",
            "差分を読めません（ファイル名のないハンクがあります）",
        )
    if not patches and diff.strip() and not changes.sections(diff):
        raise DiffError("diff: no hunk in it", "差分を読めません（ハンクがありません）")
    befores: dict[str, str | None] = {}
    for patched in patches:
        path = patched.path
        if patched.is_added_file:
            befores[path] = None
        if not _safe(path):
            builder.leave(path, "path leaves the project", gap=True)
        elif patched.is_removed_file:
            builder.leave(path, "deleted", gap=False)
        elif patched.is_binary_file:
            builder.leave(path, "binary", gap=False)
        else:
            section = "".join(str(hunk) for hunk in patched)
            file, before = _patched(builder, source.root, path, section, patched.is_added_file)
            if before is not None:
                befores[path] = before
            if file is not None:
                builder.add(file)
    tree = tree_text(source.root)
    return builder.material(
        "diff",
        lambda path: befores[path] if path in befores else tree(path),
        source.root,
        [patched.path for patched in patches],
    )


def _patched(
    builder: _InputBuilder, root: Path | None, path: str, section: str, new: bool
) -> tuple[ChangedFile | None, str | None]:
    """One file of a diff, and its text before: from the tree in either state, or from the hunks alone.

    The file is None where it cannot be reviewed; the reason is noted.
    """
    unknown_total = 1 << 40
    hunks = changes.hunks_of(section, unknown_total)
    file = _inside(root, path) if root else None
    raw = _read_regular(file, builder.max_bytes) if file else b""
    if raw is None:
        builder.leave(path, f"larger than {builder.max_bytes} bytes", gap=bool(language_of(path)))
        return None, None
    found = changes.split_lines(raw.decode("utf-8", errors="replace")) if file else None
    before: list[str] | None = None
    sides = None if found is None else _tree_sides(found, section, new)
    complete = new or sides is not None
    if sides is not None:
        after, before = sides
    elif new:
        after = [text for hunk in hunks for _, text in hunk.context]
    else:
        size = max((hunk.end for hunk in hunks), default=0)
        if size > builder.max_bytes:  # a line is a byte at least; the number is the diff's own claim
            builder.leave(path, f"larger than {builder.max_bytes} bytes", gap=bool(language_of(path)))
            return None, None
        after = _lines_of_hunks(hunks, size)
    raw = "".join(line + "\n" for line in after).encode("utf-8", errors="surrogateescape")
    old = None if before is None else "".join(line + "\n" for line in before)
    readable = builder.readable(path, raw)
    if readable is None:
        return None, old
    hunks = changes.hunks_of(section, len(after))
    return ChangedFile(path, language_of(path, readable), readable, old, hunks, complete=complete), old


def _tree_sides(found: list[str], section: str, new: bool) -> tuple[list[str], list[str] | None] | None:
    """The lines after and before the change, where the tree's file is one of the two; None where it is neither."""
    old_side = changes.patched(found, section, reverse=True)
    if old_side is not None:
        return found, None if new else old_side
    new_side = changes.patched(found, section)
    return None if new_side is None else (new_side, found)


def _lines_of_hunks(hunks: Sequence[changes.Hunk], size: int) -> list[str]:
    """A file of ``size`` lines that holds what the hunks show, and empty lines elsewhere."""
    lines = [""] * size
    for hunk in hunks:
        for number, text in hunk.context:
            lines[number - 1] = text
    return lines


def _pending(source: PendingSource, max_bytes: int) -> ReviewInput:
    """The working tree against the last commit, read as two versions of the changed files."""
    repository = Repository(Repository(source.root).top())
    tree = tree_text(repository.root, "surrogateescape")
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for path in repository.pending():
        old, new = repository.file_at("HEAD", path), tree(path)
        if old is not None:
            before[path] = old
        if new is not None:
            after[path] = new
    material = _versions(VersionsSource(before, after), max_bytes)
    return replace(
        material,
        name="uncommitted changes",
        root=repository.root,
        base_text=lambda path: repository.file_at("HEAD", path),
        changed=tuple({*before, *after}),
    )


def _staged(source: StagedSource, max_bytes: int) -> ReviewInput:
    repository = Repository(Repository(source.root).top())
    try:
        head = repository.commit("HEAD")
    except GitError:  # nothing is committed yet
        head = repository.empty_tree()
    return _trees(repository, ("--cached", head), head, "staged changes", max_bytes)


def _base(source: BaseSource, max_bytes: int) -> ReviewInput:
    repository = Repository(Repository(source.root).top())
    head = repository.commit(source.head)
    base = repository.merge_base(repository.commit(source.ref), head)
    name = f"{source.ref}...{source.head}"
    material = _trees(repository, (base, head), base, name, max_bytes, source.paths)
    return replace(material, revisions=(base, head))


def _commit(source: CommitSource, max_bytes: int) -> ReviewInput:
    repository = Repository(Repository(source.root).top())
    commit = repository.commit(source.sha)
    parent = repository.parent(commit)
    material = _trees(repository, (parent, commit), parent, f"commit {commit[:12]}", max_bytes)
    return replace(material, revisions=(parent, commit))


def _trees(
    repository: Repository,
    range_: tuple[str, str],
    base: str,
    name: str,
    max_bytes: int,
    paths: frozenset[str] | None = None,
) -> ReviewInput:
    """Everything that changed between two trees of a repository (or those of ``paths`` that did)."""
    builder = _InputBuilder(max_bytes)
    entries = repository.entries(*range_)
    parts = changes.sections(repository.diff(*range_))
    if len(parts) != len(entries):
        raise SourceError(
            f"git listed {len(entries)} changed files and a diff of {len(parts)}",
            f"git が示した変更ファイルは {len(entries)} 件ですが、差分は {len(parts)} 件です",
        )
    wanted = [
        entry for entry in entries if (paths is None or entry.path in paths) and _reviewable(builder, entry)
    ]
    both = [blob for entry in wanted for blob in (entry.old_blob, entry.new_blob) if blob.strip("0")]
    sizes = repository.sizes(both)
    contents = repository.blobs(blob for blob, size in sizes.items() if size <= max_bytes)
    section_of: Mapping[int, str] = {id(entry): part for entry, part in zip(entries, parts, strict=True)}
    for entry in wanted:
        raw = contents.get(entry.new_blob)
        if raw is None:
            builder.leave(entry.path, f"larger than {max_bytes} bytes", gap=bool(language_of(entry.path)))
            continue
        text = builder.readable(entry.path, raw)
        if text is None:
            continue
        old = contents.get(entry.old_blob)
        before = old.decode("utf-8", errors="replace").removeprefix("\ufeff") if old is not None else None
        hunks = changes.hunks_of(section_of[id(entry)], len(changes.split_lines(text)))
        language = language_of(entry.path, text)
        builder.add(ChangedFile(entry.path, language, text, before, hunks, old_path=entry.old_path))
    changed = [entry.path for entry in entries]
    return builder.material(name, lambda path: repository.file_at(base, path), repository.root, changed)


def _reviewable(builder: _InputBuilder, entry: Entry) -> bool:
    if entry.status == "D":
        builder.leave(entry.path, "deleted", gap=False)
    elif entry.new_mode == "160000":
        builder.leave(entry.path, "submodule", gap=False)
    elif entry.new_mode == "120000":
        builder.leave(entry.path, "symbolic link", gap=False)
    elif entry.status == "U":
        builder.leave(entry.path, "unmerged", gap=True)
    else:
        return True
    return False
