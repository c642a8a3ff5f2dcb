"""Where a command's words go: results to stdout, everything else to stderr, in English or Japanese.

A command keeps its messages in a ``Catalogue`` (``kodo.client.i18n``), which has both languages side by side,
and says them through an ``Output``. This module does not know any command.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from kodo.client.i18n import Catalogue, Lang


@dataclass(frozen=True, slots=True)
class Output:
    """The two streams of one command, and the language and catalogue it speaks from."""

    catalogue: Catalogue
    lang: Lang
    quiet: bool = False
    """Suppress notes; warnings and errors are still printed."""

    def using(self, catalogue: Catalogue) -> Output:
        """The same streams and language with another module's messages."""
        return replace(self, catalogue=catalogue)

    def say(self, key: str, **values: object) -> str:
        """A message of the catalogue, for a ``CommandError``, a prompt or a table."""
        return self.catalogue.say(self.lang, key, **values)

    def error(self, error: BaseException) -> str:
        """What an error says, in the language of this command."""
        from kodo.cli.error_words import describe_error  # here: few commands end in an error

        return describe_error(error, self.lang)

    def result(self, text: str, end: str = "\n") -> None:
        """Write a result to stdout and flush it; nothing but results goes there."""
        sys.stdout.write(text + end)
        sys.stdout.flush()

    def note(self, key: str, **values: object) -> None:
        """Write one line of chatter to stderr, unless the command is quiet."""
        if not self.quiet:
            print_note(self.say(key, **values))

    def warn(self, key: str, **values: object) -> None:
        """Write one line to stderr that the user should not miss."""
        print_note(self.say(key, **values))


def print_note(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
