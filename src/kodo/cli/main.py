"""The entry point of ``kodo``: the table of commands, and what happens to an error that reaches the top.

To add a command: write a module of ``kodo.cli`` with an ``app = new_app()`` (see ``kodo.cli.registry``), and add
one line to COMMANDS. This module must stay cheap: it imports typer and nothing else of weight, and a test
looks at ``sys.modules`` after ``kodo --help``.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from kodo import __version__
from kodo.cli import extras
from kodo.cli import help as command_help
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.registry import Command, LazyCommand, build_command
from kodo.client.i18n import Lang

COMMANDS: tuple[tuple[str, str, str], ...] = (
    # (name, module, help), in the order of a day's work: the server, then talking, then the jobs, then the money
    ("serve", "kodo.cli.serve", "Serve the API on this machine."),
    ("worker", "kodo.cli.worker", "Run background responses and batches of a shared database."),
    ("model", "kodo.cli.model", "List, pull and remove local models."),
    ("keys", "kodo.cli.keys", "Create, list and revoke the server's API keys."),
    ("store", "kodo.cli.store", "Inspect, prune and export the server's stored data."),
    ("ask", "kodo.cli.ask", "Ask one question and stream the answer, with files and stdin as context."),
    ("chat", "kodo.cli.chat", "Chat with the model over several turns; save, resume, undo."),
    ("batch", "kodo.cli.batch", "Process a JSONL file of requests; can be stopped and resumed."),
    ("review", "kodo.cli.review", "Review code, a diff, a branch or a commit, with evidence."),
    ("ci", "kodo.cli.ci", "Review, report and triage in a pipeline, without secrets."),
    ("tests", "kodo.cli.tests", "Write tests that pass, are stable and add coverage or kill a mutant."),
    ("mcp", "kodo.cli.mcp", "Serve the jobs as MCP tools on stdin and stdout."),
    ("fix", "kodo.cli.fix", "Fix one fault with a patch that is proven by a test."),
    ("agent", "kodo.cli.agent", "Let the model work on a task with your own tools."),
    ("usage", "kodo.cli.usage", "Show calls and costs by day, model, job or repository."),
    ("budget", "kodo.cli.budget", "Set and show spending limits."),
    ("doctor", "kodo.cli.doctor", "Check the configuration, the server and the sandbox."),
)


class _Root(TyperGroup):
    """All commands. Ctrl-C and a closed output leave them as errors of kodo's own: typer would end the process without a
    word, a closed output with the status for findings."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the command line, which prints the help or the version where they are asked for.

        Contexts are Any here: typer has no public name for their base class.
        """
        with _leaving():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with _leaving():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """Turn Ctrl-C and a closed output into errors of kodo's own."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError("interrupted", ExitCode.INTERRUPTED) from None
    except BrokenPipeError as error:
        if not _output_is_closed():
            raise RuntimeError("a pipe to another program broke") from error
        raise _OutputClosedError from None


class _OutputClosedError(Exception):
    """Whoever read the output has gone."""


def _output_is_closed() -> bool:
    """Whether nobody reads stdout or stderr any more. What is written there from now on is dropped."""
    closed = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
    for stream in closed:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    return bool(closed)


def _has_no_reader(stream: TextIO) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # no file, such as a test's
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


root = typer.Typer(
    cls=_Root,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kodo {__version__}")
        raise typer.Exit


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable for as long as a command runs."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@root.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
    lang: Annotated[
        Lang | None,
        typer.Option("--lang", help="Language of messages. Default: KODO_LANG, else the locale."),
    ] = None,
) -> None:
    """The Codex API on your own machine, and development automation over any Responses API.

    Results go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 findings, 2 bad input, 3 partial,
    4 stopped by a budget, 5 server error, 130 interrupted.
    """
    if lang is not None:
        context.with_resource(
            _environment("KODO_LANG", lang)
        )  # a command may have --lang too, which goes first
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.BAD_INPUT)


def build(lang: Lang = "en") -> TyperGroup:
    """The whole command line, every command still unloaded; its help is in ``lang``."""
    group = build_command(root)
    assert isinstance(group, TyperGroup)  # noqa: S101 - a typer with a callback always builds a group
    for name, module, help_line in COMMANDS:
        group.add_command(LazyCommand(name, module, help_line, lang))
    command_help.speak(group, lang)
    return group


def run(argv: Sequence[str] | None = None, command: Command | None = None, prog_name: str = "kodo") -> int:
    """Run one command line (default: the process's own) and return its exit status; an error is one line on stderr.

    Args:
        argv: The arguments without the program's name.
        command: What parses and runs them; by default all of ``kodo``. Programs beside kodo pass their own.
        prog_name: What usage lines call the program.
    """
    lang = command_help.language(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv, command or build(lang), prog_name, lang)
    except BrokenPipeError:  # the line of an error had no reader either
        if not _output_is_closed():
            raise
        return ExitCode.OUTPUT_CLOSED


def _run(argv: Sequence[str] | None, command: Command, prog_name: str, lang: Lang) -> int:
    try:
        return int(command.main(argv, prog_name=prog_name, standalone_mode=False) or ExitCode.DONE)
    except typer.TyperException as error:
        typer.echo(f"kodo: {_describe_usage_error(error, lang)}", err=True)
        return error.exit_code
    except CommandError as error:
        _say(error.message, lang)
        return error.code
    except _OutputClosedError:
        return ExitCode.OUTPUT_CLOSED
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted", lang)
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line: Python's own status for a crash is 1, which means findings
        if isinstance(error, UnicodeError) and (line := _describe_bad_text(error)) is not None:
            _say(line, lang)
            return ExitCode.BAD_INPUT
        if isinstance(error, ModuleNotFoundError) and (advice := extras.explain(error)) is not None:
            _say(advice, lang)
            return ExitCode.BAD_INPUT
        traceback.print_exc()
        return ExitCode.INTERNAL


def _say(line: str, lang: Lang) -> None:
    """One line on stderr; in Japanese where that is the language and somebody has not said it in Japanese already."""
    if lang == "ja":
        from kodo.cli.error_words import in_lang  # here: it reads a table

        line = in_lang(line, lang)
    typer.echo(f"kodo: {line}", err=True)


def _describe_usage_error(error: typer.TyperException, lang: Lang) -> str:
    """The error as one line, with the command to ask for help where it is known."""
    context = getattr(error, "ctx", None)  # only errors about a command's own options have one
    line = command_help.explain_usage_error(error.format_message(), lang)
    if context is None:
        return line
    page = f"{context.command_path} --help"
    return f"{line}（{page} を参照）" if lang == "ja" else f"{line} (see {page})"


def _describe_bad_text(error: UnicodeError) -> str | None:
    """One line for bytes of the command line or of stdin that are not UTF-8; None for any other error of this kind.

    Python keeps such bytes as surrogates, which nothing that leaves the process can hold.
    """
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= one <= "\udfff" for one in error.object):
        return "an argument or the input is not UTF-8 text"
    if isinstance(error, UnicodeEncodeError):
        return f"the output cannot be written in this locale's encoding ({error.encoding}); set LC_ALL to a UTF-8 one"
    return "the input is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else None


def main() -> NoReturn:
    """The console script."""
    if isinstance(sys.stdin, io.TextIOWrapper) and not sys.stdin.isatty():
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # the C locale would take any bytes
    sys.exit(run())


if __name__ == "__main__":
    main()
