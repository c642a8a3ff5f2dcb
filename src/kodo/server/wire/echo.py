"""What an error repeats of a client's input: never more than a line of it."""

from __future__ import annotations

import re
from typing import Final

MAX_ECHO: Final = 200
"""Characters of input that an error's message repeats, and of the name that ``param`` gives."""
_CUT: Final = MAX_ECHO // 2
_QUOTED: Final = re.compile(r"'[^']{%d,}'|`[^`]{%d,}`" % (MAX_ECHO, MAX_ECHO))  # noqa: UP031 - braces of the pattern
_OUTERMOST: Final = re.compile(r"(?<=['`]).{%d,}(?=['`])" % MAX_ECHO, re.DOTALL)  # noqa: UP031 - as above


def shorten(text: str) -> str:
    """A message, or a field's path, without the middle of what it quotes where that is long."""
    if len(text) <= MAX_ECHO:
        return text
    if len(text) > 20 * MAX_ECHO:  # first, as the searches below take time in the length
        text = f"{text[: 18 * MAX_ECHO]}{text[-MAX_ECHO:]}"
    text = _QUOTED.sub(lambda match: f"{match[0][:_CUT]}…{match[0][-1]}", text)
    if len(text) > 2 * MAX_ECHO and (
        found := _OUTERMOST.search(text)
    ):  # a quoted input that has quotes itself
        text = f"{text[: found.start()]}{found[0][:_CUT]}…{text[found.end() :]}"
    return text if len(text) <= 4 * MAX_ECHO else f"{text[:MAX_ECHO]}…"


def shorten_param(param: str | None) -> str | None:
    """The path of a field, cut at its end."""
    return param if param is None or len(param) <= MAX_ECHO else f"{param[: MAX_ECHO - 1]}…"
