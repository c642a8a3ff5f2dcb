"""The shared options: one declaration, every job."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.core import TyperOption
from typer.testing import CliRunner

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.job_options import ReportOptions
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

MESSAGES = Catalogue({"greeting": ("hello {name}", "こんにちは {name}")})


def app_of_one_job() -> typer.Typer:
    """A command with nothing but the shared options."""
    app = new_app()

    @app.command()
    @job
    def command(*, options: JobOptions) -> None:
        """Do nothing."""

    return app


def run(*arguments: str) -> tuple[str, int, JobOptions]:
    """What one command with its own argument, its own option and the shared ones received."""
    got: list[tuple[str, int, JobOptions]] = []
    app = new_app()

    @app.command()
    @job
    def command(word: Annotated[str, typer.Argument()], times: int = 3, *, options: JobOptions) -> ExitCode:
        """Take everything."""
        got.append((word, times, options))
        return ExitCode.DONE

    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return got[0]


def test_a_job_gets_its_own_and_the_shared_options() -> None:
    """Each shared option reaches its field, and the job's own parameters are untouched."""
    word, times, options = run(
        "w", "--times", "5", "--base-url", "http://x/v1", "--profile", "p", "-m", "mini", "--max-cost", "0.5",
        "--dry-run", "--record", "r.json", "--replay", "s.json", "--lang", "ja", "-q",
    )  # fmt: skip
    assert (word, times) == ("w", 5)
    assert options == JobOptions(
        base_url="http://x/v1",
        profile="p",
        model="mini",
        max_cost=0.5,
        dry_run=True,
        record=Path("r.json"),
        replay=Path("s.json"),
        lang="ja",
        quiet=True,
    )


def test_without_options_every_field_has_its_default() -> None:
    """Nothing is set behind the user's back."""
    assert run("w")[2] == JobOptions()


def test_every_shared_option_has_help() -> None:
    """`kodo <job> --help` explains each."""
    command = typer.main.get_command(app_of_one_job())
    shared = {item.name for item in fields(JobOptions)}
    explained = {param.name: param.help for param in command.params if isinstance(param, TyperOption)}
    assert shared <= set(explained)
    assert all(explained[name] for name in shared)


def test_a_job_without_the_parameter_is_refused_when_it_is_defined() -> None:
    """A forgotten `options` is found at import, not when a user runs it."""
    with pytest.raises(TypeError, match="options: JobOptions"):

        @job
        def command(word: str) -> None:
            """Forgets."""


def test_results_go_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe sees results only."""
    output = Output(MESSAGES, "ja")
    output.result("42")
    output.note("greeting", name="Rin")
    captured = capsys.readouterr()
    assert captured.out == "42\n"
    assert captured.err == "こんにちは Rin\n"


def test_quiet_hides_notes_but_not_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """What must not be missed is said all the same."""
    output = Output(MESSAGES, "en", quiet=True)
    output.note("greeting", name="a")
    output.warn("greeting", name="b")
    assert capsys.readouterr().err == "hello b\n"


def test_a_wrong_language_in_the_environment_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    monkeypatch.setenv("KODO_LANG", "fr")
    with pytest.raises(CommandError, match="KODO_LANG"):
        JobOptions().output(MESSAGES)


def targets(*formats: str) -> list[tuple[str, Path | None]]:
    """What --format options mean for a job that knows text and json."""
    return ReportOptions(formats=list(formats) or None).targets(("text", "json"), Output(MESSAGES, "en"))


def test_formats_go_to_stdout_or_to_their_files() -> None:
    """Text is the default; NAME=FILE is a file, and any number of files goes with one format on stdout."""
    assert targets() == [("text", None)]
    assert targets("text", "json=a", "text=b") == [("text", None), ("json", Path("a")), ("text", Path("b"))]


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (["pdf"], "unknown format 'pdf'; choose from text, json"),
        (["json="], "unknown format 'json='"),
        (["text", "json"], "only one format can go to stdout"),
    ],
)
def test_formats_that_cannot_be_are_one_line(formats: list[str], message: str) -> None:
    """An unknown format, a file without a name, and two formats on stdout are refused."""
    with pytest.raises(CommandError, match=message):
        targets(*formats)
