"""What became of every candidate: the counts after each step, the reasons, and the tests that are kept. Runs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kodo.jobs.testgen import render
from kodo.jobs.testgen.model import Funnel, KeptTest, Rejection
from kodo.jobs.testgen.select import Chosen
from kodo.jobs.testgen.tables import Layout
from kodo.jobs.testgen.trials import Test, Trials
from kodo.jobs.testgen.worker.jobs import Judged


def funnel(
    trials: Sequence[Trials], tests: Sequence[Test], judged: dict[str, Judged], kept: int, suspects: int
) -> Funnel:
    """The counts after each step."""
    parsed = [call for one in trials for call in one.calls]
    everything = [*parsed, *(call for one in trials for call in one.unparsed)]
    verdicts = [judged[test.written.name] for test in tests if test.written.name in judged]
    return Funnel(
        candidates=len(everything),
        from_model=sum(call.origin == "model" for call in everything),
        parses=len(parsed),
        runs=sum(one.runs for one in trials),
        deterministic=sum(one.stable for one in trials),
        adds=len(tests),
        collects=sum(one.collects for one in verdicts),
        passes_alone=sum(one.passes_alone for one in verdicts),
        passes_five_times=sum(one.passes_five_times for one in verdicts),
        kept=kept,
        suspects=suspects,
    )


def rejections(
    trials: Sequence[Trials], chosen: Iterable[Chosen], tests: Sequence[Test], judged: dict[str, Judged]
) -> tuple[Rejection, ...]:
    """Every candidate that is not in the file, counted by function and reason, with one of each."""
    taken = {one.call.id for one in chosen}
    rows: list[tuple[str, str, str]] = []
    for one in trials:
        rows += [(call.function, "it is not Python", call.expression) for call in one.unparsed]
        for call in one.calls:
            example = render.fill(call.expression, call)
            if call.id in one.rejected:
                rows.append((call.function, one.rejected[call.id], example))
            elif call.id not in taken:
                rows.append(
                    (
                        call.function,
                        "adds nothing: no new line or branch, no mutant killed that had survived",
                        example,
                    )
                )
    for test in tests:
        verdict = judged.get(test.written.name)
        if verdict is None or verdict.reason:
            rows.append(
                (
                    test.chosen.call.function,
                    verdict.reason if verdict else "it was not judged in time",
                    test.written.name,
                )
            )
    counts = Counter((function, reason) for function, reason, _ in rows)
    first = {(function, reason): example for function, reason, example in reversed(rows)}
    return tuple(
        Rejection(function, reason, count, first[function, reason])
        for (function, reason), count in counts.most_common()
    )


def kept_tests(tests: Sequence[Test], judged: dict[str, Judged], layout: Layout) -> tuple[KeptTest, ...]:
    """The tests that passed everything, each by the name that pytest has for it in the file."""
    out: list[KeptTest] = []
    for test in tests:
        verdict = judged.get(test.written.name)
        if verdict is not None and verdict.passes_five_times:
            call = test.chosen.call
            out.append(
                KeptTest(
                    layout.names[call.id],
                    call.function,
                    call.origin,
                    test.basis,
                    test.quote,
                    test.written.source,
                    len(test.chosen.new_arcs),
                    tuple(sorted(test.chosen.kills)),
                    verdict.seconds,
                )
            )
    return tuple(out)
