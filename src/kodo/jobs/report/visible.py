"""Makes the text of a report safe to display: without characters that move, hide or reorder others.

Names of files and texts of code come from the change under review. A terminal obeys escape sequences, a log takes a
carriage return for a new line, and direction marks show code in another order than it runs in.
"""

import re

import msgspec

from kodo.jobs.report.model import ReviewReport

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_LINES = re.compile("[\t\n]")
_BLOCKS = frozenset({"code", "detail"})
"""Fields of several lines; every other text is one line."""


def visible(text: str) -> str:
    """Text with control, direction and invisible characters as escapes; tabs and line feeds stay."""
    return _UNSEEN.sub(lambda match: _escape(match[0]), text)


def one_line(text: str) -> str:
    """As :func:`visible`, with tabs and line feeds as escapes too."""
    return _LINES.sub(lambda match: _escape(match[0]), visible(text))


def make_visible(report: ReviewReport) -> ReviewReport:
    """A report in which every text can be shown anywhere. A fix that would have to be altered for it is left out."""
    return msgspec.convert(_walk(msgspec.to_builtins(report), ""), ReviewReport)


def json_text(document: object) -> str:
    """Indented JSON in which those characters are JSON's own escapes, so that the values stay as they are."""
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    return _UNSEEN.sub(lambda match: _json_escape(match[0]), text) + "\n"


def _walk(value: object, name: str) -> object:
    if isinstance(value, str):
        return visible(value) if name in _BLOCKS else one_line(value)
    if isinstance(value, dict):
        if name == "fix" and visible(value["text"]) != value["text"]:
            return None
        return {key: item if name == "fix" else _walk(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, name) for item in value]
    return value


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
