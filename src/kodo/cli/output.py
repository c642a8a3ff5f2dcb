"""Where a command's words go: results to stdout, everything else to stderr, in English or Japanese.

A message is a `Text` with both languages side by side, so that one cannot be forgotten; it is a constant of
the module that says it. This module does not know any command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Lang(StrEnum):
    """The language of messages (not of the model's answers, unless a job says so)."""

    EN = "en"
    JA = "ja"


def default_lang(environ: Mapping[str, str] = os.environ) -> Lang:
    """Japanese where `KODO_LANG`, `LC_ALL`, `LC_MESSAGES` or `LANG` (the first one set) begins with `ja`, else English."""
    for name in ("KODO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return Lang.JA if value.lower().startswith("ja") else Lang.EN
    return Lang.EN


@dataclass(frozen=True, slots=True)
class Text:
    """One message in both languages; `{name}` stands for a value, the same names in both."""

    en: str
    ja: str

    def render(self, lang: Lang, **values: object) -> str:
        """The message in `lang`. Raises KeyError where a value is missing."""
        return (self.ja if lang is Lang.JA else self.en).format_map(values)


@dataclass(frozen=True, slots=True)
class Output:
    """The two streams of one command."""

    lang: Lang = Lang.EN
    quiet: bool = False
    """Keep notes to yourself; warnings and errors are still said."""

    def result(self, text: str, end: str = "\n") -> None:
        """Write to stdout, at once: what the user asked for, and nothing else."""
        sys.stdout.write(text + end)
        sys.stdout.flush()

    def note(self, text: Text, **values: object) -> None:
        """Write one line of chatter to stderr, unless the command is quiet."""
        if not self.quiet:
            self._tell(text.render(self.lang, **values))

    def warn(self, text: Text, **values: object) -> None:
        """Write one line to stderr that the user should not miss."""
        self._tell(text.render(self.lang, **values))

    def say(self, text: Text, **values: object) -> str:
        """The message in this command's language, for a `CommandError` or a table."""
        return text.render(self.lang, **values)

    @staticmethod
    def _tell(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
