"""``kodo doctor``: what is configured, what can be reached, what runs generated code."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from kodo.cli.doctor_checks import MESSAGES, all_checks
from kodo.cli.exit_codes import ExitCode
from kodo.cli.options import BaseUrlOption, LangOption, ModelOption, ProfileOption, make_output
from kodo.cli.registry import new_app
from kodo.cli.tables import as_json, pad
from kodo.client.i18n import Catalogue

app = new_app()

MARKS = Catalogue({"ok": ("ok  ", "正常"), "warning": ("warn", "警告"), "failed": ("FAIL", "失敗")})
TITLES = Catalogue(
    {
        "kodo": ("kodo", "kodo"),
        "home": ("home", "ホーム"),
        "settings": ("settings", "設定"),
        "endpoint": ("endpoint", "接続先"),
        "server": ("server", "サーバー"),
        "ledger": ("ledger", "台帳"),
        "models": ("models", "モデル"),
        "database": ("database", "データベース"),
        "schema": ("schema", "スキーマ"),
        "connections": ("connections", "接続数"),
        "clock": ("clock", "時計"),
        "pgvector": ("pgvector", "pgvector"),
        "node": ("node", "ノード"),
        "folder": ("folder", "フォルダー"),
        "sandbox": ("sandbox", "サンドボックス"),
        "git": ("git", "git"),
    }
)
"""The names of checks, which JSON has in English."""
_COLUMNS = {"en": 13, "ja": 16}


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
            title = pad(output.using(TITLES).say(check.name), _COLUMNS[output.lang])
            output.result(f"{output.using(MARKS).say(check.state)}  {title}{check.detail}")
    if format == "json":
        output.result(as_json([{**asdict(check), "code": int(check.code)} for check in checks]))
    return next((check.code for check in checks if check.state == "failed"), ExitCode.DONE)
