"""The input file of a batch: validated once as a whole, then read line by line as it is run. Blocking; constant memory."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
from msgspec import Struct

from kodo.server.wire.batches import BatchError, RequestLine
from kodo.server.wire.decode import BadBody, bad_body

MAX_REQUESTS = 50_000
MAX_BYTES = 200 * 2**20
MAX_ERRORS = 100
"""Errors that are reported; a file with more is usually wrong in one systematic way."""
_line_decoder = msgspec.json.Decoder(RequestLine)


class _ModelField(Struct):
    model: str


_model_decoder = msgspec.json.Decoder(_ModelField)


def custom_id_digest(custom_id: str) -> bytes:
    """Return a 16-byte digest of a custom_id, so that 50,000 of them stay small whatever their length."""
    return blake2b(custom_id.encode(), digest_size=16).digest()


@dataclass
class ValidationReport:
    """The result of validating an input file: its number of requests, its model and its errors."""

    total: int = 0
    model: str | None = None
    errors: list[BatchError] = field(default_factory=list)


def validate(path: Path, *, endpoint: str, models: Collection[str], max_line_bytes: int) -> ValidationReport:
    """Check every line before any is run.

    Raises:
        OSError: the file cannot be read.
    """
    report = ValidationReport()
    digests: set[bytes] = set()
    for number, raw in _numbered_lines(path, max_line_bytes):
        if not raw.strip():
            continue
        report.total += 1
        if report.total > MAX_REQUESTS:
            report.errors = [_error("too_many_requests", f"A batch has at most {MAX_REQUESTS} requests.")]
            break
        if len(report.errors) >= MAX_ERRORS:
            break
        error = _check(raw, number, endpoint, max_line_bytes, digests, report)
        if error is None and report.total == 1 and report.model not in models:
            message = f"The model '{report.model}' does not exist on this server."
            error = _error("model_not_found", message, number, "body.model")
        if error is not None:
            report.errors.append(error)
    if not report.total:
        report.errors.append(_error("empty_file", "The input file has no requests."))
    return report


def _check(
    raw: bytes, number: int, endpoint: str, max_line_bytes: int, digests: set[bytes], report: ValidationReport
) -> BatchError | None:
    """Return the error of a line, or None; a valid line is added to ``digests`` and ``report``."""
    if len(raw) > max_line_bytes:
        return _error("line_too_long", f"The line is longer than {max_line_bytes} bytes.", number)
    try:
        line = _line_decoder.decode(raw)
        model = _model_name(line.body)
    except BadBody as error:
        return _error(error.code, error.message, number, error.param)
    except msgspec.ValidationError as error:
        bad = bad_body(error)
        return _error(bad.code, bad.message, number, bad.param)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _error("invalid_json_line", "The line is not valid JSON.", number)
    if line.method != "POST":
        return _error("invalid_method", "The method must be POST.", number, "method")
    if line.url != endpoint:
        message = f"The url must be the batch's endpoint, {endpoint}."
        return _error("invalid_url", message, number, "url")
    if custom_id_digest(line.custom_id) in digests:
        message = f"Duplicate custom_id: '{line.custom_id}'."
        return _error("duplicate_custom_id", message, number, "custom_id")
    digests.add(custom_id_digest(line.custom_id))
    report.model = report.model or model
    if model != report.model:
        message = f"All requests of a batch must name the same model, but the file has '{report.model}' and '{model}'."
        return _error("mismatched_model", message, number, "body.model")
    return None


def _model_name(body: msgspec.Raw) -> str:
    try:
        return _model_decoder.decode(body).model
    except msgspec.ValidationError as error:
        raise bad_body(error, prefix="body") from None


def _error(code: str, message: str, line: int | None = None, param: str | None = None) -> BatchError:
    return BatchError(code=code, message=message, line=line, param=param)


def _numbered_lines(path: Path, max_line_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines; a line that is too long is truncated, so that no line fills the memory."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(max_line_bytes + 1):
            number += 1
            rest = raw
            while len(rest) > max_line_bytes and not rest.endswith(b"\n"):
                rest = file.readline(max_line_bytes + 1)
            yield number, raw.removeprefix(BOM_UTF8) if number == 1 else raw


class RequestReader:
    """Reads the requests of a validated input file in order."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def next(self, done: Collection[bytes]) -> RequestLine | None:
        """Return the next request whose :func:`custom_id_digest` is not in ``done``; None at the end of the file."""
        for raw in self._file:
            if raw.strip():
                line = _line_decoder.decode(raw.removeprefix(BOM_UTF8))
                if custom_id_digest(line.custom_id) not in done:
                    return line
        return None
