"""``kodo chat``: a conversation in the terminal, or a turn for each line that is piped in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from kodo.cli.chat_repl import MESSAGES, ChatRepl
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import JobOptions, job
from kodo.cli.registry import new_app
from kodo.home import kodo_home
from kodo.jobs.generate.chat import Chat, saved_chats

app = new_app()


def _complete_names(incomplete: str) -> list[str]:
    """The saved chats, for shell completion."""
    return [name for name in saved_chats() if name.startswith(incomplete)]


@app.command()
@job
def chat(
    name: Annotated[str | None, typer.Option("--name", "-n", help="Save the chat under this name.")] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", "-r", help="Continue a saved chat.", autocompletion=_complete_names),
    ] = None,
    instructions: Annotated[
        str | None, typer.Option("--instructions", "-s", help="Instructions for the model.")
    ] = None,
    *,
    options: JobOptions,
) -> ExitCode:
    """Chat with the model over several turns. /help lists the commands; Ctrl-C stops an answer."""
    output = options.output(MESSAGES)
    if resume is not None and (name is not None or instructions is not None):
        raise CommandError(output.say("resume_alone"))
    interactive = sys.stdin.isatty()
    with options.session("chat") as session:
        try:
            talk = (
                Chat.resume(session, resume)
                if resume is not None
                else Chat(session, name=name, instructions=instructions, model=options.model)
            )
        except ValueError as error:
            raise CommandError(output.error(error)) from error
        repl = ChatRepl(talk, output, dry_run=options.dry_run, keep_going=interactive)
        for line in _read_terminal() if interactive else sys.stdin:
            if not repl.handle(line):
                break
    return ExitCode.DONE


def _read_terminal() -> Iterator[str]:
    """Lines from the terminal, with the history of earlier chats; the prompt goes to stderr. Ends with Ctrl-D."""
    from prompt_toolkit import PromptSession  # here, because a pipe needs none of it
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.output import create_output

    path = kodo_home() / "chat_history"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    prompt: PromptSession[str] = PromptSession(history=FileHistory(path), output=create_output(sys.stderr))
    while True:
        try:
            yield prompt.prompt("> ")
        except KeyboardInterrupt:
            continue  # Ctrl-C empties the line
        except EOFError:
            return
