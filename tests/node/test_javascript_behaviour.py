"""A changed JavaScript or TypeScript module is run in both versions with node; make test-node."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path

import pytest

from kodo.jobs.execution.sandboxed import GRACE
from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport, Severity
from kodo.jobs.review.job import review
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import PendingSource, VersionsSource

pytestmark = pytest.mark.node
OPTIONS = ReviewOptions(run=True, fixes=False, run_seconds=60)
SLUG = "export function slug(text, sep = '-') {\n  return text.toLowerCase().trim().split(/\\s+/).join(sep);\n}\n"


def _compare(before: dict[str, str], after: dict[str, str]) -> ReviewReport:
    return review(VersionsSource(before, {**before, **after}), OPTIONS, None)


def _compare_in(folder: Path, before: dict[str, str], after: dict[str, str]) -> ReviewReport:
    """The review of a change in a git repository, whose other files are there too."""
    for name, text in before.items():
        (folder / name).write_text(text)
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm one"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    for name, text in after.items():
        (folder / name).write_text(text)
    return review(PendingSource(folder), OPTIONS, None)


def _said(report: ReviewReport) -> list[Finding]:
    return [one for one in report.findings if one.rule == "kodo/behaviour-changed"]


def test_a_changed_result_is_shown_with_a_command_that_repeats_it(tmp_path: Path) -> None:
    """The remark is a question, stands on the touched line, and its command prints the new outcome."""
    new = SLUG.replace(".trim()", "")
    report = _compare({"slug.js": SLUG}, {"slug.js": new})
    (finding,) = _said(report)
    assert finding.severity is Severity.INFO and finding.evidence.kind is EvidenceKind.EXECUTION
    assert finding.place.line == 2 and "`slug(" in finding.message
    (tmp_path / "slug.js").write_text(new)
    command = shlex.split(finding.evidence.detail.partition("repeat in both versions: ")[2])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    after = finding.evidence.detail.partition("after:  ")[2].partition("\n")[0].strip("'")
    assert after in done.stdout + done.stderr


def test_calls_of_tests_are_seeds(tmp_path: Path) -> None:
    """An input that nothing but a test shows leads to the difference."""
    old = "exports.f = (a, b) => a.kind === 'zebra' && b.length > 3 ? 1 : 2;\n"
    test = "test('f', () => { expect(f({kind: 'zebra'}, 'long text')).toBe(1); });\n"
    report = _compare_in(tmp_path, {"m.js": old, "m.test.js": test}, {"m.js": old.replace("? 1", "? 3")})
    (finding,) = _said(report)
    assert "from 1 to 3" in finding.message


def test_a_caller_shows_a_helper_that_is_not_exported() -> None:
    """What changed is reached through the functions that name it."""
    old = "function half(x) { return x / 2; }\nexport const halves = (x) => [half(x), half(x)];\n"
    (finding,) = _said(_compare({"m.mjs": old}, {"m.mjs": old.replace("x / 2", "x / 4")}))
    assert "`halves(" in finding.message


def test_typescript_is_run_without_its_types(tmp_path: Path) -> None:
    """Types are taken out, and an import without a suffix finds the other module."""
    util = "export function last<T>(list: T[]): T | undefined { return list[list.length - 1]; }\n"
    main = "import { last } from './util';\nexport const end = (list: number[]): number => last<number>(list) ?? 0;\n"
    report = _compare_in(
        tmp_path, {"util.ts": util, "main.ts": main}, {"main.ts": main.replace("?? 0", "?? 1")}
    )
    (finding,) = _said(report)
    assert "`end(" in finding.message and "from 0 to 1" in finding.message


def test_what_does_not_end_is_said_and_the_rest_goes_on() -> None:
    """An endless loop costs its limit, and other functions are still compared."""
    old = "export const a = (n) => { while (n > 5) n -= 1; return n; };\nexport const b = (n) => n + 1;\n"
    report = _compare({"m.js": old}, {"m.js": old.replace("n -= 1", "n -= 0").replace("n + 1", "n + 2")})
    messages = " ".join(one.message for one in _said(report))
    assert "to no end" in messages and "`b(" in messages


def test_equal_behaviour_and_unsteady_results_say_nothing() -> None:
    """A rewrite without an effect is silent; time and random numbers stand still."""
    old = "export const f = (x) => [x, Date.now(), Math.random()];\n"
    report = _compare({"m.js": old}, {"m.js": old.replace("(x) => [x,", "(y) => [y,")})
    assert not _said(report)
    assert report.executed is not None and report.executed.inputs > 20 and not report.executed.unstable


@pytest.mark.parametrize("change", ["i", "i + 1"])
def test_slow_functions_keep_to_the_budget(change: str) -> None:
    """Calls that take all the time there is end with it, and a difference that could not be seen again is not reported."""
    old = "export function slow(i) {\n  const end = Date.now() + 400;\n  while (Date.now() < end);\n  return i;\n}\n"
    options = ReviewOptions(run=True, fixes=False, run_seconds=4)
    start = time.monotonic()
    source = VersionsSource(
        {"m.js": old}, {"m.js": old.replace("return i", f"return {change}").replace("400", "401")}
    )
    report = review(source, options, None)
    assert time.monotonic() - start < 4 + GRACE + 4  # the sandbox's proof and the rules are not part of it
    assert report.executed is not None and report.executed.seconds < 4 + GRACE


def test_a_module_that_cannot_be_imported_is_said() -> None:
    """The reason is node's own; that is no finding."""
    old = "import gone from 'not-installed';\nexport const f = (x) => x;\n"
    report = _compare({"m.js": old}, {"m.js": old.replace("=> x", "=> x + 1")})
    assert not _said(report) and report.executed is not None
    assert any("not-installed" in reason for reason in report.executed.not_run)


def test_the_network_and_the_host_are_out_of_reach(tmp_path: Path) -> None:
    """The code runs in the same sandbox as Python does."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    old = (
        "import { readFileSync } from 'node:fs';\n"
        f"export const f = (x) => {{ try {{ return readFileSync({str(secret)!r}, 'utf8'); }} catch {{ return 'none'; }} }};\n"
    )
    report = _compare({"m.js": old}, {"m.js": old.replace("'none'", "'nothing'")})
    (finding,) = _said(report)
    assert "from 'none' to 'nothing'" in finding.message and "s3cret" not in finding.evidence.detail
