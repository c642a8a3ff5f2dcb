"""The progress bar of a batch: on stderr, only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kodo.cli.output import Output
from kodo.client.i18n import Catalogue
from kodo.jobs.batch.progress import Progress

MESSAGES = Catalogue(
    {
        "state": (
            "{rate:.1f}/s  {in_flight} in flight  {failed:,} failed  ${usd:.4f}  {left} left",
            "{rate:.1f} 件/秒  処理中 {in_flight}  失敗 {failed:,}  ${usd:.4f}  残り {left}",
        ),
    }
)


@contextmanager
def progress_bar(output: Output) -> Iterator[Callable[[Progress], None]]:
    """A function that shows a moment of a batch: rate, requests in flight, failures, cost so far, time left."""
    if output.quiet or not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console  # here, because it takes 50 ms and a pipe needs none of it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=Console(stderr=True), refresh_per_second=5) as bar:
        task = bar.add_task("", total=None)

        def show(progress: Progress) -> None:
            bar.update(
                task, total=progress.total, completed=progress.done, description=describe(progress, output)
            )

        yield show


def describe(progress: Progress, output: Output) -> str:
    """The figures beside the bar."""
    return output.using(MESSAGES).say(
        "state",
        rate=progress.rate,
        in_flight=progress.in_flight,
        failed=progress.failed,
        usd=progress.usd,
        left=clock(progress.seconds_left),
    )


def clock(seconds: float | None) -> str:
    """Seconds as m:ss or h:mm:ss; a dash where they are not known."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
