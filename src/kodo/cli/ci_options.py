"""What the commands of ``kodo ci`` share: options, the way to the forge, and showing writes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kodo.ci.change import System
    from kodo.ci.forge import Forge
    from kodo.ci.policy import Policy
    from kodo.ci.writes import Write
    from kodo.client.session import Session

SystemOption = Annotated[
    str | None,
    typer.Option("--system", help="github, gitlab, jenkins or plain. Default: by the pipeline's variables."),
]
RepositoryOption = Annotated[
    str | None,
    typer.Option("--repository", help="owner/name, or a GitLab project. Default: the pipeline's own."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be written; write nothing.")]


def connected(system: str | None, repository: str | None) -> tuple[Forge, System]:
    """The forge of this pipeline. Raises CommandError that names what is missing."""
    from kodo.ci.connection import connect
    from kodo.ci.environment import system_of
    from kodo.ci.forge import ForgeError

    kind = system_named(system) or system_of(os.environ)
    try:
        return connect(kind, os.environ, repository or ""), kind
    except ForgeError as error:
        raise CommandError(str(error)) from error


def show_writes(writes: Iterable[Write], output: Output) -> None:
    """One line a write on stdout, and their count as a note."""
    from kodo.ci.publication import describe_write

    done = tuple(writes)
    for write in done:
        output.result(describe_write(write))
    if done:
        output.note("writes", count=len(done))
    else:
        output.note("nothing")


def system_named(name: str | None) -> System | None:
    """The system with that name; None for no name. Raises CommandError for an unknown one."""
    from kodo.ci.change import System

    if name is not None and name not in set(System):
        raise CommandError(f"--system: unknown system {name!r}; choose from {', '.join(System)}")
    return System(name) if name is not None else None


@contextmanager
def as_command_errors() -> Iterator[None]:
    """Turn errors of the forge and of the event into a line for the user."""
    from kodo.ci.change import EventError
    from kodo.ci.forge import ForgeError

    try:
        yield
    except EventError as error:
        raise CommandError(str(error)) from error
    except ForgeError as error:
        raise CommandError(str(error), ExitCode.SERVER) from error


def open_session(policy: Policy, job: str) -> Session:
    """A session for the calls of a job, within the policy's budget. Use it with ``with``."""
    from decimal import Decimal

    from kodo.client.budget import Budget
    from kodo.client.session import Session

    return Session(budget=Budget(run=Decimal(str(policy.max_cost))), job=job)
