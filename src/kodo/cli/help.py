"""The help of ``kodo``, and its errors of usage, in the language of the reader.

The commands describe themselves in English. In Japanese, each paragraph of their help is looked up in ``help_ja.toml``,
and pages are folded by how wide the characters are on a terminal. A paragraph that has no row stays English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any
from unicodedata import east_asian_width

from typer.core import TyperCommand, TyperGroup

from kodo.client.i18n import Lang, pick_lang
from kodo.client.phrases import read_table

_NOT_FIRST = "、。，．：；！？）」』】々ー"  # what no line begins with
_NOT_LAST = "（「『【"  # what no line ends with
_HEADINGS = {"Options": "オプション", "Arguments": "引数", "Commands": "コマンド"}
_EXTRAS = ((re.compile(r"\[(.*)default: "), r"[\1既定: "), (re.compile(r"\brequired\]$"), "必須]"))


def language(argv: Sequence[str]) -> Lang:
    """The language of help and errors of usage: ``--lang`` where it is on the command line (the last: a command's own goes before
    that of ``kodo``), else as ``pick_lang``.

    A language that does not exist counts as not given: the command itself refuses it.
    """
    asked = None
    for one, after in pairwise((*argv, "")):
        asked = (
            after if one == "--lang" else one.removeprefix("--lang=") if one.startswith("--lang=") else asked
        )
    for choice in (asked, None):
        try:
            return pick_lang(choice)
        except ValueError:
            continue
    return "en"


def speak(command: TyperCommand | TyperGroup, lang: Lang) -> None:
    """Put the help of a command, of its options and of its subcommands into ``lang``, which English is already but for the kinds of
    values.

    Subcommands are listed by the first sentence of their help, whole.
    """
    for parameter in command.params:
        _name_value(parameter)
        _word_range(parameter, lang)
    children = list(getattr(command, "commands", {}).values())
    for child in children:
        if child.help and not child.short_help:
            child.short_help = re.split(r"(?<=[.:;])\s", child.help, maxsplit=1)[0].rstrip(".:;") + "."
    if lang == "en":
        for child in children:
            speak(child, lang)
        return
    for child in children:
        first = "".join(_paragraphs(child.help or "")[:1]).partition("。")
        child.short_help = _table().get(child.short_help or "", "".join(first[:2]))
        speak(child, lang)
    command.help = "\n\n".join(_paragraphs(command.help or "")) or None
    for parameter in command.params:
        if text := getattr(parameter, "help", None):
            parameter.help = _translated(text)  # type: ignore[attr-defined] # options and arguments have it
    command.context_class = _context_class()


_KINDS = {
    "str": "text",
    "int": "number",
    "float": "number",
    "Decimal": "number",
    "Path": "path",
    "file": "path",
}


def _name_value(parameter: Any) -> None:
    """Name the kind of an option's value for people: ``<number>``, where typer has ``<int range>``."""
    if getattr(parameter, "_kodo_kind", False):
        return
    by_typer = parameter.display_type

    def display_type(context: Any) -> str:
        inner = re.sub(r"^list\[(.*)\]$", r"\1", by_typer(context).strip("<>").removesuffix(" range"))
        return f"<{_KINDS.get(inner, inner)}>"

    parameter.display_type, parameter._kodo_kind = display_type, True


_NUMBER = r"(-?[\d.]+(?:e[-+]?\d+)?)"
_RANGES = tuple(
    (re.compile(rf"(?<=[\[ ]){pattern}(?=\]$)"), words)
    for pattern, words in (
        (f"{_NUMBER}<=x<={_NUMBER}", {"en": "{} to {}", "ja": "{}～{}"}),
        (f"x>={_NUMBER}", {"en": "{} or more", "ja": "{} 以上"}),
        (f"x<={_NUMBER}", {"en": "{} or less", "ja": "{} 以下"}),
    )
)


def _plain(number: str) -> str:
    """A number as people write it: without an exponent, and a whole one without a point."""
    return f"{Decimal(number).normalize():f}" if "e" in number or number.endswith(".0") else number


def _word_range(parameter: Any, lang: Lang) -> None:
    """Say what numbers an option takes in words: "1 or more", where typer has ``x>=1``."""
    by_typer = parameter.get_help_record

    def get_help_record(context: Any) -> tuple[str, str] | None:
        record = by_typer(context)
        if record is None:
            return None
        said = record[1]
        for pattern, words in _RANGES:
            if found := pattern.search(said):
                numbers = words[lang].format(*map(_plain, found.groups()))
                said = said[: found.start()] + numbers + said[found.end() :]
        return record[0], said

    parameter.get_help_record = get_help_record


def explain_usage_error(message: str, lang: Lang) -> str:
    """An error about the command line as one line without a full stop, in ``lang``."""
    message = message.removesuffix(".").replace(": Value error, ", ": ")  # the name of a class of the library
    if lang == "en":
        return message
    for pattern, japanese in _USAGE_ERRORS:
        message = pattern.sub(japanese, message)
    return message


_USAGE_ERRORS = tuple(
    (re.compile(pattern), japanese)
    for pattern, japanese in (
        (r"^No such option: (\S+)", r"\1 というオプションはありません"),
        (r"^No such command ('.*?')\.?", r"\1 というコマンドはありません"),
        (r"^Missing command", "コマンドを指定してください"),
        (r"^Missing argument (.+)", r"引数 \1 を指定してください"),
        (r"^Missing option (.+)", r"オプション \1 を指定してください"),
        (r"^Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"余分な引数があります（\1）"),
        (r"^Option ('.*?') requires an argument", r"オプション \1 には値が必要です"),
        (r"^Option ('.*?') requires (\d+) arguments", r"オプション \1 には \2 個の値が必要です"),
        (r"^Option ('.*?') does not take a value", r"オプション \1 は値を取りません"),
        (r"^Invalid value for (.*?): ", r"\1 の値が正しくありません: "),
        (r"('.*?') is not one of (.*)", r"\1 は \2 のいずれでもありません"),
        (r"Input should be a valid integer.*", "整数を指定してください"),
        (r"Input should be a valid number.*", "数値を指定してください"),
        (r"(\S+) is not in the range (.*)", r"\1 は範囲 \2 の外です"),
        (r"Input should be greater than or equal to (\S+)", r"\1 以上の値を指定してください"),
        (r"Input should be less than or equal to (\S+)", r"\1 以下の値を指定してください"),
        (r" ?\(Possible options: (.*)\)", r"（候補: \1）"),
        (r"\.? Did you mean (.*?)\?", r"（候補: \1）"),
    )
)


@cache
def _table() -> dict[str, str]:
    """Paragraphs of English help, and the same in Japanese."""
    return read_table("kodo.cli", "help_ja.toml")


def _paragraphs(text: str) -> list[str]:
    return [_translated(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _translated(paragraph: str) -> str:
    one_line = " ".join(paragraph.split())
    return _table().get(one_line, one_line)


def width(text: str) -> int:
    """How many columns of a terminal a text takes: two for each wide character."""
    return sum(2 if east_asian_width(one) in "WF" else 1 for one in text)


def fold(text: str, columns: int) -> list[str]:
    """A paragraph as lines of at most ``columns``; longer only by marks that begin no line, or by one long word.

    A line ends at a space, or beside a wide character.
    """
    lines = [""]
    for piece in re.findall(rf"[{_NOT_LAST}]*(?:[!-~]+|.)", " ".join(text.split())):
        full = width(lines[-1]) + width(piece) > columns
        if full and piece not in _NOT_FIRST and lines[-1]:
            lines.append("")
        if lines[-1] or piece != " ":
            lines[-1] += piece
    return [line.rstrip() for line in lines if line.strip()]


def _with_extras(text: str) -> str:
    """The line of an option with what typer adds to it in Japanese, such as its default."""
    translated = _translated(text)
    for pattern, japanese in _EXTRAS:
        translated = pattern.sub(japanese, translated)
    return translated


@cache
def _context_class() -> type[Any]:
    """The context of commands whose help is Japanese. typer has no public name for its bases."""
    context: Any = TyperCommand.context_class
    return type("JapaneseContext", (context,), {"formatter_class": _formatter_class(context.formatter_class)})


def _formatter_class(base: Any) -> type[Any]:
    """What writes a page of help, with headings in Japanese and lines as wide as a terminal has columns."""

    def write_usage(self: Any, prog: str, args: str = "", prefix: str | None = None) -> None:
        base.write_usage(self, prog, args, prefix or "使い方: ")

    def write_heading(self: Any, heading: str) -> None:
        base.write_heading(self, _HEADINGS.get(heading, heading))

    def write_text(self: Any, text: str) -> None:
        indent = " " * self.current_indent
        pages = [fold(part, self.width - self.current_indent) for part in text.split("\n\n")]
        self.write("\n\n".join("\n".join(indent + line for line in page) for page in pages) + "\n")

    def write_dl(self: Any, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        first = min(max(width(name) for name, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, text in rows:
            lines = fold(_with_extras(text), max(self.width - first - 2, 10))
            fits = width(name) <= first - col_spacing
            if not fits or not lines:
                self.write(f"{indent}{name}\n")
            for number, line in enumerate(lines):
                head = name if fits and number == 0 else ""
                self.write(f"{indent}{head}{' ' * (first - width(head))}{line}\n")

    own = (write_usage, write_heading, write_text, write_dl)
    return type("JapaneseHelp", (base,), {function.__name__: function for function in own})
