"""Says which repository or project a command works on, where that is not the folder it was started in.

git looks for a repository in the folders above too, and so does a job for a project: a folder without one of its own belongs to
the one around it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kodo.cli.output import Output
from kodo.client.i18n import Catalogue

MESSAGES = Catalogue(
    {
        "repository": ("the repository is {path}", "対象のリポジトリは {path} です"),
        "project": ("the project is {path}", "対象のプロジェクトは {path} です"),
    }
)


def note_place(kind: Literal["repository", "project"], path: Path, output: Output) -> None:
    """Name the place as a note, unless it is the working folder itself."""
    if path.resolve() != Path.cwd().resolve():
        output.using(MESSAGES).note(kind, path=path)


def note_repository(output: Output) -> None:
    """Name the repository of the working folder; where there is none, the job that needs one says so."""
    from kodo.jobs.review.git import GitError, Repository  # here, because the jobs bring much with them

    try:
        note_place("repository", Repository(Path.cwd()).top(), output)
    except GitError:
        return
