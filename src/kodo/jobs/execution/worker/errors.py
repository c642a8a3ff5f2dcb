"""Where an error of a call comes from, and the name a test can catch it by."""

import linecache
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

ErrorOrigin = Literal["outside", "below", "operation", "raise"]
"""``outside``: the target was not reached; ``below``: code that the target called failed; ``operation``: something the
target does failed; ``raise``: a raise statement of the target's package."""

# A TypeError that speaks of types; one of a builtin may be about the value, as ord('') is.
_OF_TYPES = re.compile(
    r"unsupported operand|object (?:is|does|has|cannot|of type)|not supported between|can only concatenate|not NoneType"
    r"|missing \d|unexpected keyword|positional argument"
)
ENVIRONMENT_ERRORS = (OSError, ImportError, EOFError)
"""Errors that say something about the machine rather than about the code."""


def origin(error: BaseException, filename: str) -> ErrorOrigin:
    """Where an error comes from; ``filename`` is the target's file. Raise statements of its folder are its own."""
    frames = list(_frames(error))
    files = [frame.f_code.co_filename for frame, _ in frames]
    if not filename or filename not in files:
        return "outside"
    line = linecache.getline(files[-1], frames[-1][1]).lstrip()
    if line.startswith("raise") and files[-1].startswith(str(Path(filename).parent)):
        return "raise"
    of_value = isinstance(error, TypeError) and not _OF_TYPES.search(str(error))
    return "operation" if files[-1] == filename and not (line.startswith("assert") or of_value) else "below"


def _frames(error: BaseException) -> Iterator[tuple[types.FrameType, int]]:
    at = error.__traceback__
    while at is not None:
        yield at.tb_frame, at.tb_lineno
        at = at.tb_next


def importable_name(error: BaseException, defined: Mapping[str, object]) -> str:
    """The name of the error's class, or of its first base that is public and can be imported; dotted where foreign."""
    return next(name for name in (_name(kind, defined) for kind in type(error).__mro__) if name)


def _name(kind: type, defined: Mapping[str, object]) -> str:
    if kind.__module__ == "builtins":
        return kind.__name__
    private = kind.__name__.startswith("_") or "<locals>" in kind.__qualname__
    if private:
        return ""
    if defined.get(kind.__name__) is kind:
        return kind.__name__
    return "" if kind.__module__.startswith("_") else f"{kind.__module__}.{kind.__qualname__}"
