"""``kodo keys``: make, list and revoke the API keys of this machine's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from kodo.cli.exit_codes import CommandError
from kodo.cli.options import LangOption, make_output
from kodo.cli.registry import new_app
from kodo.cli.tables import as_json, as_table
from kodo.client.i18n import Catalogue
from kodo.home import kodo_home
from kodo.server.http import admin

app = new_app(
    "API keys. A server bound to loopback needs none; once a key exists, every request needs one. "
    "A running server applies changes immediately."
)
MESSAGES = Catalogue(
    {
        "created": (
            "{id}, project {project}: store the key now, it is not shown again",
            "{id}、プロジェクト {project}: キーを今すぐ保管してください。再表示はできません",
        ),
        "revoked": ("revoked {id} ({hint})", "{id}（{hint}）を失効させました"),
        "none": ("no keys", "キーはありません"),
        "id": ("ID", "ID"),
        "name": ("NAME", "名前"),
        "project": ("PROJECT", "プロジェクト"),
        "role": ("ROLE", "権限"),
        "key": ("KEY", "キー"),
        "created_at": ("CREATED", "作成日時"),
        "revoked_at": ("REVOKED", "失効日時"),
        "rpm": ("RPM", "リクエスト/分"),
        "tpm": ("TPM", "トークン/分"),
        "concurrent": ("CONCURRENT", "同時実行"),
        "tokens_per_day": ("TOKENS_PER_DAY", "トークン/日"),
        "tokens_per_month": ("TOKENS_PER_MONTH", "トークン/月"),
        "usd_per_day": ("USD_PER_DAY", "USD/日"),
        "usd_per_month": ("USD_PER_MONTH", "USD/月"),
    }
)
_DOLLARS = (
    "Budget of a {} (UTC) in US dollars, by the prices of the server's models. Default: the server's setting."
)


@contextmanager
def _as_command_error() -> Iterator[None]:
    try:
        yield
    except (admin.InvalidRequest, admin.NotFound, admin.StoreFailed) as error:
        raise CommandError(error.message) from None


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="What the key is for.")
    ] = "",
    name_option: Annotated[str, typer.Option("--name", show_default=False, help="The same as NAME.")] = "",
    project: Annotated[
        str,
        typer.Option(
            help="The project that owns what the key creates; keys of one project share everything."
        ),
    ] = "default",
    role: Annotated[
        Literal["project", "admin"],
        typer.Option(help="What the key sees at /ui: its project, or everything, keys and models too."),
    ] = "project",
    requests_per_minute: Annotated[
        int | None, typer.Option("--rpm", min=1, help="Requests per minute. Default: the server's setting.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tpm", min=1, help="Tokens per minute. Default: the server's setting.")
    ] = None,
    concurrent_requests: Annotated[
        int | None,
        typer.Option("--concurrent", min=1, help="Concurrent requests. Default: the server's setting."),
    ] = None,
    tokens_per_day: Annotated[
        int | None,
        typer.Option(
            "--tokens-per-day",
            min=1,
            max=2**53 - 1,
            help="Budget of a day (UTC). Default: the server's setting.",
        ),
    ] = None,
    tokens_per_month: Annotated[
        int | None,
        typer.Option(
            "--tokens-per-month",
            min=1,
            max=2**53 - 1,
            help="Budget of a month (UTC). Default: the server's setting.",
        ),
    ] = None,
    usd_per_day: Annotated[float | None, typer.Option(min=1e-6, max=1e6, help=_DOLLARS.format("day"))] = None,
    usd_per_month: Annotated[
        float | None, typer.Option(min=1e-6, max=1e6, help=_DOLLARS.format("month"))
    ] = None,
    lang: LangOption = None,
) -> None:
    """Create a key and print it. It is shown only once: the server stores its hash."""
    if name and name_option:
        raise CommandError("NAME and --name are mutually exclusive")
    with _as_command_error():
        key, row = admin.create_key(
            kodo_home(),
            name=name or name_option,
            project=project,
            role=role,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            concurrent_requests=concurrent_requests,
            tokens_per_day=tokens_per_day,
            tokens_per_month=tokens_per_month,
            usd_per_day=usd_per_day,
            usd_per_month=usd_per_month,
        )
    make_output(MESSAGES, lang).warn("created", id=row.id, project=row.project)
    typer.echo(key)


@app.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False, lang: LangOption = None
) -> None:
    """List all keys: id, name, project, first and last characters, limits, and when they were revoked."""
    with _as_command_error():
        keys = admin.list_keys(kodo_home())
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "project": key.project,
            "role": key.role,
            "key": key.hint,
            "created": _date(key.created_at),
            "revoked": None if key.revoked_at is None else _date(key.revoked_at),
            "rpm": key.requests_per_minute,
            "tpm": key.tokens_per_minute,
            "concurrent": key.concurrent_requests,
            "tokens_per_day": key.tokens_per_day,
            "tokens_per_month": key.tokens_per_month,
            "usd_per_day": key.usd_per_day,
            "usd_per_month": key.usd_per_month,
        }
        for key in keys
    ]
    output = make_output(MESSAGES, lang)
    if json:
        output.result(as_json(rows))
    elif rows:
        messages = {"created": "created_at", "revoked": "revoked_at"}  # a message says that one was
        output.result(as_table(rows, {name: output.say(messages.get(name, name)) for name in rows[0]}))
    else:
        output.warn("none")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="An id from kodo keys list.")], lang: LangOption = None
) -> None:
    """Revoke a key immediately and permanently. Revoking the last key does not make the server open again."""
    with _as_command_error():
        row = admin.revoke_key(kodo_home(), key_id)
    make_output(MESSAGES, lang).warn("revoked", id=row.id, hint=row.hint)


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z"
