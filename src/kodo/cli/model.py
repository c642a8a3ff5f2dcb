"""`kodo model`: list, pull and remove local models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kodo.cli.exit_codes import CommandError
from kodo.cli.progress import Bar
from kodo.cli.registry import new_app
from kodo.home import kodo_home
from kodo.server.config import DEFAULT_CONTEXT, DEFAULT_MODEL
from kodo.server.http import admin

app = new_app(
    f"Local models. The default, {DEFAULT_MODEL}, is fetched by the first kodo serve; docs/guides/models.md has better ones."
)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what can go wrong with a model, or with the disk, into one line."""
    try:
        yield
    except admin.WeightsError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CommandError(f"{where}{error.strerror or error}: check the disk and KODO_HOME") from None


def fetch_model(home: Path, source: str | None = None, name: str | None = None) -> admin.LocalModel:
    """Install a model with a progress bar on stderr; one that is there and whole is not fetched again.

    What is in the catalogue is announced first: size, licence and memory. Raises CommandError with one line that says what
    to do.
    """
    if source is not None:
        _announce(source)
    with one_line_errors(), Bar(f"model {name or source or DEFAULT_MODEL}", unit="MB") as bar:
        return admin.pull_model(home, source, name, bar.show)


def _announce(word: str) -> None:
    """Say on stderr what a word of the catalogue stands for on this machine. Raises CommandError."""
    with one_line_errors():
        entry = admin.find_in_catalogue(word)
    if entry is not None:
        sys.stderr.write(f"{describe(entry)}\n")


def describe(entry: admin.CatalogueEntry) -> str:
    """A model of the catalogue in one line."""
    images = ", sees images" if entry.projector is not None else ""
    memory = entry.memory(DEFAULT_CONTEXT) / 1e9
    return (
        f"{entry.name}: {entry.download_bytes / 1e9:.1f} GB from {entry.repo}, {entry.licence}, "
        f"needs {memory:.1f} GB of memory{images}; {entry.quirks}"
    )


@app.command()
def catalogue() -> None:
    """List the models that are worth having, and mark those that fit this machine's memory."""
    memory = admin.available_memory()
    for entry in admin.catalogue_entries():
        mark = "fits" if entry.fits(memory, DEFAULT_CONTEXT) else "    "
        uses = f" [{', '.join(entry.uses)}]" if entry.uses else ""
        typer.echo(f"{mark}  {describe(entry)}{uses}")


@app.command("list")
def list_() -> None:
    """Name, size, licence and source of each local model."""
    with one_line_errors():
        models = admin.list_models(kodo_home())
    rows = [("NAME", "SIZE", "LICENCE", "SOURCE")]
    rows += [(model.name, f"{model.size / 1e6:,.0f} MB", model.licence, model.source) for model in models]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[3]]))


@app.command()
def pull(
    source: Annotated[
        str | None,
        typer.Argument(
            help="coder, small, vision or another name of `kodo model catalogue`, a path to a GGUF, or "
            "hf:owner/repository/file.gguf. Default: the default model."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it. Default: from the file's name.")] = None,
) -> None:
    """Fetch a model, check it, and print where it is; one that is there and whole is not fetched again."""
    model = fetch_model(kodo_home(), source, name)
    with one_line_errors():
        path = admin.model_path(kodo_home(), model.name)
    typer.echo(str(path))
    if source is not None:
        sys.stderr.write(f"use it: kodo serve --model {model.name}\n")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="A name of kodo model list.")]) -> None:
    """Delete a local model."""
    with one_line_errors():
        model = admin.remove_model(kodo_home(), name)
    sys.stderr.write(f"removed {model.name}, {model.size / 1e6:,.0f} MB\n")
