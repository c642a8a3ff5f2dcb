"""The options that every job has, declared once.

    @app.command()
    @job
    def review(paths: list[Path], *, options: JobOptions) -> ExitCode:
        output = options.output(MESSAGES)
        with options.session("review") as session:
            ...

``job`` replaces each parameter that is a dataclass of options (``JobOptions``, and the groups of
``kodo.cli.job_options``) by one command-line option for each of its fields, passes the function the filled value, and
turns a ``KodoError`` that leaves it into one line on stderr and an exit code. A new shared option is one new field, and
the place that reads it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_type_hints

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.failures import as_command_error
from kodo.cli.output import Output, print_note
from kodo.client.budget import Budget
from kodo.client.errors import KodoError
from kodo.client.i18n import Catalogue, Lang, pick_lang

if TYPE_CHECKING:
    from kodo.client.async_session import AsyncSession
    from kodo.client.session import Session

BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        help="The Responses API to call, up to and including /v1. Default: OPENAI_BASE_URL, else a local kodo."
    ),
]
ProfileOption = Annotated[str | None, typer.Option(help="A profile of the settings file.")]
ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="The model to use.")]
LangOption = Annotated[
    Lang | None, typer.Option("--lang", help="Language of messages. Default: KODO_LANG, else the locale.")
]
"""These four also by name, for commands that are not jobs; a job has them among its shared options."""


def make_output(catalogue: Catalogue, lang: Lang | None, quiet: bool = False) -> Output:
    """The streams of a command that speaks from ``catalogue``.

    Raises:
        CommandError: no language is asked for and ``KODO_LANG`` is neither en nor ja.
    """
    try:
        return Output(catalogue, pick_lang(lang), quiet)
    except ValueError as error:
        raise CommandError(f"KODO_LANG: {error}") from error


_MESSAGES = Catalogue(
    {
        "record_and_replay": (
            "--record and --replay are mutually exclusive",
            "--record と --replay は同時に指定できません",
        )
    }
)


class _SessionArguments(TypedDict):
    base_url: str | None
    profile: str | None
    model: str | None
    lang: Lang | None
    budget: Budget
    record: Path | None
    replay: Path | None
    job: str
    on_note: Callable[[str], None]


def _ignore(line: str) -> None:
    """Say nothing: --quiet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Where a job's calls go, what they may cost, and how it talks."""

    base_url: BaseUrlOption = None
    profile: ProfileOption = None
    model: ModelOption = None
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop before this run costs more than this many US dollars.")
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the estimated tokens and the maximum cost; send nothing.")
    ] = False
    record: Annotated[
        Path | None,
        typer.Option(help="Record every exchange with the server in this file, without keys."),
    ] = None
    replay: Annotated[Path | None, typer.Option(help="Answer every call from a recording; send nothing.")] = (
        None
    )
    lang: LangOption = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Suppress progress and notes on stderr.")] = (
        False
    )

    def output(self, catalogue: Catalogue) -> Output:
        """The streams of this command, in its language, with its messages."""
        return make_output(catalogue, self.lang, self.quiet)

    def session(self, job: str) -> Session:
        """A session for the calls of a job, under whose name they are in the ledger. Use it with ``with``.

        Raises:
            CommandError: --record and --replay are both given.
            KodoError: a setting is wrong.
        """
        from kodo.client.session import Session  # here, because it brings the HTTP client with it

        return Session(**self._session_arguments(job))

    def async_session(self, job: str) -> AsyncSession:
        """As ``session``, for jobs that make concurrent calls. Use it with ``async with``."""
        from kodo.client.async_session import AsyncSession

        return AsyncSession(**self._session_arguments(job))

    def _session_arguments(self, job: str) -> _SessionArguments:
        if self.record is not None and self.replay is not None:
            raise CommandError(self.output(_MESSAGES).say("record_and_replay"))
        return {
            "base_url": self.base_url,
            "profile": self.profile,
            "model": self.model,
            "lang": self.lang,
            "budget": Budget(run=None if self.max_cost is None else Decimal(str(self.max_cost))),
            "record": self.record,
            "replay": self.replay,
            "job": job,
            "on_note": _ignore if self.quiet else print_note,
        }


def job(function: Callable[..., ExitCode | None]) -> Callable[..., ExitCode | None]:
    """Make a function with a parameter ``options: JobOptions`` into a command with all the shared options.

    Raises:
        TypeError: the function has no such parameter; raised when the module is imported.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    if hints.get("options") is not JobOptions:
        raise TypeError(f"{function.__qualname__} needs a parameter 'options: JobOptions'")
    groups = {name: hints[name] for name in signature.parameters if is_dataclass(hints[name])}
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name not in groups
    ]
    shared = [option for group in groups.values() for option in _options_of(group)]

    @functools.wraps(function)
    def command(**values: Any) -> ExitCode | None:
        filled = {
            name: group(**{item.name: values.pop(item.name) for item in fields(group)})
            for name, group in groups.items()
        }
        try:
            return function(**values, **filled)
        except KodoError as error:
            raise as_command_error(error, pick_lang(filled["options"].lang)) from error

    command.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return command


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    """A keyword parameter for each field of a dataclass of options."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=hints[item.name]
        )
        for item in fields(group)
    ]
