"""Commands that are named before they are imported.

``kodo --help`` and shell completion need each command's name and one line of help, not its code, and the code
of some commands imports the SDK (about 1 s) or the engine. So the table in ``kodo.cli.main`` holds the name,
the module and the help line, and the module is imported when its command is run or asked for its own help.

A command module has one public name, ``app``, made with ``new_app()``. One ``@app.command()`` makes a plain command
(``kodo ask``); several make a group (``kodo budget set``), as does one together with an ``@app.callback()``.
A command function returns an ``ExitCode``, or None for done, and raises ``CommandError`` for what the user can
act on. This module does not know which commands there are.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from kodo.cli import help as command_help
from kodo.client.i18n import Lang

Command = TyperCommand | TyperGroup
"""What a typer app becomes: one command, or a group of them."""


def build_command(app: typer.Typer) -> Command:
    """The command that an app describes."""
    command = typer.main.get_command(app)
    assert isinstance(command, (TyperCommand, TyperGroup))  # noqa: S101 - typer makes nothing else
    return command


class LazyCommand(TyperCommand):
    """One line of the command table: what the user types, the module of its ``app``, what ``kodo --help`` says.

    It stands in the root group for the real command, and becomes it when arguments are parsed. ``lang`` is the language
    of the command's own help.
    """

    def __init__(self, name: str, module: str, help: str, lang: Lang = "en") -> None:
        super().__init__(name, help=help, short_help=help, rich_markup_mode=None)
        self.module, self.lang = module, lang

    def load(self) -> Command:
        """Import the module and build its command.

        Raises:
            ImportError, AttributeError: the module or its ``app`` is missing.
        """
        command = build_command(import_module(self.module).app)
        command.name = self.name
        command.help = command.help or self.help
        command_help.speak(command, self.lang)
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse ``args`` with the real command, whose context this returns.

        Contexts are Any here, because typer has no public name for their base class.
        """
        return self.load().make_context(info_name, args, parent=parent, **extra)


def new_app(help: str | None = None) -> typer.Typer:
    """A typer app as all commands use it: plain-text help, no decorated tracebacks, ``-h`` as well as ``--help``."""
    return typer.Typer(
        help=help,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
