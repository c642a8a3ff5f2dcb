"""How every Python program here is called: ``program.py CHECK BASE_URL``; it prints what it got as JSON."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

MODEL = "codex-mini-latest"


def run(*checks: Callable[[str], Any]) -> None:
    """Run the check that the command line names, by its function's name."""
    name, url = sys.argv[1:]
    result = {check.__name__: check for check in checks}[name](url)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    print(json.dumps(result))
