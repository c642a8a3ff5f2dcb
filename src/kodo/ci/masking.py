"""Masking what leaves a pipeline: secrets by their form, and the values of the pipeline's own secret variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from kodo.client.redaction import mask_text
from kodo.jobs.report.model import ReviewReport

S = TypeVar("S", bound=msgspec.Struct)

_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|_KEY$|^KEY$|APIKEY|AUTH", re.IGNORECASE
)
MIN_SECRET_CHARACTERS = 8
"""A shorter value is not masked literally: it would be found in ordinary words."""


def _is_path(value: str) -> bool:
    """Whether a variable names a file (a socket, a file with keys) and is no secret: base64 may begin with a slash too."""
    return value.startswith("/") and os.path.lexists(value)


class Masker:
    """Replaces secrets in text by ``[masked …]``.

    Args:
        environ: the process's variables; the values of those whose names say that they are secret are masked literally.
        secrets: further values to mask.
    """

    def __init__(self, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        named = [value for name, value in environ.items() if _SECRET_NAME.search(name)]
        values = {value.strip() for value in (*named, *secrets)}
        long = {value for value in values if len(value) >= MIN_SECRET_CHARACTERS and not _is_path(value)}
        self._values = sorted(long, key=len, reverse=True)  # the longest first: one may be part of another

    def text(self, text: str) -> str:
        """The text without secrets."""
        for value in self._values:
            text = text.replace(value, "[masked secret]")
        return mask_text(text)[0]

    def report(self, report: ReviewReport) -> ReviewReport:
        """The report without secrets; a fix that would have to be altered for it is left out."""
        return msgspec.convert(self._walk(msgspec.to_builtins(report)), ReviewReport)

    def struct(self, value: S) -> S:
        """Any other value without secrets."""
        return msgspec.convert(self._walk(msgspec.to_builtins(value)), type(value))

    def _walk(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            fix = value.get("fix")
            if isinstance(fix, dict) and self.text(fix["text"]) != fix["text"]:
                value = {**value, "fix": None}
            return {key: self._walk(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._walk(item) for item in value]
        return value
