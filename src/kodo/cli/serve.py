"""`kodo serve`: the API on this machine."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import LangOption, make_output
from kodo.cli.registry import new_app

if TYPE_CHECKING:
    from kodo.client.i18n import Lang
    from kodo.server.config import Settings
    from kodo.server.http.serve import Pages

app = new_app()


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to bind; anything but loopback needs a key.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = None,
    fd: Annotated[
        int | None,
        typer.Option(
            help="Serve on a TCP socket that is already bound, inherited under this number, in place of --host and --port.",
            min=0,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="What answers codex-mini-latest: a name of `kodo model list`, a GGUF, a name of [models] in config.toml, "
            "or coder, small, vision or a name of `kodo model catalogue`, which is fetched if it is missing."
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option("--fetch/--no-fetch", help="Fetch the model if it is missing (the default one: 98 MB)."),
    ] = True,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate: serve https and wss.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key of the certificate.")] = None,
    role: Annotated[
        Literal["all", "api"] | None,
        typer.Option(help="On a shared database: api leaves background work to `kodo worker`. Default: all."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    hello: Annotated[
        bool, typer.Option("--hello", help="Stream a first answer, and say how to use it.")
    ] = False,
    lang: LangOption = None,
) -> ExitCode:
    """Serve the Responses API and its siblings until Ctrl-C."""
    from kodo.cli.first_run import MESSAGES, announce, show_first_answer
    from kodo.server import config
    from kodo.server.http.serve import Refused, take_over_socket
    from kodo.server.http.serve import serve as run

    output = make_output(MESSAGES, lang)
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if fd is not None and (host is not None or port is not None):
        raise CommandError("--fd stands in place of --host and --port", ExitCode.BAD_INPUT)
    try:
        listener = None if fd is None else take_over_socket(fd)
        if listener is not None:
            host, port = listener.getsockname()[:2]
        settings = config.load(host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, role=role)
        if model is not None:
            settings = config.with_model(settings, _have_catalogue_model(settings, model, fetch, lang))
        _have_default_model(settings, fetch, lang)
        greet = functools.partial(show_first_answer if hello else announce, output)
        run(settings, greet, _load_pages, listener)
    except (config.InvalidSettings, Refused) as error:
        raise CommandError(str(error), ExitCode.BAD_INPUT) from None
    return ExitCode.DONE


def _load_pages() -> Pages:
    """What makes the dashboard's routes. Called while the models are loading, so its first page is made ready too."""
    from kodo.cli import dashboard

    dashboard.warm()
    return dashboard.pages


def _have_catalogue_model(settings: Settings, word: str, fetch: bool, lang: Lang | None) -> str:
    """The model that a word means: one of the settings, an installed one, or one of the catalogue, which is fetched.

    Raises CommandError.
    """
    from kodo.cli.model import fetch_model, one_line_errors
    from kodo.server.http import admin
    from kodo.server.http.serve import check_settings

    with one_line_errors():
        installed = [model.name for model in admin.list_models(settings.home)]
        if word in settings.models or word in installed:
            return word
        entry = admin.find_in_catalogue(word, settings.llama.context)
    if entry is None or entry.name in installed:
        return word if entry is None else entry.name
    if not fetch:
        raise CommandError(
            f"the model {entry.name} is not installed: `kodo model pull {word}` fetches it",
            ExitCode.BAD_INPUT,
        )
    check_settings(settings)  # before anything is fetched for a server that would not start
    return fetch_model(settings.home, word, lang=lang).name


def _have_default_model(settings: Settings, fetch: bool, lang: Lang | None) -> None:
    """Fetch the default model if it is wanted and missing. Raises CommandError."""
    from kodo.cli.model import fetch_model
    from kodo.server.config import DEFAULT_MODEL
    from kodo.server.http import admin
    from kodo.server.http.serve import check_settings

    if not admin.default_model_missing(settings):
        return
    if not fetch:
        raise CommandError(
            f"the model {DEFAULT_MODEL} is not installed: `kodo model pull` fetches it (98 MB)",
            ExitCode.BAD_INPUT,
        )
    check_settings(settings)
    fetch_model(settings.home, lang=lang)
