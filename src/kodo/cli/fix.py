"""``kodo fix``: parse, fix once or continue a run, print the patch and its proof."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kodo.cli.context import read_text
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.job_options import ReportOptions
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.places import note_place
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.jobs.fix import FixOptions, FixReport, FixRequest

MESSAGES = Catalogue(
    {
        "one_fault": (
            "give exactly one of TEXT, --issue, --finding, --test and --resume",
            "TEXT、--issue、--finding、--test、--resume のうちちょうど 1 つを指定してください",
        ),
        "no_repository": (
            "{path} is not in a git repository: `git init` and a first commit make one",
            "{path} は git リポジトリ内にありません。`git init` と最初のコミットで作成できます",
        ),
        "no_run": ("there is no run to resume here", "再開できる実行がここにはありません"),
        "reproducing": ("running the tests as they are", "現状のテストを実行しています"),
        "asking": ("working with the model", "モデルと作業しています"),
        "proving": ("proving the patch", "パッチを検証しています"),
        "call": ("  {name} {arguments}", "  {name} {arguments}"),
        "run": (
            "run {run}; after a break: kodo fix --resume {run}",
            "実行 {run}。中断後の再開: kodo fix --resume {run}",
        ),
        "written": ("written: {path}", "書き込みました: {path}"),
        "branch": ("branch {name}: commit {commit}", "ブランチ {name}: コミット {commit}"),
        "no_branch": (
            "no branch was made: the patch is not proven",
            "パッチが証明されていないため、ブランチは作成しませんでした",
        ),
        "dry_run": (
            "at most {steps} requests of at most {tokens:,} output tokens each",
            "最大 {steps} リクエスト、1 回あたり最大 {tokens:,} 出力トークンです",
        ),
    }
)

app = new_app()


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """What is to be fixed, where it is not a text."""

    issue: Annotated[
        Path | None, typer.Option("--issue", help="A file with the issue's text; - for stdin.")
    ] = None
    finding: Annotated[
        str | None,
        typer.Option("--finding", help="The fingerprint of a finding of kodo review, or its beginning."),
    ] = None
    test: Annotated[
        str | None, typer.Option("--test", help="A test that fails: a pytest node id, or a dotted name.")
    ] = None
    resume: Annotated[
        str | None, typer.Option("--resume", help="Continue a run that ended early: its id, or 'last'.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOptions:
    """How the agent may work."""

    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-path",
            help="Pattern of paths that may be patched. May be repeated. Default: Python files but tests.",
        ),
    ] = None
    max_steps: Annotated[int, typer.Option("--max-steps", min=1, help="Answers of the model.")] = 40
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", min=1, help="Seconds of the agent's work.")
    ] = 1800.0
    max_output_tokens: Annotated[
        int, typer.Option(min=16, help="Maximum length of one answer, in tokens.")
    ] = 4096
    test_seconds: Annotated[
        float, typer.Option("--test-seconds", min=1, help="Seconds for one run of the project's tests.")
    ] = 120.0
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Only fixes that need no model; nothing is sent anywhere.")
    ] = False


@app.command()
@job
def fix(
    text: Annotated[str | None, typer.Argument(help="What is wrong, in words.")] = None,
    *,
    fault: FaultOptions,
    working: WorkOptions,
    reporting: ReportOptions,
    branch: Annotated[
        str | None, typer.Option("--branch", help="Make this branch with the proven patch as one commit.")
    ] = None,
    options: JobOptions,
) -> ExitCode:
    """Fix one fault and prove it: a frozen test that fails before and passes after, and no other test worse.

    Report formats: text, markdown, json, patch. Nothing of the working tree is changed; apply the patch yourself.

    Exits with 0 only if the fix is proven, 3 if it is not or there is none, 4 or 5 if a budget or the server ended it.
    """
    from kodo.jobs.agent import JournalError, Observer
    from kodo.jobs.fix import FORMATS, FixError, WorkspaceError
    from kodo.jobs.fix import fix as fix_fault  # here: the job brings the analysers with it
    from kodo.jobs.fix.branch import check_branch
    from kodo.jobs.review.git import GitError
    from kodo.sandbox import SandboxError

    output = options.output(MESSAGES)
    outputs = reporting.targets(FORMATS, output)
    wanted = _wanted(working, options)
    if options.dry_run:
        tokens = working.max_output_tokens
        output.result(
            output.say("dry_run", steps=0 if working.no_model else working.max_steps, tokens=tokens)
        )
        return ExitCode.DONE
    try:
        request, folder = _request(text, fault, working, output)
        if branch is not None:
            check_branch(Path(request.project), branch)
        progress = _announcing(output, folder.name)
        observer = Observer(
            on_call=lambda name, arguments: output.note("call", name=name, arguments=arguments[:120])
        )
        if working.no_model:
            report = fix_fault(request, wanted, None, folder, progress=progress)
        else:
            with options.session("fix") as session:
                report = fix_fault(request, wanted, session, folder, observer=observer, progress=progress)
        _deliver(report, outputs, output)
        if branch is not None:
            _branch(report, request, branch, output)
    except (FixError, WorkspaceError, JournalError, SandboxError, GitError) as error:
        raise CommandError(output.error(error)) from error
    return ExitCode.DONE if report.verdict == "proven" else ExitCode.PARTIAL


def _announcing(output: Output, run: str) -> Callable[[str], None]:
    """Progress that says first how to go on with the run: one that does not begin needs no going on with."""
    first = ["run"]

    def progress(key: str) -> None:
        if first:
            output.note(first.pop(), run=run)
        output.note(key)

    return progress


def _wanted(working: WorkOptions, options: JobOptions) -> FixOptions:
    from kodo.jobs.agent import AgentLimits
    from kodo.jobs.fix import FixOptions

    limits = AgentLimits(
        steps=working.max_steps, seconds=working.max_seconds, output_tokens=working.max_output_tokens
    )
    return FixOptions(limits=limits, test_seconds=working.test_seconds, model=options.model or "")


def _request(
    text: str | None, fault: FaultOptions, working: WorkOptions, output: Output
) -> tuple[FixRequest, Path]:
    """What to fix, and the folder of its run. Raises CommandError for none, or several, and outside a repository."""
    from kodo.home import kodo_home
    from kodo.jobs.fix import FixRequest, run_folder, stored_request
    from kodo.jobs.review.git import GitError, Repository

    given = [part for part in (text, fault.issue, fault.finding, fault.test, fault.resume) if part]
    if len(given) != 1:
        raise CommandError(output.say("one_fault"))
    try:
        project = Repository(Path.cwd()).top()
    except GitError as error:
        raise CommandError(output.say("no_repository", path=Path.cwd())) from error
    note_place("repository", project, output)
    if fault.resume is not None:
        folder = _run_of(fault.resume, project, output)
        return stored_request(folder), folder
    if fault.issue is not None:
        text = (
            typer.get_text_stream("stdin").read()
            if str(fault.issue) == "-"
            else read_text(fault.issue, output)
        )
    request = FixRequest(
        project=str(project),
        text=text or "",
        test=_from_top(fault.test or "", project),
        finding=fault.finding or "",
        allowed=tuple(working.allowed or ()),
    )
    return request, run_folder(kodo_home(), f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")


def _from_top(test: str, project: Path) -> str:
    """A test whose file is named from the current folder, as pytest takes it, named from the top of the project."""
    path, colons, inside = test.partition("::")
    file = Path.cwd() / path
    if not (path and file.is_file() and file.resolve().is_relative_to(project)):
        return test
    return f"{file.resolve().relative_to(project).as_posix()}{colons}{inside}"


def _run_of(name: str, project: Path, output: Output) -> Path:
    """The folder of an earlier run; ``last`` is the newest of this project."""
    from kodo.home import kodo_home
    from kodo.jobs.fix import FixError, run_folder, stored_request

    if name != "last":
        return run_folder(kodo_home(), Path(name).name)
    for journal in sorted((kodo_home() / "fixes").glob("*/journal.jsonl"), reverse=True):
        with contextlib.suppress(FixError):  # killed before its first entry
            if stored_request(journal.parent).project == str(project):
                return journal.parent
    raise CommandError(output.say("no_run"))


def _branch(report: FixReport, request: FixRequest, name: str, output: Output) -> None:
    from kodo.jobs.fix.branch import create_branch

    if report.verdict != "proven":
        output.warn("no_branch")
        return
    subject = (request.text.strip().splitlines() or [request.test or request.finding])[0][:60]
    commit = create_branch(Path(request.project), name, report.patch, f"Fix: {subject}\n")
    output.note("branch", name=name, commit=commit[:12])


def _deliver(report: FixReport, outputs: list[tuple[str, Path | None]], output: Output) -> None:
    """Print or write the report in every format."""
    from kodo.jobs.fix import FORMATS

    for name, where in outputs:
        rendered = FORMATS[name](report, output.lang)
        if where is None:
            output.result(rendered, end="")
        else:
            write_atomically(where, rendered)
            output.note("written", path=where)
