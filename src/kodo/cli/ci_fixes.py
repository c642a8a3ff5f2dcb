"""``kodo ci fix`` and ``open-fix``: the two jobs of the pipeline for fixes; ``kodo.cli.ci`` registers them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kodo.cli.ci_options import (
    DryRunOption,
    RepositoryOption,
    as_command_errors,
    connected,
    open_session,
    show_writes,
)
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import LangOption, make_output
from kodo.cli.places import note_repository
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.ci.policy import Policy
    from kodo.client.session import Session

MESSAGES = Catalogue(
    {
        "outcome": ("fix: {outcome}", "修正: {outcome}"),
        "reason": ("{reason}", "{reason}"),
        "written": ("written: {path}", "書き込みました: {path}"),
        "nothing": (
            "nothing to write: this run was published before",
            "書き込みなし: この実行は公開済みです",
        ),
        "writes": ("{count} writes", "書き込み {count} 件"),
    }
)


def fix(
    *,
    repository: RepositoryOption = None,
    artifact: Annotated[Path, typer.Option("--artifact", help="Write the result to this folder.")] = Path(
        "kodo-fix"
    ),
    lang: LangOption = None,
) -> ExitCode:
    """Look for a fix of what a /kodo fix names, and prove it; writes nothing but the folder.

    For the run that kodo-fix.yml describes. Exits with 3 if nothing was proven.
    """
    from kodo.ci.environment import read_fix_event
    from kodo.ci.fix_artifact import write_fix
    from kodo.ci.fix_job import fix_in_pipeline
    from kodo.ci.masking import Masker
    from kodo.jobs.report.visible import one_line
    from kodo.jobs.review.git import GitError

    output = make_output(MESSAGES, lang)
    forge, _ = connected("github", repository)
    note_repository(output)
    with as_command_errors():
        event = read_fix_event(os.environ)
        try:
            found = fix_in_pipeline(
                forge, Path.cwd(), event.number, event.finding, Masker(os.environ), _session
            )
        except GitError as error:
            raise CommandError(output.error(error)) from error
    try:
        write_fix(artifact, found)
    except OSError as error:
        raise CommandError(f"--artifact {artifact}: {error.strerror}") from error
    output.note("written", path=artifact)
    output.note("outcome", outcome=found.outcome)
    if found.reason:
        output.note("reason", reason=one_line(found.reason))
    return ExitCode.DONE if found.outcome == "proven" else ExitCode.PARTIAL


def open_fix(
    *, repository: RepositoryOption = None, dry_run: DryRunOption = False, lang: LangOption = None
) -> ExitCode:
    """Open what kodo ci fix proved as a draft request, and say so in a comment; checks nothing out."""
    from kodo.ci.environment import read_fix_event
    from kodo.ci.fix_publication import publish_fix
    from kodo.ci.masking import Masker
    from kodo.ci.publisher import look_again

    output = make_output(MESSAGES, lang)
    forge, _ = connected("github", repository)
    with as_command_errors():
        event = read_fix_event(os.environ)
        masker = Masker(os.environ)
        writes = look_again(
            f"open the fix of run {event.run_id}", lambda: publish_fix(forge, event, masker, dry_run=dry_run)
        )
    show_writes(writes, output)
    return ExitCode.DONE


def _session(policy: Policy) -> Session:
    return open_session(policy, "fix")
