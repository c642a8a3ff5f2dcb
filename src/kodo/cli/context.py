"""The text of a question, put together from the prompt, files and what was piped in. Knows no model."""

from __future__ import annotations

import sys
from pathlib import Path

from kodo.cli.exit_codes import CommandError
from kodo.cli.output import Output
from kodo.client.i18n import Catalogue
from kodo.jobs.generate.job import with_files

MESSAGES = Catalogue(
    {
        "no_prompt": (
            "no prompt: give PROMPT or pipe text to stdin",
            "プロンプトがありません。PROMPT を指定するか、標準入力から渡してください",
        ),
        "cannot_read": ("cannot read {path}: {error}", "{path} を読み込めません: {error}"),
        "not_text": ("{path} is not UTF-8 text", "{path} は UTF-8 のテキストではありません"),
    }
)


def build_prompt(prompt: str | None, files: list[Path], piped: str | None, output: Output) -> str:
    """One text: each file under its name, what was piped in, then the prompt.

    Without a prompt, what was piped in is the prompt. Raises CommandError where there is neither, and for a file
    that cannot be read or is not text.
    """
    piped = piped.strip("\n") if piped and piped.strip() else None
    if not prompt and piped is None:
        raise CommandError(output.using(MESSAGES).say("no_prompt"))
    material = {str(path): read_text(path, output) for path in files}
    if prompt and piped is not None:
        material["stdin"] = piped
    return with_files(prompt or piped or "", material)


def read_text(path: Path, output: Output) -> str:
    """The content of a UTF-8 file. Raises CommandError that names it otherwise."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(output.using(MESSAGES).say("not_text", path=path)) from error
    except OSError as error:
        raise CommandError(
            output.using(MESSAGES).say("cannot_read", path=path, error=error.strerror)
        ) from error


def read_piped(output: Output) -> str | None:
    """What was piped into the command, or None where stdin is a terminal or closed."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise CommandError(output.using(MESSAGES).say("not_text", path="stdin")) from error
