"""The fold: whatever an engine says, in whatever order, the events and the Response agree."""

from __future__ import annotations

import gc
import weakref

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.server.lifecycle.parts import initial_response

from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.context import seal_reasoning
from kodo.server.lifecycle.ports import CallDelta, CallStart, ReasoningDelta, TextDelta, Usage
from kodo.server.lifecycle.response_fold import ResponseFold
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.lifecycle.status import FINAL
from kodo.server.wire import events as ev
from kodo.server.wire.hosted_events import OfHostedItem, WebSearchCompleted, WebSearchSearching
from kodo.server.wire.hosted_items import WebSearchCall
from kodo.server.wire.items import FunctionCall, Message, OutputText, Reasoning, text_of

words = st.text(max_size=6)
ids = st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)
kinds = st.sampled_from(["function", "custom", "local_shell", "shell", "apply_patch"])
calls = st.builds(
    lambda start, deltas: [start, *deltas],
    st.builds(CallStart, call_id=words, name=words, kind=kinds, tokens=ids),
    st.lists(st.builds(CallDelta, text=words, tokens=ids), max_size=3),
)
single = st.one_of(
    st.builds(TextDelta, text=words, tokens=ids),
    st.builds(ReasoningDelta, text=words, tokens=ids),
    st.just(event_log.Began()),
    st.just(event_log.Restarted()),
)
middles = st.lists(st.one_of(single.map(lambda one: [one]), calls), max_size=12).map(
    lambda groups: [entry for group in groups for entry in group]
)
ends = st.builds(
    event_log.Ended,
    status=st.sampled_from(sorted(FINAL)),
    at=st.floats(0, 1e9),
    usage=st.none() | st.builds(Usage, input=st.integers(0, 99), output=st.integers(0, 99)),
    reason=st.none() | st.just("max_output_tokens"),
    error=st.none() | st.just(("server_error", "broke")),
    tokens=ids,
)


@st.composite
def turns(draw: st.DrawFn) -> list[event_log.Entry]:
    """Turns that call hosted tools: each call begins, has events and mostly a result; the last turn is any."""
    entries: list[event_log.Entry] = [event_log.Began()]
    steps = 0
    for _ in range(draw(st.integers(0, 3))):
        entries += draw(middles)
        count = draw(st.integers(1, 3))
        for number in range(count):
            call_id = f"call_{steps + number}"
            entries.append(
                CallStart(call_id=call_id, name="look", kind=event_log.HOSTED_CALL, tokens=(number,))
            )
            entries.append(CallDelta(text=draw(words)))
        entries.append(event_log.TurnEnded(usage=Usage(input=1, output=1)))
        for number in range(count):
            begun = event_log.StepBegan(
                call=number,
                call_id=f"call_{steps + number}",
                name="look",
                arguments="{}",
                entry=0,
                effect="read",
                item=WebSearchCall(status="in_progress"),
            )
            entries.append(begun)
        running = list(range(steps, steps + count))
        while running:
            step = draw(st.sampled_from(running))
            if draw(st.booleans()):
                entries.append(event_log.StepEvent(step=step, event=WebSearchSearching()))
            else:
                running.remove(step)
                more = (WebSearchCall(status="completed"),) if draw(st.booleans()) else ()
                output = draw(st.none() | words)
                source = {"type": "url_citation", "url": "https://a.example/", "title": "A"}
                entries.append(
                    event_log.StepEnded(
                        step=step,
                        item=WebSearchCall(status="completed"),
                        output=output,
                        events=(WebSearchCompleted(),),
                        more=more,
                        sources={"[a]": source} if draw(st.booleans()) else {},
                    )
                )
            if draw(st.integers(0, 20)) == 0:
                return [*entries, draw(ends)]  # cancelled in the middle of a step
        steps += count
    return [
        *entries,
        *draw(st.lists(st.builds(TextDelta, text=st.text("[ab] ", max_size=5)), max_size=6)),
        draw(ends),
    ]


logs = st.builds(lambda middle, end: [event_log.Began(), *middle, end], middles, ends)
SEALER = Sealer(b"k" * 64)


def fold(
    entries: list[event_log.Entry], *, background: bool = False, seal: bool = False
) -> tuple[ResponseFold, list[ev.StreamEvent]]:
    """All events of a log."""
    folded = ResponseFold(
        initial_response(background=background),
        (lambda item, provider: seal_reasoning(item, provider, owner="ada", sealer=SEALER)) if seal else None,
    )
    events = folded.start()
    for entry in entries:
        events.extend(folded.feed(entry))
    return folded, events


@given(logs, st.booleans())
def test_numbers_are_contiguous_and_there_is_one_end(
    entries: list[event_log.Entry], background: bool
) -> None:
    """0, 1, 2 …; the last event, and only that, is terminal, and carries the Response as it stands."""
    folded, events = fold(entries, background=background)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [isinstance(event, ev.TERMINAL) for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].response == folded.response  # type: ignore[union-attr]
    assert folded.response.status == entries[-1].status  # type: ignore[union-attr]


@given(logs)
def test_the_response_is_the_fold_of_its_events(entries: list[event_log.Entry]) -> None:
    """Items are announced, then done, in order, under the same id; the final output is what was done."""
    folded, events = fold(entries)
    done = [event for event in events if isinstance(event, ev.OutputItemDone)]
    added = [event for event in events if isinstance(event, ev.OutputItemAdded)]
    assert tuple(event.item for event in done) == folded.response.output
    assert [event.output_index for event in done] == list(range(len(done)))
    assert [event.item.id for event in added] == [event.item.id for event in done]
    assert len({event.item.id for event in done}) == len(done)
    assert len([one.tokens for one in folded.output]) == len(done)
    deltas: dict[str, str] = {}
    for event in events:
        if isinstance(
            event, ev.OutputTextDelta | ev.ReasoningSummaryTextDelta | ev.FunctionCallArgumentsDelta
        ):
            deltas[event.item_id] = deltas.get(event.item_id, "") + event.delta
    for item in folded.response.output:
        said = deltas.get(str(item.id), "")
        if isinstance(item, Message):
            assert text_of(item.content) == said
        elif isinstance(item, FunctionCall):
            assert item.arguments == said
        elif isinstance(item, Reasoning):
            assert "".join(part.text for part in item.summary) == said


@given(logs, st.booleans())
def test_folding_the_stored_log_again_gives_the_same_bytes(
    entries: list[event_log.Entry], seal: bool
) -> None:
    """Through the store's encoding, in one go or in two halves: no clock, no randomness."""
    _, events = fold(entries, seal=seal)
    stored = [event_log.decode(event_log.encode(entry)) for entry in entries]
    assert stored == entries
    _, again = fold(stored, seal=seal)
    assert [ev.sse(event) for event in again] == [ev.sse(event) for event in events]


@given(logs)
def test_every_token_is_kept_beside_its_item(entries: list[event_log.Entry]) -> None:
    """Ids of all entries, in order, once."""
    folded, _ = fold(entries)
    given_ids = []
    opened = False
    for entry in entries:
        if isinstance(entry, TextDelta | ReasoningDelta | CallStart | CallDelta):
            opened = True
            given_ids += entry.tokens
        elif isinstance(entry, event_log.Restarted):
            opened = False
        elif isinstance(entry, event_log.Ended) and opened:
            given_ids += entry.tokens
    assert [token for tokens in [one.tokens for one in folded.output] for token in tokens] == given_ids


def test_what_the_engine_said_is_what_came_since_the_last_restart() -> None:
    """Marks of our own are not what the engine said."""
    one, two = TextDelta(text="a"), TextDelta(text="b")
    assert event_log.events_so_far([event_log.Queued(), event_log.Began(), one, event_log.Began(), two]) == [
        one,
        two,
    ]
    assert event_log.events_so_far([event_log.Began(), one, event_log.Restarted(), two]) == [two]


def test_a_response_is_decoded_as_it_was_encoded() -> None:
    """What is stored is what is shown."""
    folded, _ = fold([event_log.Began(), TextDelta(text="x"), event_log.Ended(status="completed", at=2.0)])
    data = msgspec.json.encode(folded.response)
    assert msgspec.json.encode(msgspec.json.decode(data, type=type(folded.response))) == data


@given(turns())
def test_the_steps_of_tools_keep_events_and_response_together(entries: list[event_log.Entry]) -> None:
    """Numbers without a gap; each item is added once and done once, in its place; its events stand between; markers are
    in no text; every position of a citation is inside its text; the same log gives the same events again."""
    folded, events = fold(entries)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    added = {event.output_index: event.item for event in events if isinstance(event, ev.OutputItemAdded)}
    done = {event.output_index: event.item for event in events if isinstance(event, ev.OutputItemDone)}
    assert sorted(added) == sorted(done) == list(range(len(folded.response.output)))
    assert tuple(done[index] for index in sorted(done)) == folded.response.output
    assert len({item.id for item in folded.response.output}) == len(folded.response.output)
    open_items: set[str] = set()
    for event in events:
        if isinstance(event, ev.OutputItemAdded):
            open_items.add(str(event.item.id))
        elif isinstance(event, ev.OutputItemDone):
            open_items.remove(str(event.item.id))
        elif isinstance(event, OfHostedItem):
            assert event.item_id in open_items
    marked = any(isinstance(entry, event_log.StepEnded) and entry.sources for entry in entries)
    last = folded.response.output[-1] if folded.response.output else None
    if isinstance(last, Message) and marked:
        (part,) = last.content
        assert isinstance(part, OutputText)
        written = "".join(entry.text for entry in entries if isinstance(entry, TextDelta))
        assert "[a]" not in part.text or "[[a]a]" in written  # what is left when the inner one is cut
        for one in part.annotations:
            assert 0 <= one["start_index"] <= one["end_index"] <= len(part.text)
    assert [msgspec.json.encode(event) for event in fold(entries)[1]] == [
        msgspec.json.encode(event) for event in events
    ]
    decoded = [event_log.decode(event_log.encode(entry)) for entry in entries]
    assert decoded == entries


def test_a_fold_that_nobody_has_any_more_is_gone_at_once() -> None:
    """It is in no circle: each request would leave one to Python's garbage collections, which stop the whole server."""
    fold = ResponseFold(initial_response())
    fold.start()
    for entry in (event_log.Began(), TextDelta(text="Yes."), event_log.Ended(status="completed", at=1.0)):
        fold.feed(entry)
    seen = weakref.ref(fold)
    gc.disable()
    try:
        del fold
        assert seen() is None
    finally:
        gc.enable()
