"""``kodo agent``: parse, let the model work with the tools, print its answer."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.client.settings import McpServerSettings
    from kodo.jobs.agent import AgentResult, Tool

MESSAGES = Catalogue(
    {
        "no_task": ("give a TASK, or --resume", "TASK または --resume を指定してください"),
        "one_task": ("TASK and --resume are mutually exclusive", "TASK と --resume は同時に指定できません"),
        "no_tools": (
            "no tools: give --tools FILE or --mcp NAME",
            "ツールがありません。--tools FILE または --mcp NAME を指定してください",
        ),
        "no_server": (
            "--mcp {name}: not in [client.mcp_servers] of config.toml (there: {known})",
            "--mcp {name} は config.toml の [client.mcp_servers] にありません(登録済み: {known})",
        ),
        "no_run": ("there is no run {name}", "実行 {name} はありません"),
        "unknown_allow": (
            "--allow {name}: no tool has this name",
            "--allow {name}: この名前のツールはありません",
        ),
        "run": (
            "run {run}; after a break: kodo agent --resume {run} with the same options",
            "実行 {run}。中断後は同じオプションに --resume {run} を付けて再開できます",
        ),
        "call": ("  {name} {arguments}", "  {name} {arguments}"),
        "approve": ("run {name} {arguments}? [y/N] ", "{name} {arguments} を実行しますか? [y/N] "),
        "not_approved": (
            "not approved: {name} (allow it with --allow {name})",
            "未承認のため実行しません: {name}(--allow {name} で許可できます)",
        ),
        "stopped": ("stopped before the end: {stop}", "完了前に終了しました: {stop}"),
        "spent": (
            "{steps} answers, {calls} calls, {input:,} + {output:,} tokens, ${cost}",
            "応答 {steps} 回、呼び出し {calls} 回、{input:,} + {output:,} トークン、${cost}",
        ),
        "dry_run": (
            "at most {steps} requests of at most {tokens:,} output tokens each; tools: {names}",
            "最大 {steps} リクエスト、1 回あたり最大 {tokens:,} 出力トークンです。ツール: {names}",
        ),
    }
)

app = new_app()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """What the model may use."""

    tools: Annotated[
        list[Path] | None, typer.Option("--tools", "-t", help="A Python file with tools. May be repeated.")
    ] = None
    mcp: Annotated[
        list[str] | None, typer.Option("--mcp", help="An MCP server of the settings. May be repeated.")
    ] = None
    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", help="A tool that may change things without being asked; * for all. May be repeated."
        ),
    ] = None


@app.command()
@job
def agent(
    task: Annotated[str | None, typer.Argument(help="What is to be done.")] = None,
    *,
    offered: ToolOptions,
    instructions: Annotated[
        str | None, typer.Option("--instructions", "-s", help="Instructions for the model.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Continue a run that ended early, by its id.")
    ] = None,
    max_steps: Annotated[int, typer.Option("--max-steps", min=1, help="Answers of the model.")] = 40,
    max_seconds: Annotated[float, typer.Option("--max-seconds", min=1, help="Seconds of work.")] = 1800.0,
    max_output_tokens: Annotated[
        int, typer.Option(min=16, help="Maximum length of one answer, in tokens.")
    ] = 4096,
    options: JobOptions,
) -> ExitCode:
    """Let the model work on a task with tools: Python functions and MCP servers.

    A tool that changes things is asked about, or refused where nobody can be asked; --allow NAME approves it.

    Exits with 3 if a limit ended the work before the model was done.
    """
    from kodo.client.errors import KodoError
    from kodo.jobs.agent import Agent, AgentLimits, Journal, JournalError, Observer
    from kodo.jobs.agent.mcp_tools import mcp_tools
    from kodo.jobs.agent.user_tools import UserToolsError, load_tools

    output = options.output(MESSAGES)
    limits = AgentLimits(steps=max_steps, seconds=max_seconds, output_tokens=max_output_tokens)
    try:
        own = [tool for path in offered.tools or () for tool in load_tools(path)]
        with options.session("agent") as session:
            servers = _servers(session.settings.mcp_servers, offered.mcp or [], output)
            with mcp_tools(servers) as more:
                tools = [*own, *more]
                _check(tools, offered, output)
                if options.dry_run:
                    names = ", ".join(tool.name for tool in tools)
                    output.result(
                        output.say("dry_run", steps=max_steps, tokens=max_output_tokens, names=names)
                    )
                    return ExitCode.DONE
                with Journal(_journal(task, resume, output)) as journal:
                    task = task or _task_of(journal, resume, output)
                    worker = Agent(
                        session,
                        tools,
                        limits=limits,
                        approve=_approval(frozenset(offered.allowed or ()), output),
                        observer=Observer(
                            on_call=lambda name, text: output.note("call", name=name, arguments=text[:120])
                        ),
                        model=options.model,
                        **({"instructions": instructions} if instructions else {}),
                    )
                    result = worker.run(task, journal)
    except (UserToolsError, JournalError, ValueError) as error:
        if isinstance(error, KodoError):
            raise
        raise CommandError(output.error(error)) from error
    return _deliver(result, output)


def _deliver(result: AgentResult, output: Output) -> ExitCode:
    output.result(result.text)
    output.note(
        "spent",
        steps=result.asked,
        calls=result.calls,
        input=result.input_tokens,
        output=result.output_tokens,
        cost=result.cost,
    )
    if result.stop == "finished":
        return ExitCode.DONE
    output.warn("stopped", stop=result.stop)
    return ExitCode.PARTIAL


def _servers(
    known: Mapping[str, McpServerSettings], names: list[str], output: Output
) -> dict[str, McpServerSettings]:
    for name in names:
        if name not in known:
            raise CommandError(output.say("no_server", name=name, known=", ".join(sorted(known)) or "-"))
    return {name: known[name] for name in names}


def _check(tools: list[Tool], offered: ToolOptions, output: Output) -> None:
    """Refuse a run without tools, and an approval of a tool that is not there."""
    if not tools:
        raise CommandError(output.say("no_tools"))
    names = {tool.name for tool in tools} | {"*"}
    for name in offered.allowed or ():
        if name not in names:
            raise CommandError(output.say("unknown_allow", name=name))


def _journal(task: str | None, resume: str | None, output: Output) -> Path:
    """The journal's file: a new one, or that of the run to resume."""
    from kodo.home import kodo_home

    if task and resume:
        raise CommandError(output.say("one_task"))
    if not task and not resume:
        raise CommandError(output.say("no_task"))
    runs = kodo_home() / "agents"
    if resume:
        path = runs / f"{Path(resume).name}.jsonl"
        if not path.is_file():
            raise CommandError(output.say("no_run", name=resume))
        return path
    run = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    output.note("run", run=run)
    return runs / f"{run}.jsonl"


def _task_of(journal: Any, resume: str | None, output: Output) -> str:
    first = next(journal.of_kind("begin"), None)
    if first is None:
        raise CommandError(output.say("no_run", name=resume))
    return str(first["task"])


def _approval(allowed: frozenset[str], output: Output) -> Any:
    """The rule: what ``--allow`` names, else the person at the terminal, else nothing."""
    from kodo.jobs.agent import allow

    def ask(tool: Tool, arguments: Mapping[str, Any]) -> bool:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            output.warn("not_approved", name=tool.name)
            return False
        sys.stderr.write(output.say("approve", name=tool.name, arguments=str(dict(arguments))[:500]))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return allow(allowed, ask)
