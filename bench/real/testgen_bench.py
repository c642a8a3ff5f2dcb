"""Score ``kodo tests --no-model`` on modules of released packages, and print the figures as Markdown.

    python -m bench.real tests [--half building|aside|all] [--only NAME,NAME] [--out FILE]

Each module is tested where it is installed, the file that comes out is run by the plain pytest of that environment in
the sandbox, and every "may be a bug" is looked up among those that a person has judged. Seconds are wall time.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.real.packages import Environment, Module, modules
from bench.real.testgen_score import JUDGEMENTS, Accusation, ModuleScore, markdown
from kodo.home import kodo_home
from kodo.jobs.testgen import Options, TestgenError, TestReport, testgen
from kodo.sandbox import FILES, PYTHON, ResourceLimits, Sandbox, SandboxError

_PLAIN_SECONDS = 120.0


def main(arguments: Sequence[str]) -> int:
    """Run the bench; exit status 1 where a module ended in an exception that is no error of the job."""
    options = _parser().parse_args(arguments)
    home = options.home or kodo_home() / "bench-real"
    environment = Environment(home / "env")
    environment.install()
    names = frozenset(filter(None, options.only.split(",")))
    chosen = [
        one for one in modules() if options.half in ("all", one.half) and (not names or one.name in names)
    ]
    written = home / "generated"
    written.mkdir(parents=True, exist_ok=True)
    scores: list[ModuleScore] = []
    for module in chosen:
        scores.append(score_module(module, environment, written))
        print(_line(scores[-1]), file=sys.stderr, flush=True)
    (home / "scores.json").write_bytes(msgspec.json.format(msgspec.json.encode(scores)))
    text = markdown(scores, JUDGEMENTS.judged())
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(any(one.error.startswith("crash") for one in scores))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m bench.real tests", description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else ""
    )
    parser.add_argument(
        "--half", choices=("building", "aside", "all"), default="building", help="which half is scored"
    )
    parser.add_argument("--only", default="", help="names of packages, with commas between them")
    parser.add_argument(
        "--home", type=Path, help="where the environment and the written tests are (KODO_HOME/bench-real)"
    )
    parser.add_argument("--out", type=Path, help="write the Markdown to this file too")
    return parser


def score_module(module: Module, environment: Environment, written: Path) -> ModuleScore:
    """Generate tests for one module, run them plainly, and count."""
    started = time.monotonic()
    target = environment.packages / module.wheel.module
    try:
        report = testgen(target, Options())
    except TestgenError as error:
        return _failed(module, str(error), started)
    except Exception as error:  # noqa: BLE001 - a crash of the job is what the bench is to count
        return _failed(module, f"crash: {type(error).__name__}: {error}", started)
    seconds = time.monotonic() - started
    name = f"test_{module.name}.py"
    (written / name).write_text(report.text, encoding="utf-8")
    (written / f"{module.name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    green, red = run_plainly(report.text, environment) if report.text else (0, 0)
    return _scored(module, report, (green, red), seconds)


def _failed(module: Module, why: str, started: float) -> ModuleScore:
    return ModuleScore(module.name, module.half, seconds=time.monotonic() - started, error=why)


def _scored(module: Module, report: TestReport, ran: tuple[int, int], seconds: float) -> ModuleScore:
    return ModuleScore(
        module.name,
        module.half,
        functions=len(report.functions),
        kept=len(report.kept),
        green=ran[0],
        red=ran[1],
        lines=report.after.line_rate if report.kept else 0.0,
        branches=report.after.branch_rate if report.kept else 0.0,
        mutation=report.after.mutation_score if report.kept else 0.0,
        characterisation=sum(one.characterisation for one in report.kept),
        accusations=tuple(
            Accusation(module.name, one.function, one.call, one.expected, one.got, one.quote)
            for one in report.suspects
        ),
        seconds=seconds,
    )


def run_plainly(text: str, environment: Environment) -> tuple[int, int]:
    """Tests passed and not passed under the environment's own pytest, in the sandbox.

    Raises:
        SandboxError: pytest did not come to an end.
    """
    sandbox = Sandbox(python=environment.python, readable=(environment.folder,))
    result = sandbox.run(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{FILES}/test_generated.py"],
        files={"test_generated.py": text},
        limits=ResourceLimits(wall_seconds=_PLAIN_SECONDS, cpu_seconds=int(_PLAIN_SECONDS)),
    )
    if result.timed_out:
        raise SandboxError("pytest did not come to an end")
    last = (result.stdout.strip().splitlines() or [""])[-1]
    count: Callable[[str], int] = lambda word: sum(map(int, re.findall(rf"(\d+) {word}", last)))  # noqa: E731 - one line, used twice
    return count("passed"), count("failed") + count("error")


def _line(score: ModuleScore) -> str:
    figures = f"lines {score.lines:.2f} branches {score.branches:.2f} mutants {score.mutation:.2f}"
    return (
        f"{score.name} ({score.half}): {score.kept} kept, {score.green} green, {figures}, "
        f"{len(score.accusations)} accusations, {score.seconds:.0f} s {score.error}"
    )
