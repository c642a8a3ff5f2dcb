"""From a request to the items a model is shown."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.memory_store import MemoryStore
from tests.unit.server.lifecycle.parts import call, names, output, user

from kodo.server.lifecycle.call_pairs import check_calls, check_outputs
from kodo.server.lifecycle.compact import compact
from kodo.server.lifecycle.context import drop_oldest, history, render, seal_items, seal_reasoning
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.wire.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    Reasoning,
    SummaryText,
    text_of,
)
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import InputTokensDetails, OutputTokensDetails, ResponseUsage

SEALER = Sealer(b"k" * 64)


class Counter:
    """Ids that count."""

    def __init__(self) -> None:
        self.numbers = itertools.count()

    def new(self, prefix: str) -> str:
        """The next one."""
        return f"{prefix}_{next(self.numbers)}"


async def own(
    *items: Any, local: dict[str, tuple[ContextItem, ...]] | None = None, previous: str | None = None
) -> list[str]:
    """The ids of a history."""
    found = await history(
        MemoryStore(), Counter(), "ada", items, previous=previous, conversation=None, local=local or {}
    )
    return names(found.items)


async def test_an_id_that_comes_twice_is_made_new() -> None:
    """Items of one response have ids of their own."""
    assert await own(user("a").item, user("a").item) == ["a", "a_0"]


async def test_an_output_of_the_local_shell_that_is_made_new_names_its_call() -> None:
    """Clients give it the id of its call, which is the call's own."""
    made = LocalShellCall(id="lsh_1", call_id="call_1", action={})
    output = LocalShellCallOutput(id="lsh_1", output="x")
    found = await history(
        MemoryStore(), Counter(), "ada", (made, output), previous=None, conversation=None, local={}
    )
    check_outputs(found.items)
    check_calls(found.items)
    assert names(found.items) == ["lsh_1", "lsh_0"]


def test_behind_a_compaction_nothing_older_is_shown() -> None:
    """It stands for all that came before; of several the last one counts."""

    def sealed(name: str, *items: ContextItem) -> ContextItem:
        content = seal_items([one.item for one in items], owner="ada", sealer=SEALER)
        return ContextItem(item=Compaction(id=name, encrypted_content=content))

    items = (user("a"), sealed("one", user("A")), user("b"), sealed("two", user("A"), user("B")), user("c"))
    assert names(render(items, owner="ada", sealer=SEALER, images="note")) == ["A", "B", "c"]
    with pytest.raises(InvalidRequest) as caught:
        render(items, owner="eve", sealer=SEALER, images="note")
    assert caught.value.code == "invalid_encrypted_content"


def test_sealed_reasoning_comes_back_and_a_foreign_one_is_left_alone() -> None:
    """Clients that keep the state send it back; other servers' reasoning is passed over."""
    item = seal_reasoning(Reasoning(id="rs", summary=(SummaryText(text="hm"),)), owner="ada", sealer=SEALER)
    bare = ContextItem(item=Reasoning(id="rs", summary=(), encrypted_content=item.encrypted_content))
    foreign = ContextItem(item=Reasoning(id="rs", summary=(), encrypted_content="elsewhere"))
    first, second = render((bare, foreign), owner="ada", sealer=SEALER, images="note")
    assert isinstance(first.item, Reasoning)
    assert [part.text for part in first.item.content or ()] == ["hm"]  # type: ignore[union-attr]
    assert second is foreign


turns = st.lists(st.sampled_from(["user", "developer", "call"]), max_size=12)


@given(turns, st.lists(st.integers(1, 50), min_size=30, max_size=30), st.integers(0, 400))
def test_truncation_never_splits_a_call_from_its_output(
    kinds: list[str], sizes: list[int], excess: int
) -> None:
    """System and developer messages and the last item stay; what goes is the oldest, and enough of it if there is."""
    items: list[ContextItem] = []
    for number, kind in enumerate(kinds):
        items += [call(str(number)), output(str(number))] if kind == "call" else [user(str(number), kind)]
    items.append(user("last"))
    kept, gone = drop_oldest(tuple(items), sizes[: len(items)], excess)
    left = names(kept)
    assert len(kept) + gone == len(items)
    assert left[-1] == "last"
    assert set(left) >= {str(number) for number, kind in enumerate(kinds) if kind == "developer"}
    calls = {one.item.call_id for one in kept if isinstance(one.item, FunctionCall)}
    assert calls == {one.item.call_id for one in kept if isinstance(one.item, FunctionCallOutput)}
    freed = sum(size for one, size in zip(items, sizes, strict=False) if one not in kept)
    droppable = [one for one in items[:-1] if getattr(one.item, "role", "") != "developer"]
    assert freed >= excess or gone == len(droppable)


async def test_a_long_history_is_summarised_and_the_rest_kept_word_for_word() -> None:
    """Pinned messages first, then the summary, then the newest; the summary's cost is told."""
    asked: list[CreateResponse] = []
    cost = ResponseUsage(
        input_tokens=9,
        input_tokens_details=InputTokensDetails(),
        output_tokens=3,
        output_tokens_details=OutputTokensDetails(),
        total_tokens=12,
    )

    async def summarise(request: CreateResponse) -> tuple[str, ResponseUsage]:
        asked.append(request)
        return " the gist ", cost

    items = [user("rule", "developer"), user("old"), call("1"), output("1"), user("new"), user("newest")]
    done = await compact(
        items, [10] * 6, item_id="cmp", model="m", budget=40, owner="ada", sealer=SEALER, summarise=summarise
    )
    assert done.usage == cost
    texts = [text_of(one.item.content) for one in done.items if isinstance(one.item, Message)]
    assert texts[0] == "rule"
    assert texts[1].endswith("the gist")
    assert "3 earlier items" in texts[1]
    assert texts[2:] == ["new", "newest"]
    (request,) = asked
    assert (request.store, request.truncation) == (False, "auto")
    assert names(render((ContextItem(item=done.item),), owner="ada", sealer=SEALER, images="note")) == names(
        done.items
    )


async def test_compaction_keeps_a_call_with_its_output() -> None:
    """An output whose call is told in the summary is told there too."""

    async def summarise(request: CreateResponse) -> tuple[str, ResponseUsage]:
        assert len(request.input or ()) == 3
        return "x", ResponseUsage(
            input_tokens=0,
            input_tokens_details=InputTokensDetails(),
            output_tokens=0,
            output_tokens_details=OutputTokensDetails(),
            total_tokens=0,
        )

    done = await compact(
        [user("a"), call("1"), output("1"), user("b")],
        [10] * 4,
        item_id="cmp",
        model="m",
        budget=39,
        owner="ada",
        sealer=SEALER,
        summarise=summarise,
    )
    assert names(done.items)[1:] == ["b"]
