"""The report as JSON: the values of ``model``, field for field. Also baselines, which are lists of fingerprints."""

import msgspec

from kodo.jobs.report.model import ReviewReport
from kodo.jobs.report.visible import json_text


class BaselineError(ValueError):
    """The text is not a baseline."""


class _Entry(msgspec.Struct):
    fingerprint: str


class _Baseline(msgspec.Struct):
    """A baseline is any report in JSON, or what ``baseline`` writes: both have findings with fingerprints."""

    findings: list[_Entry]
    known: list[_Entry] = []


def render(report: ReviewReport) -> str:
    """The whole report, indented, non-ASCII letters as they are."""
    return json_text(report)


def baseline(report: ReviewReport) -> str:
    """A baseline of everything that was found, new or known, sorted so that it diffs well."""
    rows = sorted(
        {(item.fingerprint, item.place.path, item.rule) for item in (*report.findings, *report.known)},
        key=lambda row: (row[1], row[2], row[0]),
    )
    data = {"findings": [{"fingerprint": mark, "path": path, "rule": rule} for mark, path, rule in rows]}
    return json_text(data)


def read_baseline(text: str) -> frozenset[str]:
    """The fingerprints of a baseline or of an earlier JSON report. Raises BaselineError for anything else."""
    try:
        data = msgspec.json.decode(text, type=_Baseline)
    except msgspec.MsgspecError as error:
        raise BaselineError(str(error)) from error
    return frozenset(item.fingerprint for item in (*data.findings, *data.known))
