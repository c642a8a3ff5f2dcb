"""``kodo mcp``: the jobs as tools of an MCP server on standard input and output, for agents and editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.registry import new_app

app = new_app()


@app.command()
def mcp(
    folder: Annotated[Path, typer.Option("--folder", help="The repository that the tools work on.")] = Path(),
) -> ExitCode:
    """Serve review, tests, what_changed and usage as MCP tools on stdin and stdout. They write nothing and ask no model."""
    from kodo.cli.mcp_stdio import MAX_MESSAGE_BYTES, MessageTooLarge, serve  # here: the SDK and the
    from kodo.cli.mcp_tools import build_server  # analysers take a second to import

    root = folder.resolve()
    if not root.is_dir():
        raise CommandError(f"--folder {folder}: not a folder")
    try:
        serve(build_server(root))
    except MessageTooLarge:
        raise CommandError(f"a message on stdin is larger than {MAX_MESSAGE_BYTES} bytes") from None
    return ExitCode.DONE
