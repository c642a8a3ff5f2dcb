"""A branch with one commit that holds the patch. The working tree, the index and other branches stay as they are."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kodo.client.i18n import words_of
from kodo.jobs.review.git import GitError, Repository


def check_branch(project: Path, name: str) -> None:
    """See that :func:`create_branch` can make a branch of this name, before anything is done for it.

    Raises:
        GitError: the name is not a branch's or is taken, or there is no commit yet.
    """
    repository = Repository(project)
    repository.run("check-ref-format", "--branch", name)
    repository.commit("HEAD")
    if repository.run("for-each-ref", f"refs/heads/{name}").strip():
        raise GitError(f"branch {name!r} is there already", f"ブランチ {name!r} はすでにあります")


def create_branch(project: Path, name: str, patch: str, message: str) -> str:
    """Make branch ``name`` at HEAD plus one commit with the patch; returns the commit's id. No hook runs.

    Raises:
        GitError: the name is not a branch's or is taken, the patch does not fit HEAD (because of changes that are not
            committed), or git has no author.
    """
    repository = Repository(project)
    repository = Repository(repository.top())
    repository.run("check-ref-format", "--branch", name)
    head = repository.commit("HEAD")
    with TemporaryDirectory(prefix="kodo-index-") as folder:
        index = Path(folder) / "index"
        repository.run("read-tree", head, index=index)
        try:
            repository.run(
                "apply",
                "--cached",
                "--whitespace=nowarn",
                stdin=patch.encode("utf-8", "surrogateescape"),
                index=index,
            )
        except GitError as error:
            raise GitError(
                f"the patch does not fit the last commit: {error}",
                f"パッチを最後のコミットに適用できません: {words_of(error, 'ja')}",
            ) from error
        tree = repository.run("write-tree", index=index).decode().strip()
    commit = repository.run("commit-tree", tree, "-p", head, "-m", message).decode().strip()
    try:
        repository.run("update-ref", f"refs/heads/{name}", commit, "0" * len(commit))
    except GitError as error:
        raise GitError(f"branch {name!r} is there already", f"ブランチ {name!r} はすでにあります") from error
    return commit
