"""The tools in a Python file of the user's: what ``@tool`` made, and plain functions, which need an approval."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path

from kodo.jobs.agent.tool import Tool, tool


class UserToolsError(Exception):
    """The file is not one of tools; the message says why."""


def load_tools(path: Path) -> list[Tool]:
    """The tools of a file, in its order: each ``Tool``, and each public function that the file itself defines.

    The file is run, as any module that is imported. A plain function counts as one that writes.

    Raises:
        UserToolsError: the file cannot be read or raises, a function lacks type hints, or there is no tool in it.
    """
    name = f"kodo_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserToolsError(
            f"{path}: {'is not a Python file' if path.exists() else 'there is no such file'}"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    try:
        exec(compile(path.read_bytes(), path, "exec"), vars(module))  # noqa: S102 - bytecode of a file changed this second is old
        found = [
            value if isinstance(value, Tool) else tool(effect="write")(value)
            for label, value in vars(module).items()
            if isinstance(value, Tool)
            or (inspect.isfunction(value) and value.__module__ == name and not label.startswith("_"))
        ]
    except Exception as error:
        raise UserToolsError(f"{path}: {type(error).__name__}: {error}") from error
    if not found:
        raise UserToolsError(f"{path}: has no tool: a function with type hints, or one under @tool")
    return found
