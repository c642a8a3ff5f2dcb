"""``kodo store``: look at, prune and export what the server has stored."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from kodo.cli.exit_codes import CommandError
from kodo.cli.options import LangOption, make_output
from kodo.cli.registry import new_app
from kodo.cli.tables import as_json, width
from kodo.client.i18n import Catalogue
from kodo.home import kodo_home
from kodo.server.config import InvalidSettings, load
from kodo.server.http import admin

app = new_app("Data stored by the server. All commands work while the server is running.")


MESSAGES = Catalogue(
    {
        "bytes": ("bytes on disk", "ディスク上のバイト数"),
        "schema": ("schema", "スキーマ"),
    }
)


@contextmanager
def _as_command_error() -> Iterator[None]:
    try:
        yield
    except admin.StoreFailed as error:
        raise CommandError(error.message) from None
    except InvalidSettings as error:
        raise CommandError(str(error)) from None


@app.command()
def stats(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False, lang: LangOption = None
) -> None:
    """Show rows per table, size on disk and schema version."""
    with _as_command_error():
        found = admin.stats(kodo_home())
    if json:
        typer.echo(as_json(found))
        return
    for name, count in found["rows"].items():
        typer.echo(f"{name.replace('_', ' '):<20}{count:>14,}")
    output = make_output(MESSAGES, lang)
    for name in ("bytes", "schema"):
        title = output.say(name)
        typer.echo(f"{title}{' ' * (20 - width(title))}{found[name]:>14{',' if name == 'bytes' else ''}}")


@app.command()
def prune(
    days: Annotated[
        float | None,
        typer.Option(
            min=0, help="Delete data older than this many days. Default: the setting retention_days."
        ),
    ] = None,
    lang: LangOption = None,
) -> None:
    """Delete old responses, context that no newer response needs, and old batches, and free the disk space.

    Threads are deleted according to the setting thread_days.
    """
    with _as_command_error():
        settings = load()
        counts = admin.prune(
            kodo_home(), settings.retention_days if days is None else days, settings.thread_days
        )
    typer.echo(", ".join(f"{name}: {count:,}" for name, count in counts.items()))


@app.command()
def export(
    project: Annotated[str | None, typer.Option(help="Export one project. Default: all.")] = None,
    lang: LangOption = None,
) -> None:
    """Write responses, conversations and other objects to stdout, one JSON object a line."""
    with _as_command_error():
        for line in admin.export(kodo_home(), project):
            sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@app.command()
def copy(
    source: Annotated[
        str,
        typer.Argument(
            help="postgresql://…, a folder with kodo.db, or `configured`: what the settings name."
        ),
    ],
    destination: Annotated[str, typer.Argument(help="The same; it must be empty.")],
    lang: LangOption = None,
) -> None:
    """Copy everything to another store, SQLite or PostgreSQL, and check every row. Stop the servers first.

    Files and seal.key are not in the store: `kodo store copy-files` copies them. An address on the command line can
    be seen by others on this machine: with `configured`, it comes from config.toml or KODO_DATABASE.
    """
    with _as_command_error():
        copied = admin.copy(kodo_home(), source, destination)
    for name, found in copied.items():
        typer.echo(f"{name:<24}{found.rows:>14,}  {found.sha256[:16]}")


@app.command("copy-files")
def copy_files(
    source: Annotated[
        str,
        typer.Argument(
            help="s3://bucket/prefix, a folder with `files`, or `configured`: what the settings name."
        ),
    ],
    destination: Annotated[str, typer.Argument(help="The same; it must have no files.")],
    lang: LangOption = None,
) -> None:
    """Copy files and seal.key to another folder or bucket, and read all of them again there. Stop the servers first.

    A bucket is reached by the settings of [s3] and the credentials of the environment.
    """
    with _as_command_error():
        copied = admin.copy_files(source, destination)
    for name, found in copied.items():
        typer.echo(f"{name:<24}{found.count:>10,}{found.bytes:>18,}  {found.sha256[:16]}")
