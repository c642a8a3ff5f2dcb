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
from kodo.server.lifecycle.compact import MAX_LINE_CHARS, NO_USAGE, compact
from kodo.server.lifecycle.context import drop_oldest, history, render, seal_items, seal_reasoning
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.wire.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    Reasoning,
    ShellCall,
    ShellCallOutput,
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


def local_pair(name: str) -> tuple[ContextItem, ContextItem]:
    """A call of the local shell whose output names it by ``id`` alone."""
    made = LocalShellCall(id=name, call_id=f"of-{name}", action={"type": "exec", "command": ["ls"]})
    return ContextItem(item=made), ContextItem(item=LocalShellCallOutput(id=name, output="{}"))


def conversation(kinds: list[str]) -> list[ContextItem]:
    """Items of these kinds; ``two`` stands for two calls, and behind both of them their outputs."""
    items: list[ContextItem] = []
    for number, kind in enumerate(map(str, kinds)):
        name = str(number)
        if kind == "call":
            items += [call(name), output(name)]
        elif kind == "two":
            items += [call(f"{name}a"), call(f"{name}b"), output(f"{name}a"), output(f"{name}b")]
        elif kind == "local":
            items += local_pair(name)
        else:
            items.append(user(name, kind))
    return items


def is_paired(items: list[ContextItem]) -> bool:
    """Whether there are calls with their outputs only."""
    check_calls(items)
    check_outputs(items)
    return True


turns = st.lists(st.sampled_from(["user", "developer", "call", "two", "local"]), max_size=10)
sizes_of = st.lists(st.integers(1, 50), min_size=45, max_size=45)


@given(turns, sizes_of, st.integers(0, 400))
def test_truncation_that_ends_in_an_output_keeps_its_call(
    kinds: list[str], sizes: list[int], excess: int
) -> None:
    """The newest result is what the model is to go on with."""
    items = [*conversation(kinds), call("x"), call("last"), output("x"), output("last")]
    kept, gone = drop_oldest(tuple(items), sizes[: len(items)], excess)
    assert kept[-1] is items[-1]
    assert items[-3] in kept
    assert is_paired(list(kept))
    assert len(kept) + gone == len(items)


@given(turns, sizes_of, st.integers(1, 400), st.booleans())
async def test_a_compaction_holds_pairs_only(
    kinds: list[str], sizes: list[int], budget: int, ends_in_output: bool
) -> None:
    """Parallel calls too, whose outputs stand behind other calls: what of them is too old is told in the summary, whole. The
    last item is kept, however long it is."""
    end = [call("x"), call("last"), output("x"), output("last")] if ends_in_output else [user("last")]
    items = [*conversation(kinds), *end]

    async def summarise(request: CreateResponse) -> tuple[str, ResponseUsage]:
        return "the gist", NO_USAGE

    done = await compact(
        items,
        sizes[: len(items)],
        item_id="cmp",
        model="m",
        budget=budget,
        owner="ada",
        sealer=SEALER,
        summarise=summarise,
    )
    assert is_paired(list(done.items))
    assert done.items[-1].item == items[-1].item


async def test_a_summary_is_made_of_what_was_called_and_answered() -> None:
    """Names and arguments, parts of outputs, and no more of any of them than fits a window."""
    parts = (InputText(text="of an MCP "), InputText(text="tool"))
    items = [
        ContextItem(item=FunctionCall(id="a", call_id="1", name="read", arguments='{"path":"x.py"}')),
        ContextItem(item=FunctionCallOutput(id="b", call_id="1", output=parts)),
        *local_pair("ls"),
        ContextItem(item=ShellCall(id="c", call_id="2", action={"commands": ["make"]})),
        ContextItem(
            item=ShellCallOutput(id="d", call_id="2", output=({"stdout": "built", "stderr": "warned"},))
        ),
        user("y" * 50_000),
        user("last"),
    ]
    told: list[str] = []

    async def summarise(request: CreateResponse) -> tuple[str, ResponseUsage]:
        told.extend(text_of(item.content) for item in request.input or () if isinstance(item, Message))
        return "the gist", NO_USAGE

    await compact(
        items,
        [10] * len(items),
        item_id="cmp",
        model="m",
        budget=20,
        owner="ada",
        sealer=SEALER,
        summarise=summarise,
    )
    assert told[:2] == ['assistant called a tool: read({"path":"x.py"})', "tool: of an MCP tool"]
    assert told[2] == 'assistant called a tool: shell({"type":"exec","command":["ls"]})'
    assert told[4:6] == ['assistant called a tool: shell({"commands":["make"]})', "tool: built\nwarned"]
    assert max(map(len, told)) < MAX_LINE_CHARS + 10


@given(turns, sizes_of, st.integers(0, 400))
def test_truncation_never_splits_a_call_from_its_output(
    kinds: list[str], sizes: list[int], excess: int
) -> None:
    """System and developer messages and the last item stay; what goes is the oldest, and enough of it if there is."""
    items = [*conversation(kinds), user("last")]
    kept, gone = drop_oldest(tuple(items), sizes[: len(items)], excess)
    left = names(kept)
    assert len(kept) + gone == len(items)
    assert left[-1] == "last"
    assert set(left) >= {str(number) for number, kind in enumerate(kinds) if kind == "developer"}
    assert is_paired(list(kept))
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
