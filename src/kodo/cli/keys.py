"""`kodo keys`: make, list and revoke the API keys of this machine's server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from kodo.cli.exit_codes import CommandError
from kodo.cli.registry import new_app
from kodo.cli.tables import as_json, as_table
from kodo.home import kodo_home
from kodo.server.http import admin

app = new_app(
    "API keys. A server on this machine alone needs none; once one exists, every request needs one. "
    "A running server sees new and revoked keys at once."
)


@contextmanager
def _as_command_error() -> Iterator[None]:
    try:
        yield
    except (admin.NotFound, admin.StoreFailed) as error:
        raise CommandError(error.message) from None


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for, to tell keys apart.")] = "",
    project: Annotated[
        str, typer.Option(help="Who owns what is made with it; keys of one project share everything.")
    ] = "default",
    requests_per_minute: Annotated[
        int | None, typer.Option("--rpm", min=1, help="Requests a minute. Default: the server's setting.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tpm", min=1, help="Tokens a minute. Default: the server's setting.")
    ] = None,
    concurrent_requests: Annotated[
        int | None,
        typer.Option("--concurrent", min=1, help="Requests at once. Default: the server's setting."),
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is stored."""
    with _as_command_error():
        key, row = admin.create_key(
            kodo_home(),
            name=name,
            project=project,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            concurrent_requests=concurrent_requests,
        )
    sys.stderr.write(f"{row.id}, project {row.project}: keep the key, it is not shown again\n")
    typer.echo(key)


@app.command("list")
def list_(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Every key: its id, name, project, first and last characters, and whether it is revoked."""
    with _as_command_error():
        keys = admin.list_keys(kodo_home())
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "project": key.project,
            "key": key.hint,
            "created": _date(key.created_at),
            "revoked": None if key.revoked_at is None else _date(key.revoked_at),
            "rpm": key.requests_per_minute,
            "tpm": key.tokens_per_minute,
            "concurrent": key.concurrent_requests,
        }
        for key in keys
    ]
    if json:
        typer.echo(as_json(rows))
    elif rows:
        typer.echo(as_table(rows, {name: name.upper() for name in rows[0]}))


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="An id of kodo keys list.")]) -> None:
    """Revoke a key, at once and for ever. Revoking the last one does not open the server again."""
    with _as_command_error():
        row = admin.revoke_key(kodo_home(), key_id)
    sys.stderr.write(f"revoked {row.id} ({row.hint})\n")


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z"
