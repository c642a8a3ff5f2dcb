"""Fetching a model for the page about models: in a thread, one at a time, with its progress to look at."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from kodo.server.http import admin

logger = logging.getLogger(__name__)


@dataclass
class Pull:
    """A model that is being fetched, or was fetched last. Bytes; ``error`` None: none so far."""

    source: str
    done: int = 0
    total: int = 0
    finished: bool = False
    error: str | None = None

    def show(self, done: int, total: int) -> None:
        """Take note of progress; called in a thread."""
        self.done, self.total = done, total


class Pulls:
    """At most one model is fetched at a time."""

    def __init__(self) -> None:
        self.last: Pull | None = None

    def start(self, home: Path, source: str) -> None:
        """Begin to fetch a model, unless one is being fetched.

        The thread is none of the event loop's own: a server that stops does not wait for a download, and an interrupted one
        leaves the models as they were.
        """
        if self.last is None or self.last.finished:
            self.last = Pull(source)
            threading.Thread(target=_pull, args=(home, self.last), name=f"pull {source}", daemon=True).start()


def _pull(home: Path, pull: Pull) -> None:
    try:
        admin.pull_model(home, pull.source, None, pull.show)
    except (admin.WeightsError, OSError) as error:
        pull.error = str(error)
    except (
        Exception
    ) as error:  # a bug, or a package that is missing: the page must not call the model fetched
        logger.exception("the model %s could not be fetched", pull.source)
        pull.error = f"{type(error).__name__}: {error}"
    finally:
        pull.finished = True
