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
from kodo.cli.tables import Row, as_json, as_table, pad
from kodo.client.i18n import Catalogue
from kodo.home import kodo_home
from kodo.server.config import InvalidSettings, load
from kodo.server.http import admin

app = new_app("Data stored by the server. All commands work while the server is running.")


MESSAGES = Catalogue(
    {
        "bytes": ("bytes on disk", "ディスク上のバイト数"),
        "schema": ("schema", "スキーマ"),
        "table": ("TABLE", "テーブル"),
        "rows": ("ROWS", "行数"),
        "kind": ("KIND", "種類"),
        "count": ("COUNT", "件数"),
        "size": ("BYTES", "バイト数"),
        "digest": ("SHA256", "SHA256"),
    }
)


KINDS = Catalogue(
    {
        # rows of the store
        "responses": ("responses", "レスポンス"),
        "items": ("items", "アイテム"),
        "log": ("log", "イベントの記録"),
        "documents": ("documents", "文書"),
        "replays": ("replays", "再送用の応答"),
        "keys": ("keys", "API キー"),
        "deleted_but_needed": ("deleted but needed", "削除済み（参照あり）"),
        # objects that are deleted by age
        "chat.completion": ("chat.completion", "チャットの応答"),
        "batch": ("batch", "バッチ"),
        "upload": ("upload", "アップロード"),
        "thread": ("thread", "スレッド"),
    }
)
"""What the store counts, by the store's own names; JSON has those."""


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
    output = make_output(MESSAGES, lang)
    if json:
        output.result(as_json(found))
        return
    kinds = output.using(KINDS)
    counts = {kinds.say(name): f"{count:,}" for name, count in found["rows"].items()}
    counts |= {output.say("bytes"): f"{found['bytes']:,}", output.say("schema"): str(found["schema"])}
    for title, count in counts.items():
        output.result(pad(title, 20) + pad(count, 14, left=False))


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
    output = make_output(KINDS, lang)
    output.result(", ".join(f"{output.say(name)}: {count:,}" for name, count in counts.items()))


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
    rows: list[Row] = [
        {"table": name, "rows": found.rows, "digest": found.sha256[:16]} for name, found in copied.items()
    ]
    output = make_output(MESSAGES, lang)
    output.result(as_table(rows, {name: output.say(name) for name in ("table", "rows", "digest")}))


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
    rows: list[Row] = [
        {"kind": name, "count": found.count, "size": found.bytes, "digest": found.sha256[:16]}
        for name, found in copied.items()
    ]
    output = make_output(MESSAGES, lang)
    output.result(as_table(rows, {name: output.say(name) for name in ("kind", "count", "size", "digest")}))
