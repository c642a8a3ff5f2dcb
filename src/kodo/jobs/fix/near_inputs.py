"""Run what a frozen test looks at in both versions outside of a test runner, as it stands and with other values.

A patch that asks who is calling changes nothing here at all; what the results say otherwise is judged by
``generality``. Each call is made in a process of its own.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from kodo.jobs.execution.model import Call, ExecutionError
from kodo.jobs.execution.sandboxed import WorkerEnded
from kodo.jobs.execution.target import TargetModule, load
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.fix.cross_check import Recorded
from kodo.jobs.fix.frozen_calls import calls_of_frozen
from kodo.jobs.fix.generality import ENOUGH, Comparison, Family, Trial
from kodo.jobs.fix.guards import decided
from kodo.jobs.fix.near_calls import arguments, looked_at, near_calls, wider_calls
from kodo.jobs.fix.new_conditions import new_conditions
from kodo.jobs.fix.reproduction import Reproduction
from kodo.jobs.fix.special_means import special_means
from kodo.jobs.fix.versions import Both, Known, Version, Versions, does_the_same
from kodo.jobs.review.languages import is_test
from kodo.sandbox import Sandbox

MAX_MODULES = 3
MAX_OWN = 8
FEW = 12
"""Calls that do something else; fewer are varied again, to see how far the change goes."""
CHECKED = 18
"""Changed calls that are made again under pytest and with choices decided beforehand, each in a process of its own."""
MAX_DECIDED = 30
"""Texts with choices decided beforehand; each is run by itself."""
Near = tuple[int, Call, Both]
"""Which call of the test it is near, the call, and what both versions gave."""


def compare_near(
    base: Path,
    tree: Path,
    changed: Sequence[str],
    frozen: Reproduction,
    sandbox: Sandbox,
    packages: Sequence[str],
    known: Known | None = None,
) -> Comparison | None:
    """Run what the frozen test looks at, and variations of it, in both versions.

    Args:
        base, tree: the project before and with the patch.
        changed: the paths that the patch changes.
        packages: folders of packages that the sandbox can read.
        known: what calls did before the patch, of an earlier patch of the same base; it grows.

    Returns:
        None where nothing of the test can be run without a test runner, or not all that it checks, or where too few
        calls with other values can be made to say anything.
    """
    modules = [
        path for path in changed if path.endswith(".py") and not is_test(path) and (base / path).is_file()
    ]
    own = list(calls_of_frozen(frozen, base))[:MAX_OWN]
    if not own or not modules:
        return None
    known = {} if known is None else known
    texts = _texts(base, tree, changed)
    for path in modules[:MAX_MODULES]:
        try:
            before, after = load(base / path), load(tree / path)
            versions = Versions(
                Version(base, _location(before, base, frozen, packages), known),
                Version(tree, _location(after, tree, frozen, packages)),
                sandbox,
            )
            if compared := _compared(versions, own):
                found, sample = compared
                found = replace(
                    found,
                    known=_constants(before.source),
                    added=special_means(*texts, frozen.text),
                    asked=new_conditions(*map(ast.parse, texts)),
                    expects_error=re.search(r"raises|except\b", frozen.text, re.IGNORECASE) is not None,
                )
                if found.is_shown_once() and not found.objection():
                    found = replace(found, only_guards=_only_guards(versions, texts[0], changed, sample))
                return found
        except WorkerEnded:
            return Comparison((), finished=False)
        except ExecutionError:
            continue
    return None


def _texts(base: Path, tree: Path, changed: Sequence[str]) -> tuple[str, str]:
    """What all files of the patch together were and are; a new file is a part of it."""
    paths = [path for path in changed if path.endswith(".py") and not is_test(path)]
    before, after = ("\n".join(_parsable(root / path) for path in paths) for root in (base, tree))
    return before, after


def _parsable(path: Path) -> str:
    """The text of a module; empty where there is none that can be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
        ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return ""
    return text


def _only_guards(versions: Versions, before: str, changed: Sequence[str], sample: Sequence[Near]) -> bool:
    """Whether the patch with its choices decided beforehand, in one of its files, does what the version before does.

    So it may with more choices than can be tried.
    """
    calls, expected = [call for _, call, _ in sample], [both.before for _, _, both in sample]
    tried = 0
    after = versions.after
    for path in changed:
        text = _parsable(after.root / path) if path.endswith(".py") and not is_test(path) else ""
        for other in decided(ast.parse(before), text):
            tried += 1
            if tried > MAX_DECIDED:
                return True
            with TemporaryDirectory(prefix="kodo-near-") as folder:
                copy = Path(folder) / "project"
                shutil.copytree(after.root, copy, symlinks=True)
                (copy / path).write_text(other, encoding="utf-8")
                Path(folder).chmod(0o755)
                if does_the_same(Version(copy, after.where), calls, expected, versions.sandbox):
                    return True
    return False


def _compared(versions: Versions, own: Sequence[Call]) -> tuple[Comparison, Sequence[Near]] | None:
    """The calls of the test, those near them, and where few of these do something else, those near the few; and a sample of all."""
    families = near_calls(own)
    near, wider = [call for family in families for call in family], wider_calls(own)
    ran, finished = versions.run([*own, *near, *wider])
    if finished and not any(at in ran for at in range(len(own))):
        return None
    whose = [at for at, family in enumerate(families) for _ in family]
    start, end = len(own), len(own) + len(near)
    found = [(whose[at - start], near[at - start], ran[at]) for at in ran if start <= at < end]
    found += _varied_again(versions, found, [*own, *near])
    seen = [(at, call, ran[at]) for at, call in enumerate(own) if at in ran]
    others = tuple(_trial(call, call, ran[end + at]) for at, call in enumerate(wider) if end + at in ran)
    if finished and len(found) + len(others) < ENOUGH:
        return None
    sample = list(_sample(seen, found))
    recorded = Recorded(versions.after.where, tuple((call, both.after) for _, call, both in sample))
    comparison = Comparison(
        tuple(_families(seen, found)), others, finished=finished or len(found) >= ENOUGH, recorded=recorded
    )
    return comparison, sample


def _families(own: Sequence[Near], near: Sequence[Near]) -> Iterator[Family]:
    """Each call of the test with those near it."""
    for at, call, both in own:
        trials = tuple(_trial(call, one, other) for of, one, other in near if of == at)
        yield Family(_trial(call, call, both), trials, looked_at(call), bool(arguments(call)))


def _sample(own: Sequence[Near], near: Sequence[Near]) -> Iterator[Near]:
    """The calls that are made again: the test's, those that changed, and some that did not."""
    changed = [one for one in near if one[2].differs]
    left = [one for one in near if not one[2].differs]
    for some, most in ((own, len(own)), (changed, CHECKED), (left, CHECKED // 3)):
        yield from some[:: max(1, -(-len(some) // max(1, most)))]


def _varied_again(versions: Versions, found: Sequence[Near], known: Sequence[Call]) -> list[Near]:
    """The calls near those that do something else, where these are few, to see how far the change goes."""
    few = [(at, call) for at, call, both in found if both.differs]
    if not 0 < len(few) < FEW:
        return []
    again = near_calls([call for _, call in few], known)
    more = [(at, call) for (at, _), family in zip(few, again, strict=True) for call in family]
    ran, _ = versions.run([call for _, call in more])
    return [(*more[at], both) for at, both in ran.items()]


def _trial(own: Call, call: Call, both: Both) -> Trial:
    values = tuple(arg.source for arg in call.args)
    aside = any(values[at] != arg.source for at, arg in enumerate(own.args) if at not in looked_at(own))
    before, after = both.before, both.after
    return Trial(
        values,
        aside,
        both.differs,
        _shown(before),
        _shown(after),
        before.kind != "value",
        after.kind != "value",
        after.accident,
    )


def _shown(outcome: Outcome) -> str:
    """The result as source or text, or the name of the error."""
    return outcome.parts.get("result", outcome.parts.get("raises", outcome.kind))


def _constants(source: str) -> frozenset[str]:
    return frozenset(
        repr(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)
    )


def _location(
    module: TargetModule, root: Path, frozen: Reproduction, packages: Sequence[str]
) -> ModuleLocation:
    root = root.resolve()
    return ModuleLocation(
        module.path.relative_to(root).as_posix(),
        module.import_root.relative_to(root).as_posix(),
        module.name,
        "",
        tuple(sorted(module.defined)),
        (frozen.path.rpartition("/")[0], "src", *packages),
        module.imported,
    )
