"""The text of a file, read in a child process: files are hostile input, and their readers are large libraries.

The child (``python -m kodo.server.http.vector_stores.extraction``) has limits on memory, processor time, and what it
writes; it is killed when its time is over. Text is UTF-8 on its standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from kodo.server.config import FileSearchSettings
from kodo.server.lifecycle.process_end import wait_until_gone
from kodo.server.lifecycle.retrieval.ports import Unreadable
from kodo.server.wire.vector_stores import LastError

UNSUPPORTED: Final = 3
INVALID: Final = 4
"""What the child exits with; its reason is on its standard error."""
_MAX_REASON = 300
_MAX_NAME = 512
"""Characters of a file's name, from its end, that its format is told by: it is a stranger's, and an argument has bounds."""

_END_SECONDS: Final = 5.0
"""How long the end of a child that was killed is waited for."""


async def read_text(path: Path, filename: str, settings: FileSearchSettings) -> str:
    """The text of a file.

    Raises:
        Unreadable: its format is not known, or it is damaged, empty, or takes too much to read.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kodo.server.http.vector_stores.extraction",
        str(path),
        filename[-_MAX_NAME:].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        str(settings.read_bytes),
        str(settings.read_seconds),
        str(settings.max_text_chars),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(sys.path), "LANG": "C.UTF-8"},
        start_new_session=True,
    )
    try:
        output, reason = await asyncio.wait_for(process.communicate(), settings.read_seconds + 10)
    except TimeoutError:
        raise _invalid("reading it took too long") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await wait_until_gone(process, _END_SECONDS)
    words = " ".join(reason.decode(errors="replace").split())[-_MAX_REASON:]
    if process.returncode == UNSUPPORTED:
        raise Unreadable(LastError(code="unsupported_file", message=words))
    if process.returncode != 0:
        raise _invalid(words if process.returncode == INVALID else "reading it took too much memory or time")
    text = output.decode(errors="replace")
    if not text.strip():
        raise _invalid("it has no text")
    return text


def _invalid(why: str) -> Unreadable:
    return Unreadable(LastError(code="invalid_file", message=f"The file could not be read: {why}."))
