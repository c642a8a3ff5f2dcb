"""`kodo worker`: background responses and batches, for API servers on the same database."""

from __future__ import annotations

import functools
import logging
from typing import Annotated

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import LangOption, make_output
from kodo.cli.registry import new_app

app = new_app()


@app.command()
def worker(
    host: Annotated[str | None, typer.Option(help="Address for /health, /ready and /metrics.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one.", min=0, max=65535)] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    lang: LangOption = None,
) -> ExitCode:
    """Run background responses and batches that servers of the same database have accepted, until Ctrl-C.

    Takes no requests but /health, /ready and /metrics. The settings database and shared_folder are those of the servers.
    """
    from kodo.cli.first_run import MESSAGES, announce
    from kodo.server import config
    from kodo.server.http.serve import Refused, serve

    output = make_output(MESSAGES, lang)
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(config.load(host=host, port=port, role="worker"), functools.partial(announce, output))
    except (config.InvalidSettings, Refused) as error:
        raise CommandError(str(error), ExitCode.BAD_INPUT) from None
    return ExitCode.DONE
