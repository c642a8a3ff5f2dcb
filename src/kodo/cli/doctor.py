"""``kodo doctor``: what is configured, what can be reached, what runs generated code."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from kodo.cli.doctor_checks import MESSAGES, all_checks
from kodo.cli.exit_codes import ExitCode
from kodo.cli.options import BaseUrlOption, LangOption, ModelOption, ProfileOption, make_output
from kodo.cli.registry import new_app
from kodo.cli.tables import as_json

app = new_app()

_MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}


@app.command()
def doctor(
    format: Annotated[Literal["text", "json"], typer.Option(help="Output format.")] = "text",
    base_url: BaseUrlOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    lang: LangOption = None,
) -> ExitCode:
    """Check the configuration, the server and the sandbox. Starts nothing and sends no prompt.

    The exit code is that of the first check that failed; warnings do not count.
    """
    output = make_output(MESSAGES, lang)
    checks = []
    for check in all_checks(base_url, profile, model, output):
        checks.append(check)
        if format == "text":
            output.result(f"{_MARKS[check.state]}  {check.name:<10}{check.detail}")
    if format == "json":
        output.result(as_json([{**asdict(check), "code": int(check.code)} for check in checks]))
    return next((check.code for check in checks if check.state == "failed"), ExitCode.DONE)
