"""Reading a repository through the git command, with everything switched off that the repository could run.

Hooks, external diff and text conversion programs, the file system monitor and the pager never start, nothing
is fetched, no file of the repository is written. Names of revisions are resolved before use, so that none is
taken for an option.
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kodo.client.i18n import LocalizedError

_TIMEOUT = 120.0
_NULL_CONFIG = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.pager=cat", "core.quotePath=false",
    "core.attributesFile=/dev/null", "diff.external=", "diff.noprefix=false", "diff.mnemonicPrefix=false",
    "diff.renameLimit=1000", "protocol.allow=never", "submodule.recurse=false", "core.untrackedCache=false",
)  # fmt: skip  # one row of settings
_DIFF = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "-M",
    "--ignore-submodules=none",
    "-U3",
    "--no-relative",
)


class GitError(LocalizedError, ValueError):
    """git could not do it; the message is git's own last line, which is English in both languages."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One changed path: its modes and blobs on both sides; a null blob (zeros) means absent."""

    path: str
    old_path: str
    status: str
    old_mode: str
    new_mode: str
    old_blob: str
    new_blob: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree (or any folder inside it)."""

    root: Path

    def run(self, *args: str, stdin: bytes | None = None, index: Path | None = None) -> bytes:
        """The standard output of one git command. Raises GitError if it fails, is missing or hangs.

        ``index`` is a file to use in place of the repository's own index.
        """
        settings = [part for setting in _NULL_CONFIG for part in ("-c", setting)]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environ |= {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
            "GIT_NO_LAZY_FETCH": "1",
        }
        if index is not None:
            environ["GIT_INDEX_FILE"] = str(index)
        command = ["git", "--no-pager", "--literal-pathspecs", "--no-replace-objects", *settings, *args]
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                input=stdin or b"",
                capture_output=True,
                env=environ,
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise GitError(
                f"git: {error.filename} not found", f"git: {error.filename} が見つかりません"
            ) from error
        except ValueError as error:
            raise GitError(
                "git: an argument has a NUL character", "git: 引数に NUL 文字が含まれています"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise GitError(
                f"git {args[0]} took longer than {_TIMEOUT:.0f} s",
                f"git {args[0]} が {_TIMEOUT:.0f} 秒以内に終わりませんでした",
            ) from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            if not words:
                raise GitError(
                    f"git {args[0]} failed with status {done.returncode}",
                    f"git {args[0]} が状態 {done.returncode} で失敗しました",
                )
            said = words[-1].removeprefix("fatal: ")
            raise GitError(said, f"git {args[0]} が失敗しました（git: {said}）")
        return done.stdout

    def top(self) -> Path:
        """The folder that paths in diffs are relative to. Raises GitError outside a repository."""
        return Path(os.fsdecode(self.run("rev-parse", "--show-toplevel").removesuffix(b"\n")))

    def commit(self, name: str) -> str:
        """The full id of a revision. Raises GitError if no commit has that name."""
        try:
            found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitError as error:
            raise GitError(
                f"no commit is named {name!r}", f"{name!r} という名前のコミットはありません"
            ) from error
        return found.decode().strip()

    def merge_base(self, one: str, other: str) -> str:
        """Where two commits part. Raises GitError if they share no history."""
        try:
            return self.run("merge-base", one, other).decode().split()[0]
        except GitError as error:
            raise GitError(
                f"{one[:12]} and {other[:12]} share no history (a shallow clone?)",
                f"{one[:12]} と {other[:12]} には共通の履歴がありません（浅いクローンかもしれません）",
            ) from error

    def parent(self, commit: str) -> str:
        """The first parent of a commit, or the empty tree."""
        ids = self.run("rev-list", "--parents", "-n", "1", commit).decode().split()
        return ids[1] if len(ids) > 1 else self.empty_tree()

    def empty_tree(self) -> str:
        """The id of the tree without files, in this repository's hash."""
        return self.run("hash-object", "-t", "tree", "--stdin").decode().strip()

    def entries(self, *range_: str) -> list[Entry]:
        """The changed paths between two trees, in git's order."""
        fields = self.run("diff", *_DIFF, "--raw", "-z", "--no-abbrev", *range_).split(b"\0")
        found: list[Entry] = []
        at = 0
        while at < len(fields) and fields[at].startswith(b":"):
            old_mode, new_mode, old_blob, new_blob, status = fields[at][1:].decode().split(" ")
            old_path = _text(fields[at + 1])
            renamed = status[0] in "RC"
            path = _text(fields[at + 2]) if renamed else old_path
            found.append(Entry(path, old_path, status[0], old_mode, new_mode, old_blob, new_blob))
            at += 3 if renamed else 2
        return found

    def diff(self, *range_: str) -> str:
        """The unified diff between two trees; its sections are in the order of ``entries``."""
        return _text(self.run("diff", *_DIFF, "-p", *range_))

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """The size in bytes of each blob."""
        asked = list(dict.fromkeys(blobs))
        if not asked:
            return {}
        answer = self.run("cat-file", "--batch-check", stdin=("\n".join(asked) + "\n").encode()).decode()
        parts = (line.split() for line in answer.splitlines())
        return {part[0]: int(part[2]) for part in parts if len(part) == 3 and part[1] == "blob"}

    def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs, without filters or conversions."""
        asked = list(dict.fromkeys(ids))
        if not asked:
            return {}
        data = self.run("cat-file", "--batch", stdin=("\n".join(asked) + "\n").encode())
        found: dict[str, bytes] = {}
        at = 0
        while at < len(data):
            end = data.index(b"\n", at)
            head = data[at:end].split()
            at = end + 1
            if len(head) == 3:
                size = int(head[2])
                found[head[0].decode()] = data[at : at + size]
                at += size + 1
        return found

    def file_at(self, tree: str, path: str) -> str | None:
        """The text of one path in a commit or tree (":" is the index); None where it is absent."""
        try:
            return _text(self.run("cat-file", "blob", f"{tree}:{path}" if tree != ":" else f":{path}"))
        except GitError:
            return None

    def pending(self) -> list[str]:
        """The paths that differ from the last commit, staged or not, and untracked ones."""
        rows = self.run("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames").split(
            b"\0"
        )
        return sorted({_text(row[3:]) for row in rows if row})

    def default_base(self) -> str | None:
        """The branch that work is measured against: the remote's default, else main or master; None for none."""
        for name in ("origin/HEAD", "origin/main", "origin/master", "main", "master"):
            try:
                self.commit(name)
            except GitError:
                continue
            return name
        return None

    def tree(self, revision: str) -> dict[str, tuple[str, int]]:
        """The regular files of a commit or tree: path to blob and size in bytes; without those whose content this clone does not have,
        such as large files in a partial one.
        """
        found: dict[str, tuple[str, int]] = {}
        for row in self.run("ls-tree", "-r", "-z", "-l", "--full-tree", revision).split(b"\0"):
            head, _, name = row.partition(b"\t")
            fields = head.decode().split()
            is_file = fields[:1] in (["100644"], ["100755"])
            if is_file and fields[3].isdecimal() and _stays_inside(_text(name)):
                found[_text(name)] = (fields[2], int(fields[3]))
        return found

    def ignored_files(self) -> list[str]:
        """The untracked files that .gitignore names."""
        listed = self.run("ls-files", "-z", "-o", "-i", "--exclude-standard")
        return [_text(name) for name in listed.split(b"\0") if name]

    def files(self, paths: Sequence[str]) -> list[str]:
        """Tracked and untracked files under ``paths``, without those that .gitignore names."""
        listed = self.run("ls-files", "-z", "-c", "-o", "--exclude-standard", "--deduplicate", "--", *paths)
        return [_text(name) for name in listed.split(b"\0") if name]


def _stays_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="surrogateescape")
