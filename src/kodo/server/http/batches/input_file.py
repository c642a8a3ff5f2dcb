"""A batch's input, line by line: checked once as a whole, then read as it is worked through. Blocking, in small memory."""

from __future__ import annotations

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

MOST_REQUESTS = 50_000
MOST_BYTES = 200 * 2**20
MOST_ERRORS = 100
"""So many are told; a file that is wrong throughout is wrong in the same way."""
_line = msgspec.json.Decoder(RequestLine)


class _Named(Struct):
    model: str


_named = msgspec.json.Decoder(_Named)


def key(custom_id: str) -> bytes:
    """A custom_id in 16 bytes, so that 50,000 of them are small whatever their length."""
    return blake2b(custom_id.encode(), digest_size=16).digest()


@dataclass
class Survey:
    """What a pass over the whole input found."""

    total: int = 0
    model: str | None = None
    errors: list[BatchError] = field(default_factory=list)


def survey(path: Path, *, endpoint: str, models: Collection[str], longest: int) -> Survey:
    """Check every line before any is run. ``longest``: bytes of a line. OSError: the file cannot be read."""
    found = Survey()
    seen: set[bytes] = set()
    for number, raw in _lines(path, longest):
        if not raw.strip():
            continue
        found.total += 1
        if found.total > MOST_REQUESTS:
            found.errors = [_wrong("too_many_requests", f"A batch has at most {MOST_REQUESTS} requests.")]
            break
        if len(found.errors) >= MOST_ERRORS:
            break
        error = _check(raw, number, endpoint, longest, seen, found)
        if error is None and found.total == 1 and found.model not in models:
            text = f"The model '{found.model}' does not exist on this server."
            error = _wrong("model_not_found", text, number, "body.model")
        if error is not None:
            found.errors.append(error)
    if not found.total:
        found.errors.append(_wrong("empty_file", "The input file has no requests."))
    return found


def _check(
    raw: bytes, number: int, endpoint: str, longest: int, seen: set[bytes], found: Survey
) -> BatchError | None:
    """What is wrong with a line; a good one is added to ``seen`` and ``found``."""
    if len(raw) > longest:
        return _wrong("line_too_long", f"The line is longer than {longest} bytes.", number)
    try:
        line = _line.decode(raw)
        model = _model(line.body)
    except BadBody as error:
        return _wrong(error.code, error.message, number, error.param)
    except msgspec.ValidationError as error:
        bad = bad_body(error)
        return _wrong(bad.code, bad.message, number, bad.param)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _wrong("invalid_json_line", "The line is not valid JSON.", number)
    if line.method != "POST":
        return _wrong("invalid_method", "The method must be POST.", number, "method")
    if line.url != endpoint:
        text = f"The url must be the batch's endpoint, {endpoint}."
        return _wrong("invalid_url", text, number, "url")
    if key(line.custom_id) in seen:
        text = f"The custom_id '{line.custom_id}' is there twice."
        return _wrong("duplicate_custom_id", text, number, "custom_id")
    seen.add(key(line.custom_id))
    found.model = found.model or model
    if model != found.model:
        text = f"All requests of a batch are for one model: '{found.model}' and '{model}' are two."
        return _wrong("mismatched_model", text, number, "body.model")
    return None


def _model(body: msgspec.Raw) -> str:
    try:
        return _named.decode(body).model
    except msgspec.ValidationError as error:
        raise bad_body(error, "body") from None


def _wrong(code: str, message: str, line: int | None = None, param: str | None = None) -> BatchError:
    return BatchError(code=code, message=message, line=line, param=param)


def _lines(path: Path, longest: int) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; of one that is too long only the beginning, so that no line fills the memory."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(longest + 1):
            number += 1
            rest = raw
            while len(rest) > longest and not rest.endswith(b"\n"):
                rest = file.readline(longest + 1)
            yield number, raw


class Requests:
    """The requests of a checked input, one after the other."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def next(self, done: Collection[bytes]) -> RequestLine | None:
        """The next one whose :func:`key` is not in ``done``; None at the end."""
        for raw in self._file:
            if raw.strip():
                line = _line.decode(raw)
                if key(line.custom_id) not in done:
                    return line
        return None
