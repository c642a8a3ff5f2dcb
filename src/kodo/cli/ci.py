"""``kodo ci``: the two jobs of a pipeline, its triage, and the files that set them up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kodo.cli import ci_fixes, ci_issues
from kodo.cli.ci_options import (
    DryRunOption,
    RepositoryOption,
    SystemOption,
    connected,
    open_session,
    show_writes,
    system_named,
)
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import LangOption, make_output
from kodo.cli.output import Output
from kodo.cli.places import note_repository
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue, Lang

if TYPE_CHECKING:
    from kodo.ci.artifact import Artifact
    from kodo.ci.change import Change, System
    from kodo.ci.forge import Forge
    from kodo.ci.marker import ReviewMarker
    from kodo.ci.policy import Policy
    from kodo.client.session import Session
    from kodo.jobs.report.model import ReviewReport

MESSAGES = Catalogue(
    {
        "written": ("written: {path}", "書き込みました: {path}"),
        "unknown_system": (
            "unknown system {name!r}; choose from {names}",
            "{name!r} というシステムはありません。次から選んでください: {names}",
        ),
        "no_folder": ("--folder: {path} is not a folder", "--folder: {path} はフォルダーではありません"),
        "outside": (
            "{path}: a link out of the repository",
            "{path} はリポジトリの外へのリンクです",
        ),
        "not_plain": ("{path}: not a plain file", "{path} は通常のファイルではありません"),
        "together": (
            "--artifact and --number belong together",
            "--artifact と --number は一緒に指定してください",
        ),
        "not_reviewed": ("not reviewed: {reason}", "レビュー対象外: {reason}"),
        "failed": ("could not review: {reason}", "レビューできませんでした: {reason}"),
        "incremental": ("incremental since {since}", "{since} 以降の差分レビュー"),
        "no_state": (
            "the state of the last review could not be read ({error}); reviewing the whole change",
            "前回のレビュー状態を読み込めません（{error}）。変更全体をレビューします",
        ),
        "nothing": (
            "nothing to publish: no open change has this run's head",
            "公開するものがありません。この実行の HEAD を持つオープンな変更がありません",
        ),
        "writes": ("{count} writes", "書き込み {count} 件"),
        "present": (
            "{path} is there already; --force replaces it",
            "{path} は既に存在します。置き換えるには --force を指定してください",
        ),
        "no_repository": (
            "{path} is not in a git repository ({reason}); pipelines are looked for at a repository's top",
            "{path} は git リポジトリの中にありません（{reason}）。パイプラインはリポジトリの最上位から読み込まれます",
        ),
        "requirements": (
            "{path} is missing: write kodo[review] and what it needs there, with hashes (uv pip compile --generate-hashes)",
            "{path} がありません。kodo[review] とその依存関係をハッシュ付きで記述してください（uv pip compile --generate-hashes）",
        ),
        "image": (
            "the image {image} is not pinned: name its digest with --image NAME@sha256:DIGEST",
            "イメージ {image} は固定されていません。--image NAME@sha256:DIGEST でダイジェストを指定してください",
        ),
        "run_failed": ("run {run}: {error}", "実行 {run}: {error}"),
    }
)

app = new_app("Review, report and triage in a pipeline.")

MAX_ANNOTATIONS = 10
"""GitHub shows this many annotations of a kind in a step."""


@app.command()
def review(
    *,
    system: SystemOption = None,
    base: Annotated[str | None, typer.Option("--base", help="Compare with this revision.")] = None,
    head: Annotated[str | None, typer.Option("--head", help="Review this revision.")] = None,
    artifact: Annotated[
        Path, typer.Option("--artifact", help="Write the report's files to this folder.")
    ] = Path("kodo-review"),
    previous: Annotated[
        Path | None,
        typer.Option(
            "--previous", help="The folder of the review before: only what changed since is reviewed again."
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Review the whole change, also after an earlier review.")
    ] = False,
    lang: Annotated[
        Lang | None,
        typer.Option("--lang", help="Language of messages; the report's is tool.kodo.ci.lang."),
    ] = None,
) -> ExitCode:
    """Job 1: review the change that this pipeline runs for; needs no secret.

    Prints annotations on GitHub, the report elsewhere. Settings: [tool.kodo.ci] on the base branch.

    Exits with 1 for findings, 3 if not everything was reviewed, 2 if nothing could be.
    """
    from kodo.ci.artifact import clear_artifact, write_artifact
    from kodo.ci.masking import Masker
    from kodo.ci.publication import masked
    from kodo.ci.review_job import review_change

    output = make_output(MESSAGES, lang)
    change = _change(system, base, head)
    note_repository(output)
    earlier = None if full or previous is None else _earlier(previous, output)
    with _artifact_errors(artifact):
        clear_artifact(artifact)  # a run that breaks off leaves no report of an earlier one
    marker = None if full or previous is not None else _previous(change, output)
    found = review_change(change, Path.cwd(), marker, _open_session, earlier)
    found = masked(found, Masker(os.environ))
    with _artifact_errors(artifact):
        write_artifact(artifact, found)
    output.note("written", path=artifact)
    _show(change, found, output)
    return _exit_code(found, change, output)


@app.command()
def report(
    *,
    system: SystemOption = None,
    repository: RepositoryOption = None,
    run: Annotated[int | None, typer.Option("--run", help="The run (GitLab: pipeline) of job 1.")] = None,
    newest: Annotated[
        int | None,
        typer.Option("--newest", min=1, max=100, help="Publish this many of the newest finished runs."),
    ] = None,
    artifact: Annotated[
        Path | None, typer.Option("--artifact", help="Publish this folder's report instead, on --number.")
    ] = None,
    number: Annotated[int | None, typer.Option("--number", help="The change, with --artifact.")] = None,
    dry_run: DryRunOption = False,
    lang: LangOption = None,
) -> ExitCode:
    """Job 2: publish job 1's report on its change; checks nothing out.

    On GitHub, for the run that the workflow_run event names. Needs GITHUB_TOKEN or KODO_GITLAB_TOKEN.
    """
    from kodo.ci.artifact import ArtifactError, read_artifact
    from kodo.ci.forge import ForgeError
    from kodo.ci.masking import Masker
    from kodo.ci.publication import publish_artifact
    from kodo.ci.publisher import look_again, publish_safely

    output = make_output(MESSAGES, lang)
    if (artifact is None) != (number is None):
        raise CommandError(output.say("together"))
    forge, kind = connected(system, repository)
    masker = Masker(os.environ)
    failed = False
    try:
        if artifact is not None and number is not None:
            found = read_artifact(artifact)
            writes = look_again(
                f"publish {artifact}",
                lambda: publish_artifact(forge, number, found, masker, dry_run=dry_run),
            )
            show_writes(writes, output)
            return ExitCode.DONE
        for run_id in _runs(forge, kind, run, newest):
            try:
                show_writes(publish_safely(forge, run_id, masker, dry_run=dry_run), output)
            except ForgeError as error:  # one run never ends the publication of the others
                failed = True
                output.warn("run_failed", run=run_id, error=output.error(error))
    except ArtifactError as error:
        raise CommandError(f"--artifact: {error}") from error
    except ForgeError as error:
        raise CommandError(str(error), ExitCode.SERVER) from error
    return ExitCode.SERVER if failed else ExitCode.DONE


@app.command()
def init(
    system: Annotated[str, typer.Argument(help="github, gitlab or jenkins.")],
    *,
    folder: Annotated[Path, typer.Option("--folder", help="The repository, or a folder in it.")] = Path(),
    requirements: Annotated[
        str,
        typer.Option(
            "--requirements", help="The file in the repository that names kodo and all it needs, with hashes."
        ),
    ] = ".kodo/requirements.txt",
    image: Annotated[
        str, typer.Option("--image", help="Container image of GitLab's jobs; pin it: NAME@sha256:DIGEST.")
    ] = "python:3.12",
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=360, help="Time limit of job 1.")] = 25,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    lang: LangOption = None,
) -> ExitCode:
    """Write the pipeline files: least permissions, everything pinned, with comments that say why."""
    from kodo.ci.change import System
    from kodo.ci.pipelines import FILES, PipelineDescription, render_pipeline
    from kodo.cli.files import write_atomically

    output = make_output(MESSAGES, lang)
    if system not in FILES:
        raise CommandError(output.say("unknown_system", name=system, names=", ".join(FILES)))
    try:
        description = PipelineDescription(requirements=requirements, image=image, minutes=minutes)
        files = render_pipeline(System(system), description)
    except ValueError as error:
        raise CommandError(output.error(error)) from error
    if not folder.is_dir():
        raise CommandError(output.say("no_folder", path=folder))
    top = _top(folder, output)
    present = [name for name in files if os.path.lexists(top / name)]
    if present and not force:
        raise CommandError(output.say("present", path=top / present[0]))
    for name in files:
        _make_room(top / name, top, output)
    for name, text in files.items():
        write_atomically(top / name, text, option="")
        output.note("written", path=top / name)
    if not (top / requirements).exists():
        output.warn("requirements", path=requirements)
    if "gitlab" in system and not description.image_is_pinned:
        output.warn("image", image=image)
    return ExitCode.DONE


def _top(folder: Path, output: Output) -> Path:
    """The top of the repository that a folder is in, where its system looks for pipelines; the folder, with a warning, if it is in none."""
    from kodo.jobs.review.git import GitError, Repository

    try:
        top = Repository(folder).top()
    except GitError as error:
        output.warn("no_repository", path=folder.resolve(), reason=output.error(error))
        return folder
    return folder if top.resolve() == folder.resolve() else Path(os.path.relpath(top))


def _make_room(path: Path, top: Path, output: Output) -> None:
    """Make the folders above a file. Raises CommandError where that is not possible, or the file's place is another's."""
    if not path.parent.resolve().is_relative_to(top.resolve()):
        raise CommandError(output.say("outside", path=path.parent))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{path.parent}: {error.strerror}") from error
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise CommandError(output.say("not_plain", path=path))


def _change(system: str | None, base: str | None, head: str | None) -> Change:
    from kodo.ci.change import EventError
    from kodo.ci.environment import read_change

    environ = {
        **os.environ,
        **({"KODO_CI_BASE": base} if base else {}),
        **({"KODO_CI_HEAD": head} if head else {}),
    }
    kind = system_named(system)
    if (base or head) and kind is None:
        kind = system_named("plain")
    try:
        return read_change(environ, kind)
    except EventError as error:
        raise CommandError(str(error)) from error


def _previous(change: Change, output: Output) -> ReviewMarker | None:
    """The state after the last review, from our comment on the change; None where there is no token to read it."""
    from kodo.ci.connection import TOKEN_VARIABLES, connect
    from kodo.ci.forge import ForgeError
    from kodo.ci.marker import is_review_comment, read_review_marker

    variable = TOKEN_VARIABLES.get(change.system)
    if not change.number or variable is None or not os.environ.get(variable):
        return None
    try:
        forge = connect(change.system, os.environ, change.repository)
        ours = [
            item for item in forge.comments(change.number) if item.is_ours and is_review_comment(item.body)
        ]
    except ForgeError as error:
        output.note("no_state", error=output.error(error))
        return None
    return read_review_marker(ours[0].body) if ours else None


@contextmanager
def _artifact_errors(folder: Path) -> Iterator[None]:
    from kodo.ci.artifact import ArtifactError

    try:
        yield
    except (ArtifactError, OSError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"--artifact {folder}: {words}") from error


def _earlier(folder: Path, output: Output) -> Artifact | None:
    """The artifact of the review before; None where there is none, or one that cannot be believed."""
    from kodo.ci.artifact import RUN_FILE, ArtifactError, read_artifact
    from kodo.ci.review_job import is_part_of_change

    if not (folder / RUN_FILE).exists():
        return None
    try:
        if is_part_of_change(folder, Path.cwd()):
            raise ArtifactError(f"{folder} is part of the change")
        return read_artifact(folder)
    except ArtifactError as error:
        output.note("no_state", error=output.error(error))
        return None


def _open_session(policy: Policy) -> Session:
    return open_session(policy, "review")


def _show(change: Change, found: Artifact, output: Output) -> None:
    """Annotations or the report on stdout, and the job summary where the system has one."""
    from kodo.ci.change import System
    from kodo.ci.summary import render_summary
    from kodo.jobs.report.formats import FORMATS

    if found.run.since:
        output.note("incremental", since=found.run.since[:10])
    if change.system is not System.GITHUB:
        output.result(FORMATS["text"](found.report), end="")
        return
    output.result(FORMATS["github"](_shown(found.report)), end="")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(render_summary(found.report))


def _shown(report: ReviewReport) -> ReviewReport:
    """The report with as many findings of a severity as GitHub shows, the first ones."""
    import msgspec

    from kodo.jobs.report.model import Severity

    kept = [
        finding
        for severity in Severity
        for finding in [item for item in report.findings if item.severity is severity][:MAX_ANNOTATIONS]
    ]
    return msgspec.structs.replace(report, findings=tuple(kept))


def _exit_code(found: Artifact, change: Change, output: Output) -> ExitCode:
    from kodo.ci.policy import Policy, PolicyError
    from kodo.ci.review_job import prepare
    from kodo.jobs.report.model import Severity, State
    from kodo.jobs.report.reasons import in_lang
    from kodo.jobs.report.visible import one_line
    from kodo.jobs.review.git import GitError

    report = found.report
    if found.run.skipped:
        output.warn(
            "not_reviewed", reason=one_line(in_lang(found.run.skipped, output.lang))
        )  # a log of GitHub obeys "::" at a line's beginning
        return ExitCode.DONE
    if report.state is State.FAILED:
        output.warn("failed", reason=one_line("; ".join(report.notes)))
        return ExitCode.BAD_INPUT
    try:
        policy = prepare(change, Path.cwd()).policy
    except (GitError, PolicyError):  # then the report has failed over it
        policy = Policy()
    threshold = None if policy.fail_on == "never" else Severity(policy.fail_on)
    if report.failing(threshold):
        return ExitCode.FINDINGS
    return ExitCode.PARTIAL if report.state is State.PARTIAL else ExitCode.DONE


def _runs(forge: Forge, kind: System, run: int | None, newest: int | None) -> list[int]:
    """The runs to publish: the one that is named, the newest, or the event's."""
    from kodo.ci.change import EventError, System
    from kodo.ci.environment import read_run_id

    if run is not None:
        return [run]
    if newest is not None:
        return forge.finished_runs(newest)
    if kind is not System.GITHUB:
        raise CommandError("--run or --newest is needed")
    try:
        return [read_run_id(os.environ)]
    except EventError as error:
        raise CommandError(str(error)) from error


app.command()(ci_issues.triage)
app.command()(ci_issues.command)
app.command()(ci_issues.describe)
app.command()(ci_fixes.fix)
app.command("open-fix")(ci_fixes.open_fix)
