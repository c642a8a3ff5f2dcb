"""The report for a terminal: one block for each finding, with its lines of code.

Text from the code under review is printed as plain text: it cannot move the cursor or pass for kodo's own words.
"""

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from kodo.client.i18n import counted
from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport, Severity
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.report.visible import make_visible, visible
from kodo.jobs.report.words import checked_words, detail_text, run_line, word

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_LANGUAGES = {"py": "python", "pyi": "python", "js": "javascript", "ts": "typescript", "tsx": "tsx", "go": "go",
              "java": "java", "rs": "rust", "c": "c", "h": "c", "json": "json", "toml": "toml", "yaml": "yaml", "yml": "yaml"}  # fmt: skip  # a table


def render(report: ReviewReport, *, colour: bool = False, width: int = 100) -> str:
    """The report as text, with ANSI colours if asked."""
    console = Console(
        width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False, markup=False, soft_wrap=True,
        color_system="standard" if colour else None,
    )  # fmt: skip  # one row of settings
    report = make_visible(report)
    with console.capture() as captured:
        for finding in report.findings:
            _finding(console, finding, report.lang)
        _rest(console, report)
    return captured.get()


def _finding(console: Console, finding: Finding, lang: str) -> None:
    place = finding.place
    head = Text()
    head.append(visible(f"{place.path}:{place.line}"), style="bold")
    if place.column:
        head.append(f":{place.column}")
    head.append("  ")
    head.append(word(finding.severity, lang), style=_COLOURS[finding.severity])
    head.append(f" {word(finding.category, lang)} ")
    head.append(f"[{finding.rule}]", style="dim")
    if finding.evidence.kind is not EvidenceKind.RULE:
        head.append(
            f" ({word(finding.evidence.kind, lang)}: {visible(in_lang(finding.evidence.source, lang))})",
            style="magenta",
        )
    console.print(head)
    console.print(Text("  " + visible(finding.message)))
    if finding.code:
        suffix = place.path.rpartition(".")[2]
        code = Syntax(
            visible(finding.code), _LANGUAGES.get(suffix, "text"), line_numbers=True, start_line=place.line, theme="ansi_dark",
            background_color="default",
        )  # fmt: skip  # one row of settings
        console.print(code)
    if finding.evidence.kind is EvidenceKind.EXECUTION:
        detail = visible(detail_text(finding.evidence.detail, lang))
        console.print(Text("    " + detail.replace("\n", "\n    "), style="dim"))
    for other in finding.related:
        console.print(Text(visible(f"  {word('see', lang)}: {other.path}:{other.line}"), style="dim"))
    if finding.fix:
        fix = finding.fix
        console.print(
            Text(
                f"  {word('fix', lang)} ({word('checked by', lang)}: {checked_words(fix.checked, lang)}):",
                style="green",
            )
        )
        for line in finding.code.split("\n")[: fix.end_line - fix.line + 1] if fix.line == place.line else []:
            console.print(Text("  - " + visible(line), style="red"))
        for line in fix.text.removesuffix("\n").split("\n") if fix.text else []:
            console.print(Text("  + " + visible(line), style="green"))
    console.print()


def _rest(console: Console, report: ReviewReport) -> None:
    """What was not reviewed, what was silenced, and how it ended."""
    lang = report.lang
    if report.gaps:
        console.print(Text(word("not reviewed", lang) + ":", style="bold yellow"))
        for item in report.gaps:
            lines = f":{item.line}-{item.end_line}" if item.line else ""
            console.print(Text(visible(f"  {item.path}{lines}: {item.reason}")))
    for silenced in report.suppressed:
        if silenced.in_change:
            place = silenced.finding.place
            text = f"{word('suppressed here', lang)}: {place.path}:{place.line} [{silenced.finding.rule}] {silenced.by}"
            console.print(Text(visible(text), style="yellow"))
    if report.executed is not None:
        console.print(Text(run_line(report.executed, lang)))
        for what in report.executed.not_run:
            console.print(Text(visible(f"  {word('not run', lang)}: {what}"), style="dim"))
    for note in report.notes:
        console.print(Text(visible(note), style="yellow"))
    counts = f"{len(report.findings)} {word('count', lang)}"
    if report.known:
        counts += f", {len(report.known)} {word('known', lang)}"
    if report.suppressed:
        counts += f", {len(report.suppressed)} {word('suppressed', lang)}"
    console.print(
        Text(
            f"{word(report.state, lang)} · {counted(counts)} · {len(report.reviewed)} {word('reviewed', lang)}",
            style="bold",
        )
    )
