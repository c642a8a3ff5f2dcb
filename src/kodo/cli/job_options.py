"""Option groups that several jobs share: where the report goes, and what the model is used for.

:func:`kodo.cli.options.job` turns each field into a command-line option.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from kodo.cli.exit_codes import CommandError
from kodo.cli.output import Output
from kodo.client.i18n import Catalogue

MESSAGES = Catalogue(
    {
        "format": (
            "unknown format {name!r}; choose from {names}",
            "{name!r} は不明な形式です。{names} から選択してください",
        ),
        "one_stdout": (
            "--format {names}: only one format can go to stdout; write the others to files (NAME=FILE)",
            "--format {names}: 標準出力に出力できる形式は 1 つだけです。他の形式は NAME=FILE でファイルに出力してください",
        ),
    }
)

ReportTarget = tuple[str, Path | None]
"""The name of a format and its file; None is stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """How the report is printed."""

    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="Report format, or FORMAT=FILE to write it to a file. May be repeated. Default: text.",
        ),
    ] = None

    def targets(self, known: Collection[str], output: Output) -> list[ReportTarget]:
        """Each format with its file.

        Raises:
            CommandError: a format is not among the known ones, or two would go to stdout.
        """
        messages = output.using(MESSAGES)
        parsed: list[ReportTarget] = []
        for text in self.formats or ["text"]:
            name, equals, file = text.partition("=")
            if name not in known or (equals and not file):
                raise CommandError(messages.say("format", name=text, names=", ".join(known)))
            parsed.append((name, Path(file) if equals else None))
        printed = [name for name, file in parsed if file is None]
        if len(printed) > 1:
            raise CommandError(messages.say("one_stdout", names=", ".join(printed)))
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Whether a model is asked, and how much is expected of it."""

    no_model: Annotated[
        bool, typer.Option("--no-model", help="Work without a model; nothing is sent anywhere.")
    ] = False
    size: Annotated[
        Literal["small", "capable"],
        typer.Option(
            "--size",
            help="How capable the model is: small picks labels and arguments, capable writes structured answers.",
        ),
    ] = "small"
