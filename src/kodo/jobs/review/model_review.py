"""What the model adds: opinions about chunks of the change, each verified like any other candidate.

A model never takes a finding away. What it says in the wrong form, about lines outside the change, or with the words
it was told to keep, is dropped and counted. A server that fails leaves the rest of the review as it is, and the chunks
it did not see are listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kodo.client.errors import KodoError
from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.report.model import Finding, ModelUse, Unreviewed
from kodo.jobs.review import label_reviewer, schema_reviewer
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.chunks import Chunk, split_file
from kodo.jobs.review.model_asker import ModelAsker, RequestLimitError
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.reading import printable

if TYPE_CHECKING:
    from kodo.client.session import Session


@dataclass(frozen=True)
class ModelReview:
    """Candidates by path, the model's usage, the chunks it did not see, and notes for the report."""

    candidates: dict[str, list[Candidate]]
    asker: ModelAsker
    unreviewed: tuple[Unreviewed, ...]
    notes: tuple[str, ...]

    def use(self, accepted: int) -> ModelUse:
        """The figures for the report."""
        asker = self.asker
        return ModelUse(
            model=asker.model,
            size=asker.options.size,
            requests=asker.requests,
            accepted=accepted,
            rejected=dict(asker.rejected),
            input_tokens=asker.input_tokens,
            output_tokens=asker.output_tokens,
        )


def max_requests_for(files: Sequence[ChangedFile], options: ReviewOptions) -> int:
    """How often the model would be asked at most about these files."""
    chunks = len(_split_files(files, options)[0])
    if options.size == "capable":
        return min(options.max_requests, schema_reviewer.MAX_REQUESTS_PER_CHUNK * chunks)
    return (
        min(
            options.max_requests,
            label_reviewer.calibrations() + label_reviewer.MAX_REQUESTS_PER_CHUNK * chunks,
        )
        if chunks
        else 0
    )


def _split_files(
    files: Sequence[ChangedFile], options: ReviewOptions
) -> tuple[list[Chunk], list[Unreviewed]]:
    """The chunks of all code files, and what fits in none."""
    chunks: list[Chunk] = []
    left: list[Unreviewed] = []
    room = options.window - (
        schema_reviewer.OVERHEAD_TOKENS if options.size == "capable" else label_reviewer.OVERHEAD_TOKENS
    )
    for file in files:
        if file.language not in {"json", "toml", "yaml", "config"}:
            fitting, too_long = split_file(file, room)
            chunks += fitting
            left += [
                _unreviewed(file, start, end, "too long for the model's window") for start, end in too_long
            ]
    return chunks, left


def review_with_model(
    files: Sequence[ChangedFile],
    found: Sequence[Finding],
    session: "Session",
    options: ReviewOptions,
    deadline: Deadline,
) -> ModelReview:
    """Ask the model about every chunk of every code file, as its size allows and as long as there is time."""
    asker = ModelAsker(session, options, deadline)
    chunks, left = _split_files(files, options)
    candidates: dict[str, list[Candidate]] = {}
    notes: list[str] = []
    asked = 0
    try:
        job = schema_reviewer.findings if options.size == "capable" else label_reviewer.findings
        for chunk, proposed in job(chunks, found, asker):
            candidates.setdefault(chunk.file.path, []).extend(proposed)
            asked += 1
    except RequestLimitError as limit:
        left += [_unreviewed(chunk.file, chunk.start, chunk.end, str(limit)) for chunk in chunks[asked:]]
    except KodoError as error:
        notes.append(f"the model: {error}")
        left += [
            _unreviewed(chunk.file, chunk.start, chunk.end, "the model did not answer")
            for chunk in chunks[asked:]
        ]
    if asker.rejected[label_reviewer.UNTRUSTED_LABEL]:
        notes.append(
            "the model gives the same label to code that is known to be good; its labels were not used"
        )
    return ModelReview(candidates, asker, tuple(left), tuple(notes))


def _unreviewed(file: ChangedFile, start: int, end: int, reason: str) -> Unreviewed:
    return Unreviewed(printable(file.path), reason, gap=True, line=start, end_line=end)
