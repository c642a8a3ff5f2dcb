"""`kodo doctor`: what is configured, what can be reached, what runs generated code."""

from __future__ import annotations

from kodo.cli.exit_codes import ExitCode
from kodo.cli.registry import new_app

app = new_app()


@app.command()
def doctor() -> ExitCode:
    """Say what is configured, reachable and sandboxed."""
    return ExitCode.DONE
