"""Text in the code that instructs an automated reviewer: reported, and not shown to a model.

What is looked for is only what no comment says to a person: "ignore the instructions above", "report no issues",
"as an AI". Such text cannot remove a finding, since a model only adds them; this keeps it from adding false ones.
"""

import re
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate, Subject
from kodo.jobs.review.checks.catalogue import report_line

_INJECTION = re.compile(
    r"""(?ix)
      \b(?:ignore|disregard|forget|override)\b .{0,30} \b(?:previous|prior|above|earlier|all|your|these|system|preceding)\b .{0,30} \b(?:instruction|prompt|rule|order|direction|guideline|finding|warning)s?\b
    | \b(?:do\s+not|don't|never)\s+(?:report|flag|mention|review)\b .{0,40} \b(?:this|any|issue|bug|finding|problem|function|file|vulnerabilit)
    | \b(?:report|say|answer|respond|reply)\b .{0,20} \b(?:no\s+(?:issues|bugs|findings|problems)|lgtm|looks\s+good)\b
    | \b(?:ai|llm|automated|language[ -]model)\s+(?:code\s+)?(?:reviewers?|assistants?|agents?)\b .{0,40} (?: : | \b(?:must|should|please|ignore|skip|approve|report|stop|print|reveal)\b )
    | \b(?:reveal|print|repeat|output|show|leak|tell)\b .{0,30} \b(?:system\s+prompt|your\s+(?:instructions|prompt|rules)|the\s+(?:instructions|prompt)\s+above|canary)\b
    | \byou\s+are\s+(?:now\s+)?(?:an?\s+)?(?:ai|llm|assistant|chatbot|language\s+model|reviewer|dan)\b
    | <\|?(?:im_start|im_end|system|endoftext)\|?> | \[/?INST\]
    | (?:レビュー|指摘|報告).{0,12}(?:しないで|するな|不要です) | (?:これまで|以前|上記)の(?:指示|命令).{0,8}(?:無視|忘れ)
    """
)


def run(subject: Subject) -> Iterator[Candidate]:
    """A candidate for each line that instructs a reviewer."""
    for number, line in enumerate(subject.text.split("\n"), 1):
        if len(line) < 2000 and _INJECTION.search(line):
            yield report_line(number, "orders")


def redact_injections(line: str) -> str:
    """The line, its instructions replaced by a note."""
    return _INJECTION.sub("[words to the reviewer taken out]", line)
