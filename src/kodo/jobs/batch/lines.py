"""The lines of a batch: requests as they are read, results as they are written.

Both are the Batch API's own format (platform.openai.com/docs/api-reference/batch/request-input and
.../request-output), so that a file can go to either, and results of either can be read by one program.
This module does not know how a request is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from kodo.jobs.batch.ids import IdSet

RESPONSES: Final = "/v1/responses"
_NOT_IN_A_BATCH = ("stream", "background")


class BatchInputError(ValueError):
    """A line of the input (or of an existing output) cannot be used; nothing was sent.

    ``line`` counts from 1, ``field`` is the JSON path that is wrong or empty for the line as a whole.
    """

    def __init__(self, path: Path, line: int, field: str, problem: str) -> None:
        self.path, self.line, self.field, self.problem = path, line, field, problem
        super().__init__(f"{path}:{line}: {field + ': ' if field else ''}{problem}")


class RequestLine(msgspec.Struct, frozen=True):
    """One request: ``body`` is what would be posted to ``url``."""

    custom_id: str
    body: dict[str, Any]
    method: Literal["POST"] = "POST"
    url: str = RESPONSES


class Answered(msgspec.Struct, frozen=True):
    """The HTTP answer to one request: the body is the Response, or the error envelope."""

    status_code: int
    request_id: str | None
    body: dict[str, Any]


class Unanswered(msgspec.Struct, frozen=True):
    """Why a request has no HTTP answer."""

    code: str
    message: str


class ResultLine(msgspec.Struct, frozen=True):
    """One result. Exactly one of ``response`` and ``error`` is set."""

    id: str
    custom_id: str
    response: Answered | None = None
    error: Unanswered | None = None


@dataclass(frozen=True, slots=True)
class InputSummary:
    """What a first pass over the input found."""

    requests: int


def read_requests(path: Path, default_model: str | None = None) -> Iterator[tuple[int, RequestLine]]:
    """(line number, request) of a JSONL file, one at a time; blank lines are skipped.

    ``default_model`` is put into bodies that name no model. Raises BatchInputError for a line that is not a
    request to /v1/responses, and OSError if the file cannot be read.
    """
    decoder = msgspec.json.Decoder(RequestLine)
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                line = decoder.decode(raw)
            except msgspec.ValidationError as error:
                problem, _, where = str(error).partition(" - at `$")
                raise BatchInputError(path, number, where.strip("`."), problem) from error
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise BatchInputError(path, number, "", f"not JSON: {error}") from error
            _check(path, number, line)
            if default_model is not None and "model" not in line.body:
                line = msgspec.structs.replace(line, body={**line.body, "model": default_model})
            if "model" not in line.body:
                raise BatchInputError(path, number, "body.model", "is missing, and no --model was given")
            yield number, line


def _check(path: Path, number: int, line: RequestLine) -> None:
    """What the type of a line cannot say."""
    if not line.custom_id:
        raise BatchInputError(path, number, "custom_id", "is empty")
    if line.url != RESPONSES:
        raise BatchInputError(path, number, "url", f"only {RESPONSES} is supported, not {line.url}")
    if not line.body.get("input"):
        raise BatchInputError(path, number, "body.input", "is missing or empty")
    if not isinstance(line.body["input"], (str, list)):
        raise BatchInputError(path, number, "body.input", "is neither text nor a list of items")
    for name in _NOT_IN_A_BATCH:
        if line.body.get(name):
            raise BatchInputError(path, number, f"body.{name}", "has no meaning in a batch")


def scan_input(path: Path, default_model: str | None = None) -> InputSummary:
    """Read the whole input once, in constant memory, before anything is sent.

    Raises BatchInputError for the first bad line or repeated custom_id.
    """
    seen = IdSet()
    try:
        for number, line in read_requests(path, default_model):
            if not seen.add(line.custom_id):
                raise BatchInputError(path, number, "custom_id", f"{line.custom_id!r} is there twice")
        return InputSummary(requests=len(seen))
    finally:
        seen.close()
