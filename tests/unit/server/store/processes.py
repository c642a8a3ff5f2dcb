"""Stores in processes of their own, told what to do, and killed."""

from __future__ import annotations

import subprocess
import sys

from tests.paths import REPOSITORY

ROOT = REPOSITORY


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process that can import the tests; its stdout is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


HOLD = """
import asyncio, os, sys, time
from pathlib import Path
from kodo.server.store.sqlite import SqliteStore

async def main():
    await SqliteStore(Path(sys.argv[1])).open()
    if sys.argv[2] == "fork" and os.fork() == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""Opens a store and holds it; ``fork``: with a child that outlives it, as an engine process may."""
