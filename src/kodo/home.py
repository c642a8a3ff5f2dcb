"""Where kodo keeps its data: the one thing that the server and the client half share."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def kodo_home() -> Path:
    """The folder where data lives: ``$KODO_HOME``, else the platform's data folder for ``kodo``. Not created here."""
    home = os.environ.get("KODO_HOME")
    return (
        Path(home).expanduser().absolute()
        if home
        else Path(platformdirs.user_data_dir("kodo", appauthor=False))
    )
