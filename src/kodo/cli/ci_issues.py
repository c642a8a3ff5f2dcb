"""``kodo ci triage``, ``command`` and ``describe``; ``kodo.cli.ci`` registers them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kodo.cli.ci_options import (
    DryRunOption,
    RepositoryOption,
    SystemOption,
    as_command_errors,
    connected,
    open_session,
    show_writes,
)
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import LangOption, make_output
from kodo.cli.output import Output
from kodo.cli.places import note_place
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.ci.forge import Issue
    from kodo.ci.policy import Policy

MESSAGES = Catalogue(
    {
        "label": (
            "label: {label} (confidence {confidence:.2f})",
            "ラベル: {label}（確信度 {confidence:.2f}）",
        ),
        "abstained": ("label: none (best: {best})", "ラベル: なし（最有力: {best}）"),
        "similar": ("similar: #{number} ({score:.2f})", "類似: #{number}（{score:.2f}）"),
        "missing": ("missing: {names}", "不足: {names}"),
        "no_summary": ("no summary: {error}", "要約なし: {error}"),
        "nothing": ("nothing to write", "書き込みはありません"),
        "writes": ("{count} writes", "書き込み {count} 件"),
        "not_obeyed": (
            "not obeyed: no command, or not from an account that may write",
            "実行しません: コマンドではないか、書き込み権限のないアカウントです",
        ),
    }
)


def triage(
    *,
    system: SystemOption = None,
    repository: RepositoryOption = None,
    number: Annotated[int | None, typer.Option("--number", help="The issue. Default: the event's.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Let this model add a summary to the comment. Default: tool.kodo.ci.triage."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    lang: LangOption = None,
) -> ExitCode:
    """Label an issue, name similar ones, ask for what its template wants; never closing anything.

    No model chooses any of that; one may add a summary, if asked for.
    """
    from kodo.ci.environment import read_issue_number
    from kodo.ci.policy import PolicyError
    from kodo.ci.publisher import look_again
    from kodo.ci.triage.job import triage_issue

    output = make_output(MESSAGES, lang)
    forge, _ = connected(system, repository)
    with as_command_errors():
        issue = number if number is not None else read_issue_number(os.environ)
        try:
            summarise = _summariser(model, output)
            judged, writes = look_again(
                f"triage {issue}",
                lambda: triage_issue(forge, issue, dry_run=dry_run, summarise=summarise),
            )
        except PolicyError as error:
            raise CommandError(output.error(error)) from error
    if judged.label is not None:
        output.note("label", label=judged.label.label, confidence=judged.label.confidence)
    else:
        best = judged.considered
        output.note("abstained", best=f"{best.label} {best.confidence:.2f}" if best else "-")
    for item in judged.duplicates:
        output.note("similar", number=item.number, score=item.similarity)
    if judged.missing:
        output.note("missing", names=", ".join(judged.missing))
    show_writes(writes, output)
    return ExitCode.DONE


def _summariser(model: str | None, output: Output) -> Callable[[Issue, Policy], str]:
    """What asks the model once, if the option or the policy wants it; a model that does not answer ends nothing."""
    asked: dict[int, str] = {}

    def summarise(issue: Issue, policy: Policy) -> str:
        if model is None and not policy.triage.summary:
            return ""
        if issue.number not in asked:
            asked[issue.number] = ask(issue, policy)
        return asked[issue.number]

    def ask(issue: Issue, policy: Policy) -> str:
        from kodo.ci.masking import Masker
        from kodo.ci.triage.summary import summarise_issue
        from kodo.client.errors import KodoError
        from kodo.jobs.report.visible import one_line

        try:
            with open_session(policy, "triage") as session:
                return summarise_issue(session, issue, policy.lang, Masker(os.environ), model or "")
        except KodoError as error:
            output.warn("no_summary", error=one_line(output.error(error)))
            return ""

    return summarise


def command(
    *,
    system: SystemOption = None,
    repository: RepositoryOption = None,
    dry_run: DryRunOption = False,
    lang: LangOption = None,
) -> ExitCode:
    """Obey a /kodo command in a comment, if its author may write.

    On a change: /kodo review, tests, ignore RULE, fix FINDING. On an issue: /kodo fix.
    """
    from kodo.ci.commands import obey
    from kodo.ci.environment import read_comment
    from kodo.ci.publisher import look_again

    output = make_output(MESSAGES, lang)
    forge, _ = connected(system, repository)
    with as_command_errors():
        comment = read_comment(os.environ)
        writes = None
        if comment is not None:
            writes = look_again("command", lambda: obey(forge, comment, dry_run=dry_run))
    if writes is None:
        output.note("not_obeyed")
    else:
        show_writes(writes, output)
    return ExitCode.DONE


def describe(
    *,
    base: Annotated[str, typer.Option("--base", help="What the change is compared with.")],
    head: Annotated[str, typer.Option("--head", help="The change.")] = "HEAD",
    artifact: Annotated[
        Path | None,
        typer.Option("--artifact", help="The folder of kodo ci review, for what execution showed."),
    ] = None,
    number: Annotated[int, typer.Option("--number", help="The change's number, for the changelog line.")] = 0,
    changelog: Annotated[bool, typer.Option("--changelog", help="Print the changelog line alone.")] = False,
) -> ExitCode:
    """Describe a change in Markdown: title, summary, walkthrough, what execution showed, a changelog line."""
    from kodo.ci.artifact import ArtifactError, read_artifact
    from kodo.ci.description import changelog_line, render_description, summarise
    from kodo.jobs.review.git import GitError, Repository

    output = make_output(MESSAGES, None)
    try:
        top = Repository(Path.cwd()).top()
        note_place("repository", top, output)
        change = summarise(Repository(top), base, head)
        report = read_artifact(artifact).report if artifact is not None else None
    except GitError as error:
        raise CommandError(output.error(error)) from error
    except ArtifactError as error:
        raise CommandError(f"--artifact: {error}") from error
    output.result(changelog_line(change, number) if changelog else render_description(change, report, number))
    return ExitCode.DONE
