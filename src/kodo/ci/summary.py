"""The report as a job summary: Markdown within GitHub's limit of 1 MiB a step."""

from __future__ import annotations

import msgspec

from kodo.jobs.report import markdown
from kodo.jobs.report.model import ReviewReport

MAX_SUMMARY_BYTES = 1_048_576 - 1_024
"""GitHub drops a longer summary whole; a little room for what else the step writes."""

_MORE = {
    "en": "{count} more findings are in the artifact, not in this summary.",
    "ja": "他に {count} 件の指摘があります。成果物を参照してください。",
}


def render_summary(report: ReviewReport, max_bytes: int = MAX_SUMMARY_BYTES) -> str:
    """The report in Markdown in at most ``max_bytes``; a last line counts the findings that did not fit."""
    total = len(report.findings)
    shown = total
    while True:
        notes = report.notes
        if shown < total:
            left_out = _MORE[report.lang if report.lang == "ja" else "en"].format(count=total - shown)
            notes = (*notes, left_out)
        text = markdown.render(msgspec.structs.replace(report, findings=report.findings[:shown], notes=notes))
        if len(text.encode()) <= max_bytes:
            return text
        if shown == 0:  # what is left is not findings: paths, notes
            cut = text.encode()[: max_bytes - 8].decode(errors="ignore")
            return cut.rsplit("\n", 1)[0] + "\n\n…\n"
        shown //= 2
