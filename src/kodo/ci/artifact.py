"""What job 1 leaves for job 2: a folder of files; and reading it back as hostile input.

A change from a fork can alter its own pipeline, so anybody may have written an artifact. Two files of it are read,
``report.json`` and ``run.json``, by name, from a folder or a zip, within bounds of size and of each value. Nothing in
them names a change to write to: number and head come from the forge.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec

from kodo.ci.bounds import (
    MAX_BLOCK,
    MAX_FILE_BYTES,
    MAX_FINDINGS,
    MAX_NOTES,
    MAX_PATH,
    MAX_PATHS,
    MAX_RULE,
    MAX_TEXT,
    within_bounds,
)
from kodo.ci.marker import Sha
from kodo.ci.summary import render_summary
from kodo.jobs.report import codequality, github, jsonfile, junit, rdjson, sarif
from kodo.jobs.report.model import Finding, Place, ReviewReport
from kodo.jobs.report.visible import make_visible, one_line, visible

MAX_ZIP_BYTES = 64_000_000
MAX_ZIP_ENTRIES = 64
MAX_ZIP_SIGNATURES = 2_000
"""Of entries, before the zip's list is read: chance makes a few more of them in packed data."""
_ENTRY = b"PK\x01\x02"
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
    OSError,
)
MAX_LINE = 100_000_000
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]*")

RUN_FILE, REPORT_FILE = "run.json", "report.json"
FOLDER = "kodo-review/"
"""Where the files are in the zips of systems that keep an artifact's path (GitLab)."""


class ArtifactError(ValueError):
    """The artifact is not one of ours, or out of bounds; the message names the file or the field."""


class RunInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a review was about, as job 1 says.

    Attributes:
        base: the commit where the change left its target branch.
        head: the commit that was reviewed.
        target: the branch to merge into.
        since: of an incremental review, the head of the one before; else empty.
        paths: of an incremental review, the paths that changed since then.
        skipped: why the policy did not want a review; else empty.
        whole: the report also holds the findings of an incremental review's other files, as they were before.
        not_incremental: why it is a full review, where one was done before; else empty.
        tests: tests that were asked for by command, as the text of a file.
        tests_notes: what of them could not be done; with ``tests`` empty and no note, none were asked for.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    base: Sha = ""
    head: Sha = ""
    target: Annotated[str, msgspec.Meta(max_length=300)] = ""
    since: Sha = ""
    whole: bool = False
    paths: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=MAX_PATH)], ...], msgspec.Meta(max_length=MAX_PATHS)
    ] = ()
    skipped: Annotated[str, msgspec.Meta(max_length=400)] = ""
    not_incremental: Annotated[str, msgspec.Meta(max_length=400)] = ""
    tests: Annotated[str, msgspec.Meta(max_length=60_000)] = ""
    tests_notes: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=400)], ...], msgspec.Meta(max_length=20)
    ] = ()


class Artifact(msgspec.Struct, frozen=True):
    """One review: what it was about, and its result."""

    run: RunInfo
    report: ReviewReport


FILES: Mapping[str, Callable[[ReviewReport], str]] = MappingProxyType(
    {
        REPORT_FILE: jsonfile.render,
        "kodo.sarif": sarif.render,
        "rdjson.json": rdjson.render,
        "codequality.json": codequality.render,
        "junit.xml": junit.render,
        "annotations.txt": github.render,
        "summary.md": render_summary,
    }
)
"""The files of an artifact beside ``run.json``."""


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write every file, of as much of the report as :func:`read_artifact` accepts. Raises OSError if the folder cannot be written."""
    clear_artifact(folder)
    report = within_bounds(artifact.report)
    for name, render in FILES.items():
        _write_new(folder / name, render(report).encode("utf-8"))
    _write_new(folder / RUN_FILE, msgspec.json.encode(artifact.run) + b"\n")


def clear_artifact(folder: Path) -> None:
    """Make the folder, or remove an earlier artifact's files from it, so that none is taken for this review's.

    A pipeline may have the change checked out, which can have a link there: none is followed.

    Raises:
        ArtifactError: the folder, or one on the way to it from the working folder, is a symbolic link.
        OSError: it cannot be made or written.
    """
    here = Path.cwd()
    for part in (folder, *(item for item in folder.parents if here in (here / item).parents)):
        if part.is_symlink():
            raise ArtifactError(f"{part}: a symbolic link")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*FILES, RUN_FILE):
        (folder / name).unlink(missing_ok=True)


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def read_artifact(source: Path | bytes) -> Artifact:
    """The artifact in a folder or in the bytes of a zip, every text made visible.

    Raises:
        ArtifactError: a file is missing, too large or damaged, or a value is of the wrong kind or out of bounds.
    """
    read = file_reader(source)
    try:
        run = msgspec.json.decode(read(RUN_FILE, 4_000_000), type=RunInfo)
        report = msgspec.json.decode(read(REPORT_FILE, MAX_FILE_BYTES), type=ReviewReport)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(str(error)) from error
    for path in run.paths:
        check_path(path, "run.json: paths")
    _check_report(report)
    return Artifact(_visible_run(run), make_visible(report))


def _visible_run(run: RunInfo) -> RunInfo:
    """The run with texts that can be shown anywhere, as those of the report."""
    return msgspec.structs.replace(
        run,
        target=one_line(run.target),
        skipped=one_line(run.skipped),
        not_incremental=one_line(run.not_incremental),
        tests=visible(run.tests),
        tests_notes=tuple(one_line(note) for note in run.tests_notes),
    )


def file_reader(source: Path | bytes) -> Callable[[str, int], bytes]:
    """Reads a file of a folder, or of the bytes of a zip, by name, up to a number of bytes. Both raise ArtifactError."""
    return _zip_reader(source) if isinstance(source, bytes) else _folder_reader(source)


def _folder_reader(folder: Path) -> Callable[[str, int], bytes]:
    def read(name: str, limit: int) -> bytes:
        path = folder / name
        try:
            if path.is_symlink() or not path.is_file():
                raise ArtifactError(f"{name}: not there")
            with path.open("rb") as file:
                return _bounded(name, file.read(limit + 1), limit)
        except OSError as error:
            raise ArtifactError(f"{name}: {error.strerror}") from error

    return read


def _zip_reader(data: bytes) -> Callable[[str, int], bytes]:
    if len(data) > MAX_ZIP_BYTES:
        raise ArtifactError(f"the zip is larger than {MAX_ZIP_BYTES} bytes")
    # Each entry of the list begins so, wherever the list is and however long it says that it is; 64 MB of it would take gigabytes.
    if data.count(_ENTRY) > MAX_ZIP_SIGNATURES:
        raise ArtifactError("the zip has too many files")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _DAMAGE as error:
        raise ArtifactError(f"not a zip: {error}") from error
    names = [name.removeprefix(FOLDER) for name in archive.namelist()]
    if len(names) > MAX_ZIP_ENTRIES or len(set(names)) != len(names):
        raise ArtifactError("the zip has too many files, or one twice")

    def read(name: str, limit: int) -> bytes:
        try:
            entry = archive.getinfo(name if name in archive.NameToInfo else FOLDER + name)
            if entry.compress_type not in _METHODS:
                raise ArtifactError(f"{name}: packed by method {entry.compress_type}")
            with archive.open(entry) as file:
                return _bounded(name, file.read(limit + 1), limit)
        except KeyError as error:
            raise ArtifactError(f"{name}: not there") from error
        except ArtifactError:
            raise
        except _DAMAGE as error:
            raise ArtifactError(f"{name}: {error}") from error

    return read


def _bounded(name: str, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise ArtifactError(f"{name}: larger than {limit} bytes")
    return data


def _check_report(report: ReviewReport) -> None:
    everything = [*report.findings, *report.known, *(item.finding for item in report.suppressed)]
    if len(everything) > MAX_FINDINGS:
        raise ArtifactError(f"findings: more than {MAX_FINDINGS}")
    if len(report.unreviewed) + len(report.reviewed) > 2 * MAX_PATHS or len(report.notes) > MAX_NOTES:
        raise ArtifactError("unreviewed, reviewed or notes: too many entries")
    if report.lang not in ("en", "ja"):
        raise ArtifactError("lang: en or ja")
    for finding in everything:
        _check_finding(finding)
    for item in report.unreviewed:
        _short(item.path, MAX_PATH, "unreviewed: path")  # also names what is no file, such as "tests"
        _short(item.reason, MAX_TEXT, "unreviewed: reason")
    for reviewed in report.reviewed:
        check_path(reviewed.path, "reviewed: path")
    for note in report.notes:
        _short(note, MAX_TEXT, "notes")
    _short(report.source, MAX_TEXT, "source")
    _short(report.kodo, 100, "kodo")
    if report.executed is not None:
        for text in (*report.executed.functions, *report.executed.not_run):
            _short(text, MAX_TEXT, "executed")


def _check_finding(finding: Finding) -> None:
    if not _FINGERPRINT.fullmatch(finding.fingerprint):
        raise ArtifactError("findings: fingerprint: 8 to 64 hexadecimal digits are needed")
    if len(finding.rule) > MAX_RULE or not _RULE.fullmatch(finding.rule):
        raise ArtifactError("findings: rule: letters, digits and . / : _ - are allowed")
    _short(finding.message, MAX_TEXT, "findings: message")
    _short(finding.evidence.source, MAX_RULE, "findings: evidence: source")
    _short(finding.definition, MAX_TEXT, "findings: definition")
    for block in (finding.code, finding.evidence.detail, finding.fix.text if finding.fix else ""):
        _short(block, MAX_BLOCK, "findings: code, detail or fix")
    for place in (finding.place, *finding.related):
        _check_place(place)
    fix = finding.fix
    if fix is not None:
        _check_place(Place(finding.place.path, fix.line, fix.end_line))
        if len(fix.checked) > 10 or any(not re.fullmatch(r"[a-z]{1,20}", word) for word in fix.checked):
            raise ArtifactError("findings: fix: checked: unknown words")


def _check_place(place: Place) -> None:
    check_path(place.path, "findings: path")
    if not 1 <= place.line <= place.end_line <= MAX_LINE:
        raise ArtifactError("findings: line and end_line: out of bounds")
    if not (0 <= place.column <= MAX_LINE and 0 <= place.end_column <= MAX_LINE):
        raise ArtifactError("findings: column: out of bounds")


def check_path(path: str, where: str) -> None:
    """Raise ArtifactError for a path that is not one inside the repository."""
    _short(path, MAX_PATH, where)
    if not path or path.startswith(("/", "~")) or "\\\\" in path[:2] or ".." in path.split("/"):
        raise ArtifactError(f"{where}: a path inside the repository is needed")


def _short(text: str, limit: int, where: str) -> None:
    if len(text) > limit:
        raise ArtifactError(f"{where}: longer than {limit} characters")
