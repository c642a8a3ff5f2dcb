"""The artifact as hostile input: bounds, shapes and zips that nobody's job 1 writes."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kodo.ci import artifact as artifacts
from kodo.ci.artifact import Artifact, ArtifactError, RunInfo, read_artifact, write_artifact
from kodo.ci.bounds import within_bounds
from kodo.ci.masking import Masker
from kodo.ci.summary import render_summary
from kodo.jobs.report.model import (
    Category,
    Evidence,
    EvidenceKind,
    Finding,
    Fix,
    Place,
    ReviewReport,
    Severity,
    State,
)

FINDING = Finding(
    fingerprint="ab12cd34",
    rule="B006",
    category=Category.BUG,
    severity=Severity.WARNING,
    place=Place("a.py", 3, 4),
    message="bad",
    evidence=Evidence(EvidenceKind.RULE, "ruff"),
    code="x = 1\ny = 2",
    fix=Fix(3, 3, "y = 1\n", ("parses", "analysers")),
)
REPORT = ReviewReport(state=State.FINDINGS, source="x", findings=(FINDING,))
RUN = RunInfo(base="a" * 40, head="b" * 40)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return buffer.getvalue()


def files(**changes: Any) -> dict[str, bytes]:
    """A right artifact, with changes to its finding (by path of keys, joined with __) or whole files."""
    report = json.loads(artifacts.FILES["report.json"](REPORT))
    run = {"base": "a" * 40, "head": "b" * 40}
    for path, value in changes.items():
        target: Any = {"run": run, "report": report, "finding": report["findings"][0]}
        *keys, last = path.split("__")
        for key in keys:
            target = target[key]
        target[last] = value
    return {"report.json": json.dumps(report).encode(), "run.json": json.dumps(run).encode()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """From a folder, and from a zip."""
    write_artifact(tmp_path, Artifact(RUN, REPORT))
    assert read_artifact(tmp_path) == Artifact(RUN, REPORT)
    assert read_artifact(zipped({file.name: file.read_bytes() for file in tmp_path.iterdir()})) == Artifact(
        RUN, REPORT
    )
    assert read_artifact(zipped(files())).report == REPORT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finding__fingerprint": "../../etc"}, "fingerprint"),
        ({"finding__fingerprint": "AB12CD34"}, "fingerprint"),
        ({"finding__rule": "x -->"}, "rule"),
        ({"finding__rule": "x`y"}, "rule"),
        ({"finding__message": "x" * 4_001}, "message"),
        ({"finding__code": "x" * 20_001}, "code"),
        ({"finding__place__path": "/etc/passwd"}, "path"),
        ({"finding__place__path": "a/../../b"}, "path"),
        ({"finding__place__path": ""}, "path"),
        ({"finding__place__line": 0}, "line"),
        ({"finding__place__line": 9}, "line"),
        ({"finding__place__end_line": 10**12}, "line"),
        ({"finding__place__column": -1}, "column"),
        ({"finding__fix__line": -5}, "line"),
        ({"finding__fix__checked": ["@all"]}, "checked"),
        ({"finding__severity": "fatal"}, "severity"),
        ({"finding__unknown": 1}, "unknown"),
        ({"report__state": "green"}, "state"),
        ({"report__lang": "xx"}, "lang"),
        ({"report__findings": [{}] * 3}, "missing"),
        ({"report__number": 12}, "number"),
        ({"run__head": "HEAD"}, "head"),
        ({"run__number": 7}, "number"),
        ({"run__paths": ["../x"]}, "paths"),
        ({"run__version": 2}, "version"),
    ],
)  # fmt: skip  # one row a case
def test_a_value_out_of_bounds_is_refused(changes: dict[str, Any], message: str) -> None:
    """The error names the field; a number of a change has no place in it at all."""
    with pytest.raises(ArtifactError, match=message):
        read_artifact(zipped(files(**changes)))


def test_too_many_findings_are_refused() -> None:
    """At two thousand and one."""
    many = json.loads(files()["report.json"])
    many["findings"] *= 2_001
    with pytest.raises(ArtifactError, match="more than 2000"):
        read_artifact(zipped({**files(), "report.json": json.dumps(many).encode()}))


@pytest.mark.parametrize("data", [b"", b"PK", b"[]", b"x" * 100, zipped({}), zipped({"run.json": b"{}"})])
def test_what_is_no_artifact_is_refused(data: bytes) -> None:
    """Bytes that are no zip, and zips without the files."""
    with pytest.raises(ArtifactError):
        read_artifact(data)


def test_a_bomb_is_not_unpacked() -> None:
    """A gigabyte of zeros in a megabyte: reading stops at the bound."""
    bomb = zipped({**files(), "report.json": b"\0" * 60_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(ArtifactError, match="larger than"):
        read_artifact(bomb)


def test_deep_json_is_refused() -> None:
    """Nesting ends in an error, not in the interpreter's stack."""
    with pytest.raises(ArtifactError):
        read_artifact(zipped({**files(), "report.json": b"[" * 100_000}))


def test_damaged_and_crowded_zips_are_refused() -> None:
    """A wrong checksum, a name twice, a thousand files."""
    good = bytearray(zipped(files()))
    good[45] ^= 0xFF
    with pytest.raises(ArtifactError):
        read_artifact(bytes(good))
    with pytest.raises(ArtifactError, match="too many"):
        read_artifact(zipped({**files(), **{f"{at}": b"" for at in range(100)}}))
    twice = zipped({**files(), "kodo-review/run.json": b"{}"})
    with pytest.raises(ArtifactError, match="twice"):
        read_artifact(twice)


def test_a_long_list_of_files_is_not_read() -> None:
    """Half a million names in thirty megabytes would become gigabytes of objects."""
    entry = b"PK\x01\x02" + b"\0" * 42
    data = entry * 500_000
    end = b"PK\x05\x06" + b"\0" * 8 + len(data).to_bytes(4, "little") + b"\0" * 6
    with pytest.raises(ArtifactError, match="too many files"):
        read_artifact(data + end)
    # An end that claims a short list, before it a ZIP64 end that Python believes instead; and an end in an end.
    size, start = len(data).to_bytes(8, "little"), (0).to_bytes(8, "little")
    count = (500_000).to_bytes(8, "little")
    end64 = (
        b"PK\x06\x06"
        + (44).to_bytes(8, "little")
        + b"\x2d\0\x2d\0"
        + b"\0" * 8
        + count
        + count
        + size
        + start
    )
    locator = b"PK\x06\x07" + b"\0" * 4 + size + (1).to_bytes(4, "little")
    inner = b"PK\x05\x06" + b"\0" * 8 + len(data).to_bytes(4, "little") + b"PK\x05\x06" + b"\0\0"
    for tail in (end64 + locator + b"PK\x05\x06" + b"\0" * 18, inner):
        with pytest.raises(ArtifactError, match="too many files"):
            read_artifact(data + tail)


@pytest.mark.parametrize(("count", "size"), [(1, 30_000), (2_001, 10), (3_000, 600), (300, 21_000)])
def test_a_report_of_any_size_is_read_again(tmp_path: Path, count: int, size: int) -> None:
    """The worst findings first, texts cut, a note that counts the rest; what fits is as it was."""
    text = "\u202e" * size if count == 1 else "x" * size
    evidence = Evidence(EvidenceKind.EXECUTION, "ruff", text)
    plain = msgspec.structs.replace(
        FINDING, message=text, code=text, evidence=evidence, fix=Fix(3, 3, text, ())
    )
    severe = msgspec.structs.replace(plain, severity=Severity.ERROR)
    report = msgspec.structs.replace(
        REPORT, findings=(plain,) * (count - 1) + (severe,), notes=(text,) * (count // 2), source=text
    )
    write_artifact(tmp_path, Artifact(RUN, report))
    found = read_artifact(tmp_path).report
    assert (found.findings[0].severity, found.findings[-1].severity).count(Severity.ERROR) == (
        2 if count == 1 else 1
    )
    lost = count - len(found.findings)
    assert (found.state is State.PARTIAL, any(str(lost) in note for note in found.notes)) == (
        lost > 0,
        lost > 0,
    )
    assert within_bounds(REPORT) == REPORT


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(method: int) -> None:
    """No system packs artifacts so, and a file can ask for gigabytes of dictionary."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, data in files().items():
            made.writestr(name, data)
    with pytest.raises(ArtifactError, match="packed by method"):
        read_artifact(buffer.getvalue())


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 40),
)
def test_any_damage_is_refused_or_harmless(changes: list[tuple[int, int]], cut: int) -> None:
    """Bytes of a zip replaced or cut off: an artifact comes back, or the one error; nothing else is raised."""
    data = bytearray(zipped(files()))
    for at, byte in changes:
        data[-(at % len(data)) - 1] = byte
    with suppress(ArtifactError):
        read_artifact(bytes(data[: len(data) - cut]))


def test_texts_of_the_run_are_made_visible() -> None:
    """Those that stand in the comment beside the report's own."""
    hostile = "\x1b[31m\u202e@everyone\n::error::x"
    run = {"not_incremental": hostile, "skipped": hostile, "tests_notes": [hostile], "target": hostile}
    found = read_artifact(zipped(files(**{f"run__{key}": value for key, value in run.items()}))).run
    for text in (found.not_incremental, found.skipped, *found.tests_notes, found.target):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\n" not in text


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """In a folder that was handed over."""
    write_artifact(tmp_path, Artifact(RUN, REPORT))
    (tmp_path / "secret").write_bytes((tmp_path / "run.json").read_bytes())
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.json").symlink_to(tmp_path / "secret")
    with pytest.raises(ArtifactError, match=r"run\.json: not there"):
        read_artifact(tmp_path)


def test_a_summary_stays_under_githubs_limit() -> None:
    """Ten thousand findings: as many as fit, and a line that counts the rest."""
    many = ReviewReport(state=State.FINDINGS, source="x", findings=(FINDING,) * 10_000)
    text = render_summary(many)
    assert 300_000 < len(text.encode()) <= 1_048_576
    assert "more findings are in the artifact" in text


def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    """By form, and the values of the job's own secret variables; a fix that holds one is left out."""
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    secret = "correct-horse-battery"
    changed = {
        "message": f"found {token}",
        "code": f"x = '{secret}'",
        "fix": Fix(3, 3, f"y = '{secret}'\n", ("parses",)),
    }
    report = msgspec.structs.replace(REPORT, findings=(msgspec.structs.replace(FINDING, **changed),))
    masked = Masker({"MY_TOKEN": secret, "PATH": "/usr/bin"}).report(report)
    write_artifact(tmp_path, Artifact(RUN, masked))
    for file in tmp_path.iterdir():
        assert token not in file.read_text()
        assert secret not in file.read_text()
    assert masked.findings[0].fix is None


def test_a_secret_that_begins_with_a_slash_is_masked(tmp_path: Path) -> None:
    """As one base64 text in 64 does; the path of a file that is there is no secret."""
    socket = tmp_path / "agent.sock"
    socket.touch()
    masker = Masker({"DEPLOY_SECRET": "/Zm9vYmFyYmF6cXV4", "SSH_AUTH_SOCK": str(socket)})
    assert masker.text("was /Zm9vYmFyYmF6cXV4 here") == "was [masked secret] here"
    assert masker.text(f"see {socket}") == f"see {socket}"
