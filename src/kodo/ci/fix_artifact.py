"""What the job that looks for a fix leaves for the one that opens it, and reading it back as hostile input.

The first runs a project's tests (in the sandbox) and asks a model; the second may write. So nothing in the artifact says
where to write: number, branches and the parent commit come from the forge and the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from kodo.ci.artifact import ArtifactError, check_path, file_reader
from kodo.ci.marker import Sha
from kodo.ci.writes import FixedFile
from kodo.jobs.fix import FixReport, Verdict

FIX_ARTIFACT = "kodo-fix"
FIX_FILE = "fix.json"
MAX_FILES = 20
MAX_FILE_CHARACTERS = 500_000
MAX_FIX_BYTES = 4_000_000
MAX_REASON = 2_000


class FixArtifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One attempt: the commit it began at, what became of it, and the files as a proven fix leaves them.

    ``reason`` says why there is no report: the request could not be met.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    base: Sha = ""
    report: FixReport | None = None
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON)] = ""
    files: Annotated[tuple[FixedFile, ...], msgspec.Meta(max_length=MAX_FILES)] = ()

    @property
    def outcome(self) -> Literal["proven", "not proven", "not done"]:
        """What may be made of it: only a proven fix with files is opened."""
        if self.report is None:
            return "not done"
        return "proven" if self.report.verdict is Verdict.PROVEN and self.files else "not proven"


def write_fix(folder: Path, artifact: FixArtifact) -> None:
    """Write the file. Raises OSError if the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIX_FILE).write_bytes(msgspec.json.encode(artifact) + b"\n")


def read_fix(source: Path | bytes) -> FixArtifact:
    """The artifact in a folder or in the bytes of a zip.

    Raises:
        ArtifactError: it is missing, too large or damaged, or a value is of the wrong kind or out of bounds.
    """
    try:
        found = msgspec.json.decode(file_reader(source)(FIX_FILE, MAX_FIX_BYTES), type=FixArtifact)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(str(error)) from error
    paths = [file.path for file in found.files]
    if len(set(paths)) != len(paths):
        raise ArtifactError(f"{FIX_FILE}: files: one twice")
    for file in found.files:
        check_path(file.path, f"{FIX_FILE}: files")
        if not file.path.isprintable() or any(part in ("", ".", ".git") for part in file.path.split("/")):
            raise ArtifactError(f"{FIX_FILE}: files: a plain path is needed")
        if file.text is not None and len(file.text) > MAX_FILE_CHARACTERS:
            raise ArtifactError(f"{FIX_FILE}: files: longer than {MAX_FILE_CHARACTERS} characters")
    return found
