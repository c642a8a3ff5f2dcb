"""`kodo model`: list, pull and remove local models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kodo.cli.exit_codes import CommandError
from kodo.cli.options import LangOption, make_output
from kodo.cli.output import Output, print_note
from kodo.cli.progress import Bar
from kodo.cli.registry import new_app
from kodo.cli.tables import as_table
from kodo.client.i18n import Catalogue, Lang
from kodo.client.phrases import Phrases
from kodo.home import kodo_home
from kodo.server.config import DEFAULT_CONTEXT, DEFAULT_MODEL
from kodo.server.http import admin

app = new_app(
    f"Local models. The default, {DEFAULT_MODEL}, is fetched by the first kodo serve; docs/guides/models.md has better ones."
)


MESSAGES = Catalogue(
    {
        "entry": (
            "{name}: {size:.1f} GB from {repo}, {licence}, needs {memory:.1f} GB of memory{images}; {quirks}",
            "{name}: {repo} から {size:.1f} GB、{licence}、必要メモリー {memory:.1f} GB{images}; {quirks}",
        ),
        "images": (", sees images", "、画像入力に対応"),
        "fits": ("fits", "可"),
        "does_not_fit": ("    ", "  "),
        "bar": ("model {name}", "モデル {name}"),
        "done": ("done", "完了"),
        "stopped": ("stopped", "中断"),
        "name": ("NAME", "名前"),
        "size": ("SIZE", "サイズ"),
        "licence": ("LICENCE", "ライセンス"),
        "source": ("SOURCE", "入手元"),
        "use_it": ("use it: kodo serve --model {name}", "使うには: kodo serve --model {name}"),
        "removed": ("removed {name}, {size:,.0f} MB", "{name}（{size:,.0f} MB）を削除しました"),
    }
)


QUIRKS = Phrases(
    {
        "thinks before it answers; reasoning.effort none switches it off": (
            "回答の前に思考します。reasoning.effort を none にすると思考しません"
        ),
        "does not think; writes calls as XML, which kodo's own form replaces": (
            "思考しません。呼び出しを XML で書くため、kodo の形式に置き換えます"
        ),
        "thinks in a channel of its own; reasoning.effort low, medium, high": (
            "専用のチャンネルで思考します。reasoning.effort は low、medium、high"
        ),
        "thinks only when asked; small models loop when they think": (
            "求められたときだけ思考します。小さなモデルは思考すると同じ文を繰り返すことがあります"
        ),
        "thinks before it answers; dense, slow on a CPU; its licence was not looked up at its source": (
            "回答の前に思考します。密なモデルで、CPU では遅くなります。ライセンスは公開元で確認していません"
        ),
        "thinks before it answers; dense, slow on a CPU; its size is rounded": (
            "回答の前に思考します。密なモデルで、CPU では遅くなります。サイズは概数です"
        ),
    }
)
"""What the catalogue says of the chat of its models, which it does in English."""


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


def fetch_model(
    home: Path, source: str | None = None, name: str | None = None, lang: Lang | None = None
) -> admin.LocalModel:
    """Install a model with a progress bar on stderr; one that is there and whole is not fetched again.

    What is in the catalogue is announced first: size, licence and memory. Raises CommandError with one line that says what
    to do.
    """
    output = make_output(MESSAGES, lang)
    if source is not None:
        _announce(source, output)
    label = output.say("bar", name=name or source or DEFAULT_MODEL)
    ends = (output.say("done"), output.say("stopped"))
    with one_line_errors(), Bar(label, unit="MB", ends=ends) as bar:
        return admin.pull_model(home, source, name, bar.show)


def _announce(word: str, output: Output) -> None:
    """Say on stderr what a word of the catalogue stands for on this machine. Raises CommandError."""
    with one_line_errors():
        entry = admin.find_in_catalogue(word)
    if entry is not None:
        print_note(describe(entry, output))


def describe(entry: admin.CatalogueEntry, output: Output) -> str:
    """A model of the catalogue in one line."""
    return output.say(
        "entry",
        name=entry.name,
        size=entry.download_bytes / 1e9,
        repo=entry.repo,
        licence=entry.licence,
        memory=entry.memory(DEFAULT_CONTEXT) / 1e9,
        images=output.say("images") if entry.projector is not None else "",
        quirks=QUIRKS.in_japanese(entry.quirks) if output.lang == "ja" else entry.quirks,
    )


@app.command()
def catalogue(lang: LangOption = None) -> None:
    """List the models that are worth having, and mark those that fit this machine's memory."""
    memory, output = admin.available_memory(), make_output(MESSAGES, lang)
    for entry in admin.catalogue_entries():
        mark = output.say("fits" if entry.fits(memory, DEFAULT_CONTEXT) else "does_not_fit")
        uses = f" [{', '.join(entry.uses)}]" if entry.uses else ""
        typer.echo(f"{mark}  {describe(entry, output)}{uses}")


@app.command("list")
def list_(lang: LangOption = None) -> None:
    """Name, size, licence and source of each local model."""
    with one_line_errors():
        models = admin.list_models(kodo_home())
    output = make_output(MESSAGES, lang)
    rows = [
        {
            "name": model.name,
            "size": f"{model.size / 1e6:,.0f} MB",
            "licence": model.licence,
            "source": model.source,
        }
        for model in models
    ]
    titles = {name: output.say(name) for name in ("name", "size", "licence", "source")}
    output.result(as_table(rows, titles, left=("name", "licence", "source")))


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
    lang: LangOption = None,
) -> None:
    """Fetch a model, check it, and print where it is; one that is there and whole is not fetched again."""
    model = fetch_model(kodo_home(), source, name, lang)
    with one_line_errors():
        path = admin.model_path(kodo_home(), model.name)
    typer.echo(str(path))
    if source is not None:
        make_output(MESSAGES, lang).warn("use_it", name=model.name)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A name of kodo model list.")], lang: LangOption = None
) -> None:
    """Delete a local model."""
    with one_line_errors():
        model = admin.remove_model(kodo_home(), name)
    make_output(MESSAGES, lang).warn("removed", name=model.name, size=model.size / 1e6)
