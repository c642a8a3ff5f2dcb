"""``kodo ask``: one question, one answer, streamed to stdout as it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from kodo.cli.context import build_prompt, read_piped
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.cli.spending import describe_estimate, print_spending
from kodo.client.answer import Answer
from kodo.client.i18n import Catalogue
from kodo.client.request_plan import CallOptions
from kodo.client.session import Session
from kodo.jobs.generate.fences import CodeFilter
from kodo.jobs.generate.job import instructions as code_instructions
from kodo.jobs.generate.job import verify
from kodo.jobs.job import Rejected

MESSAGES = Catalogue(
    {
        "json_and_code": (
            "--json and --code are mutually exclusive",
            "--json と --code は同時に指定できません",
        ),
        "bad_set": (
            "--set {given}: must be NAME=VALUE, with a name of the request, such as temperature or reasoning.effort",
            "--set {given}: NAME=VALUE の形式で、リクエストのパラメーター名（temperature、reasoning.effort など）を指定してください",
        ),
        "set_has_option": (
            "--set {name}: kodo ask has an option or an argument for it",
            "--set {name}: kodo ask のオプションか引数を使ってください",
        ),
        "no_code": ("--code: {reason}", "--code: {reason}"),
        "written": ("written: {path}", "書き込みました: {path}"),
    }
)

app = new_app()
_NOT_SET = ("input", "instructions", "max_output_tokens", "model", "stream")
"""Parameters that the command has another way for."""


@app.command()
@job
def ask(
    prompt: Annotated[str | None, typer.Argument(help="The question. Default: stdin.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="A text file to include as context. May be repeated."),
    ] = None,
    instructions: Annotated[
        str | None, typer.Option("--instructions", "-s", help="Instructions for the model.")
    ] = None,
    max_output_tokens: Annotated[
        int | None, typer.Option(min=1, help="Maximum length of the answer, in tokens.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another parameter of the request, such as temperature=0.2 or reasoning.effort=low: JSON, or else a text. "
            "May be repeated.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the complete Response as JSON.")] = False,
    code: Annotated[bool, typer.Option("--code", help="Print only the code in the answer.")] = False,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the result to this file instead of stdout.")
    ] = None,
    *,
    options: JobOptions,
) -> ExitCode:
    """Ask one question and stream the answer. Files (-f) and piped input are included as context."""
    output = options.output(MESSAGES)
    if json and code:
        raise CommandError(output.say("json_and_code"))
    question = build_prompt(prompt, file or [], read_piped(output), output)
    orders = instructions or (code_instructions(None) if code else None)
    call: CallOptions = {
        "instructions": orders,
        "max_output_tokens": max_output_tokens,
        "extra": _extra(parameters or (), output),
    }
    with options.session("ask") as session:
        if options.dry_run:
            output.result(describe_estimate(session.estimate(question, **call), output))
            return ExitCode.DONE
        if json or out is not None:
            answer = session.respond(question, **call)
            _deliver(_rendered(answer, output, json=json, code=code), out, output)
        else:
            answer = _streamed(session, question, call, output, code=code)
            if code:
                _only_code(answer, output)
        print_spending(answer, output)
    return ExitCode.DONE if answer.status == "completed" else ExitCode.PARTIAL


def _extra(parameters: Sequence[str], output: Output) -> Mapping[str, Any]:
    """What ``--set`` adds to the request. Raises CommandError."""
    extra: dict[str, Any] = {}
    for given in parameters:
        path, equals, text = given.partition("=")
        *groups, last = path.split(".")
        if not equals or not all(name.isidentifier() for name in (*groups, last)):
            raise CommandError(output.say("bad_set", given=given))
        if path.partition(".")[0] in _NOT_SET:
            raise CommandError(output.say("set_has_option", name=path))
        place = extra
        for name in groups:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise CommandError(output.say("bad_set", given=given))
        place[last] = _json_or_text(text)
    return extra


def _json_or_text(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text


def _streamed(session: Session, question: str, call: CallOptions, output: Output, *, code: bool) -> Answer:
    """Write the answer, or only its code, to stdout as it comes; the line is ended also when it breaks off."""
    found, last = CodeFilter(), ""
    with session.stream(question, **call) as pieces:
        try:
            for piece in pieces:
                if shown := found.feed(piece) if code else piece:
                    output.result(shown, end="")
                    last = shown
            if code and (shown := found.finish()):
                output.result(shown, end="")
                last = shown
        finally:
            if last and not last.endswith("\n"):
                output.result("")
        return pieces.answer


def _rendered(answer: Answer, output: Output, *, json: bool, code: bool) -> str:
    if json:
        return answer.raw.model_dump_json(indent=2)
    return _only_code(answer, output) if code else answer.text


def _only_code(answer: Answer, output: Output) -> str:
    """The code of an answer. Raises CommandError (partial) where it has none or was cut off."""
    result = verify(answer, None, check=False)
    if isinstance(result, Rejected):
        raise CommandError(output.say("no_code", reason=result.reason), ExitCode.PARTIAL)
    return result.value


def _deliver(text: str, out: Path | None, output: Output) -> None:
    if out is None:
        output.result(text.rstrip("\n"))
        return
    write_atomically(out, text.rstrip("\n") + "\n")
    output.note("written", path=out)
