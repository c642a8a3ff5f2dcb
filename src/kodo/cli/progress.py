"""A progress bar of plain text: one line redrawn on a terminal, a line now and then anywhere else.

Standard library only: scripts/checkout.py draws with it before any dependency is installed. It does not know
what it counts.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

_WIDTH = 24
_SPARSE_SECONDS = 10.0
"""Pause between two lines if the output is not a terminal (a CI log)."""


class Bar:
    """Shows how far a step of work is, from the first ``show`` on; a context manager, which ends the line.

    ``unit`` names what is counted; with "MB" the counts are bytes. Output goes to ``stream``, by default stderr. ``ends`` are
    the words for a step that was done and for one that an error stopped.
    """

    def __init__(
        self,
        label: str,
        unit: str = "",
        stream: TextIO | None = None,
        ends: tuple[str, str] = ("done", "stopped"),
    ) -> None:
        self._label = label
        self._unit = unit
        self._ends = ends
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._said = self._began
        self._shown = ""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._shown:
            return
        seconds = time.monotonic() - self._began
        end = f"{self._label}: {self._ends[kind is not None]} ({seconds:.1f} s)"
        self._write(f"\r{end:<{len(self._shown)}}\n" if self._live else f"{end}\n")

    def show(self, done: int, total: int, note: str = "") -> None:
        """Draw ``done`` of ``total``; ``done`` may run past it, ``total`` 0 means unknown."""
        share = min(done / total, 1.0) if total else 0.0
        text = " ".join(part for part in (self._label, self._count(done, total), note) if part)
        if self._live:
            filled = round(share * _WIDTH)
            text = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {text}"
            text = text[: shutil.get_terminal_size().columns - 1]
            if text != self._shown:
                self._write(f"\r{text:<{len(self._shown)}}")
                self._shown = text
        elif not self._shown:
            self._shown = f"{self._label} ..."
            self._write(f"{self._shown}\n")
        elif time.monotonic() - self._said >= _SPARSE_SECONDS:
            self._said = time.monotonic()
            self._write(f"{text}\n")

    def _count(self, done: int, total: int) -> str:
        if self._unit == "MB":
            return f"{done / 1e6:.0f}/{total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
        return f"{min(done, total)}/{total} {self._unit}".rstrip() if total else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
