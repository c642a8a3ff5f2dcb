"""What every store promises to the lifecycle, run over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.contract.stores import (
    ASCENDING,
    STORES,
    answered,
    context_ids,
    document,
    item_ids,
    replay,
    response,
    said,
    turn,
)

from kodo.server.lifecycle.errors import Conflict, NotFound
from kodo.server.lifecycle.ports import ProviderState
from kodo.server.lifecycle.records import (
    DocumentRow,
    ItemRow,
    KeyCharge,
    KeyRow,
    KeySpending,
    Page,
    ResponseRow,
    RetentionRule,
    Unless,
)
from kodo.server.lifecycle.store_ports import Store


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = STORES[request.param](tmp_path)
    await made.open()
    yield made
    await made.close()


# --- responses -------------------------------------------------------------------------------------------------------


async def test_a_response_comes_back_as_it_was_stored(store: Store) -> None:
    """Every column, tokens and other scripts survive the round trip."""
    row = response("r", parent="unknown", conversation="c", background=True, status="queued")
    item = said("i", "こんにちは 🎉", tokens=(1, 2))
    await store.create_response(row, [item])
    assert await store.get_response("ada", "r") == row
    inputs, output = await store.response_items("ada", "r")
    assert (list(inputs), list(output)) == ([item], [])


async def test_a_finished_response_has_its_output_and_new_body(store: Store) -> None:
    """finish_response replaces status, request and response, and adds the output behind the input."""
    await store.create_response(response("r"), [said("i")])
    done = response("r", status="completed", body=b'{"done":true}')
    await store.finish_response(done, [answered("o1"), answered("o2", tokens=None)])
    assert await store.get_response("ada", "r") == done
    inputs, output = await store.response_items("ada", "r")
    assert (list(inputs), list(output)) == ([said("i")], [answered("o1"), answered("o2", tokens=None)])


async def test_a_response_that_is_stored_at_its_end_is_as_one_that_was_stored_twice(store: Store) -> None:
    """store_response leaves what create_response and finish_response would, the conversation's items too."""
    await store.put_document(document("c"))
    row = response("r", conversation="c", status="completed", body=b'{"done":true}')
    await store.store_response(row, [said("i")], [answered("o")], log=(0, [b"x", b"y"]))
    assert await store.get_response("ada", "r") == row
    inputs, output = await store.response_items("ada", "r")
    assert (list(inputs), list(output)) == ([said("i")], [answered("o")])
    assert list(await store.read_log("r")) == [b"x", b"y"]
    assert await context_ids(store, "r") == ["i", "o"]
    assert await item_ids(store, "c") == ["i", "o"]
    assert list(await store.unfinished()) == []


async def test_a_response_that_is_stored_at_its_end_is_stored_whole_or_not(store: Store) -> None:
    """A taken id is a conflict, and the response that has it stays as it was."""
    await turn(store, "r")
    before = await store.get_response("ada", "r")
    with pytest.raises(Conflict):
        await store.store_response(response("r", status="completed"), [said("x")], [answered("y")])
    assert await store.get_response("ada", "r") == before


async def test_what_a_server_wants_back_with_an_item_is_kept_with_it(store: Store) -> None:
    """The provider's state comes back with the item wherever it is read, and stands in no item's JSON."""
    state = ProviderState(origin="m@here", fields={"id": "long", "extra_content": {"a": ["\n", "é"]}})
    plain, item = said("i"), answered("o")
    kept = ItemRow(id="o", context=msgspec.structs.replace(item.context, provider=state))
    await store.create_response(response("r"), [plain])
    await store.finish_response(response("r", status="completed"), [kept])
    _, output = await store.response_items("ada", "r")
    chain = await store.chain("ada", "r")
    assert list(output) == [kept]
    assert chain is not None
    assert [context.provider for context in chain] == [None, state]
    assert await store.get_item("ada", None, "o") == kept


@pytest.mark.parametrize("odd", ["a\0b", "\0", "\uf8ff0", "'; --", "%s ? %(x)s", "🎉"])
async def test_an_id_may_be_any_text(store: Store, odd: str) -> None:
    """Ids that a client names: of an item, a response, a conversation, a key; U+0000 too, and what an escape of it would be."""
    await store.put_document(document(odd, kind=odd, owner=odd, parent=odd, status=odd))
    assert await store.get_document(odd, odd, odd) == document(
        odd, kind=odd, owner=odd, parent=odd, status=odd
    )
    row = response(odd, owner=odd, parent=odd, conversation=odd)
    await store.create_response(row, [said(odd, odd)])
    await store.finish_response(msgspec.structs.replace(row, status="completed"), [answered(f"{odd}o", odd)])
    assert await item_ids(store, odd, odd) == [odd]
    assert await store.get_item(odd, odd, odd) == said(odd, odd)
    assert [context.item.id for context in await store.all_items(odd, odd)] == [odd, f"{odd}o"]
    found = await store.get_response(odd, odd)
    assert found == msgspec.structs.replace(row, status="completed")
    assert await store.claim_replay(odd, odd, replay(), expired=0) is None
    assert await store.claim_replay(odd, odd, replay(), expired=0) == replay()
    assert await store.get_response("a", odd) is None


async def test_a_missing_response_is_none_everywhere(store: Store) -> None:
    """Nothing raises for an id that is not there."""
    assert await store.get_response("ada", "r") is None
    assert [list(side) for side in await store.response_items("ada", "r")] == [[], []]
    assert list(await store.read_log("r")) == []
    assert await store.chain("ada", "r") is None
    assert await store.delete_response("ada", "r") is False
    await store.finish_response(response("r", status="completed"), [answered("o")])
    await store.append_log("r", 0, [b"x"])
    assert await store.get_response("ada", "r") is None


async def test_somebody_elses_response_is_not_there(store: Store) -> None:
    """Another owner reads, continues, changes and deletes nothing."""
    await turn(store, "r")
    assert await store.get_response("bob", "r") is None
    assert [list(side) for side in await store.response_items("bob", "r")] == [[], []]
    assert await store.chain("bob", "r") is None
    assert await store.delete_response("bob", "r") is False
    assert await store.get_item("bob", None, "r-in") is None
    with pytest.raises(NotFound):
        await store.list_items("bob", "r", ASCENDING)
    await turn(store, "child", parent="r", owner="bob")
    assert await store.chain("bob", "child") is None
    assert await context_ids(store, "r") == ["r-in", "r-out"]


async def test_a_response_id_is_taken_once(store: Store) -> None:
    """A second response of the same id is a Conflict and leaves the first as it was."""
    await store.create_response(response("r"), [said("i")])
    with pytest.raises(Conflict):
        await store.create_response(response("r", status="queued"), [said("j")])
    row = await store.get_response("ada", "r")
    assert row is not None
    assert row.status == "in_progress"
    assert await item_ids(store, "r") == ["i"]


async def test_two_items_of_one_id_are_refused_whole(store: Store) -> None:
    """The Conflict leaves no half response."""
    with pytest.raises(Conflict):
        await store.create_response(response("r"), [said("i"), said("i")])
    assert await store.get_response("ada", "r") is None


async def test_a_final_response_does_not_change(store: Store) -> None:
    """A second finish does not overwrite the first."""
    await store.create_response(response("r"), [])
    done = response("r", status="cancelled")
    await store.finish_response(done, [answered("o")])
    await store.finish_response(response("r", status="completed"), [answered("p")], log=(0, [b"late"]))
    assert await store.get_response("ada", "r") == done
    assert [row.id for row in (await store.response_items("ada", "r"))[1]] == ["o"]
    assert list(await store.read_log("r")) == []


async def test_unfinished_are_those_that_are_not_final_oldest_first(store: Store) -> None:
    """Of every owner, after a restart; finished, deleted and created-final ones are not among them."""
    await store.create_response(response("b", owner="bob", status="queued"), [])
    await store.create_response(response("a"), [])
    await store.create_response(response("born-final", status="completed"), [])
    await store.create_response(response("deleted"), [])
    await store.delete_response("ada", "deleted")
    await turn(store, "done")
    await store.close()
    await store.open()
    assert [row.id for row in await store.unfinished()] == ["b", "a"]


async def test_a_deleted_response_stays_deleted_when_it_finishes(store: Store) -> None:
    """A finish behind a delete brings nothing back."""
    await store.create_response(response("r"), [said("i")])
    assert await store.delete_response("ada", "r") is True
    await store.finish_response(response("r", status="completed"), [answered("o")], log=(0, [b"x"]))
    assert await store.get_response("ada", "r") is None
    assert await store.get_item("ada", None, "i") is None
    assert (await store.stats())["rows"]["items"] == 0


# --- the log ---------------------------------------------------------------------------------------------------------


async def test_the_log_is_read_from_any_number(store: Store) -> None:
    """Chunks of any size, read behind any entry, are one sequence."""
    await store.create_response(response("r"), [])
    entries = [b"%d" % number for number in range(20)]
    for first, last in ((0, 1), (1, 7), (7, 7), (7, 19)):
        await store.append_log("r", first, entries[first:last])
    await store.finish_response(response("r", status="completed"), [], log=(19, entries[19:]))
    for after in range(-1, 21):
        assert list(await store.read_log("r", after)) == entries[after + 1 :]


async def test_log_entries_that_are_there_stay(store: Store) -> None:
    """An overlapping append adds only what is new."""
    await store.create_response(response("r"), [])
    await store.append_log("r", 0, [b"a", b"b", b"c"])
    await store.append_log("r", 1, [b"B", b"C", b"D"])
    await store.append_log("r", 0, [b"A"])
    assert list(await store.read_log("r")) == [b"a", b"b", b"c", b"D"]


async def test_a_gap_in_the_log_is_an_error(store: Store) -> None:
    """A number too far is a bug of the caller and writes nothing."""
    await store.create_response(response("r"), [])
    await store.append_log("r", 0, [b"a"])
    with pytest.raises(ValueError, match="gap"):
        await store.append_log("r", 2, [b"c"])
    assert list(await store.read_log("r")) == [b"a"]


# --- chains ----------------------------------------------------------------------------------------------------------


async def test_a_chain_is_everything_said_before_oldest_first(store: Store) -> None:
    """Three turns, and the items come back whole, tokens too."""
    await turn(store, "a")
    await turn(store, "b", parent="a")
    await turn(store, "c", parent="b")
    assert await context_ids(store, "c") == ["a-in", "a-out", "b-in", "b-out", "c-in", "c-out"]
    chain = await store.chain("ada", "c")
    assert chain is not None
    assert chain[1] == answered("a-out", "a").context


async def test_branches_share_their_trunk_only(store: Store) -> None:
    """Two children of one parent do not see each other, in whatever order they are asked for."""
    await turn(store, "a")
    await turn(store, "left", parent="a")
    await turn(store, "right", parent="a")
    await turn(store, "leaf", parent="left")
    assert await context_ids(store, "right") == ["a-in", "a-out", "right-in", "right-out"]
    assert await context_ids(store, "leaf") == [
        *("a-in", "a-out", "left-in", "left-out"),
        *("leaf-in", "leaf-out"),
    ]
    assert await context_ids(store, "a") == ["a-in", "a-out"]


async def test_an_unfinished_response_has_the_context_it_has_so_far(store: Store) -> None:
    """Asking for it early does not hide what comes later."""
    await store.create_response(response("a"), [said("a-in")])
    assert await context_ids(store, "a") == ["a-in"]
    await store.finish_response(response("a", status="completed"), [answered("a-out")])
    assert await context_ids(store, "a") == ["a-in", "a-out"]


async def test_a_child_keeps_its_context_when_its_ancestors_are_deleted(store: Store) -> None:
    """The parents cannot be fetched, continued or referred to any more; the child goes on."""
    await turn(store, "a")
    await turn(store, "b", parent="a")
    await turn(store, "c", parent="b")
    for id_ in ("b", "a"):
        assert await store.delete_response("ada", id_) is True
        assert await store.delete_response("ada", id_) is False
        assert await store.get_response("ada", id_) is None
        assert await store.chain("ada", id_) is None
        assert await store.get_item("ada", None, f"{id_}-out") is None
        assert list(await store.read_log(id_)) == []
    assert await context_ids(store, "c") == ["a-in", "a-out", "b-in", "b-out", "c-in", "c-out"]
    assert (await store.stats())["rows"]["deleted_but_needed"] == 2


async def test_what_only_a_deleted_child_needed_goes_with_it(store: Store) -> None:
    """The last child takes its deleted ancestors along, up to the first one that somebody still has."""
    await turn(store, "root")
    await turn(store, "a", parent="root")
    await turn(store, "b", parent="a")
    await turn(store, "other", parent="root")
    await store.delete_response("ada", "root")
    await store.delete_response("ada", "a")
    await store.delete_response("ada", "b")
    assert await context_ids(store, "other") == ["root-in", "root-out", "other-in", "other-out"]
    assert (await store.stats())["rows"]["deleted_but_needed"] == 1
    await store.delete_response("ada", "other")
    rows = (await store.stats())["rows"]
    assert {rows[table] for table in ("responses", "items", "log", "deleted_but_needed")} == {0}


async def test_a_chain_with_a_parent_that_was_never_stored_is_none(store: Store) -> None:
    """For the child and for its own children, also when an object of that id is stored later."""
    await turn(store, "child", parent="ghost")
    await turn(store, "grandchild", parent="child")
    await turn(store, "ghost")
    assert await context_ids(store, "ghost") == ["ghost-in", "ghost-out"]
    assert await store.chain("ada", "child") is None
    assert await store.chain("ada", "grandchild") is None


async def test_a_parent_deleted_before_its_child_is_stored_is_lost(store: Store) -> None:
    """Also while another child keeps its items alive."""
    await turn(store, "a")
    await turn(store, "first", parent="a")
    await store.delete_response("ada", "a")
    await turn(store, "second", parent="a")
    assert await store.chain("ada", "second") is None
    assert await context_ids(store, "first") == ["a-in", "a-out", "first-in", "first-out"]


async def test_a_long_chain_is_complete(store: Store) -> None:
    """300 turns, asked for at the end, in the middle, and again one turn later."""
    parent = None
    for number in range(300):
        await turn(store, f"r{number}", parent=parent)
        parent = f"r{number}"
    expected = [f"r{number}-{side}" for number in range(300) for side in ("in", "out")]
    assert await context_ids(store, "r299") == expected
    assert await context_ids(store, "r150") == expected[:302]
    await turn(store, "last", parent="r299")
    assert await context_ids(store, "last") == [*expected, "last-in", "last-out"]


# --- conversations ---------------------------------------------------------------------------------------------------


async def test_a_conversation_collects_what_is_appended_and_what_is_answered(store: Store) -> None:
    """A finished response adds its input and its output; an unfinished one nothing."""
    await store.put_document(document("c"))
    await store.append_items("ada", "c", [said("x"), said("y")])
    await store.create_response(response("r", conversation="c"), [said("r-in")])
    assert await item_ids(store, "c") == ["x", "y"]
    await store.finish_response(response("r", conversation="c", status="completed"), [answered("r-out")])
    assert await item_ids(store, "c") == ["x", "y", "r-in", "r-out"]
    assert [str(context.item.id) for context in await store.all_items("ada", "c")] == [
        "x",
        "y",
        "r-in",
        "r-out",
    ]
    assert await item_ids(store, "r") == ["r-in"]
    assert await store.get_item("ada", "c", "r-out") == answered("r-out")


async def test_an_item_that_the_conversation_has_already_keeps_its_place(store: Store) -> None:
    """An earlier item passed back as input does not appear twice and does not fail the response."""
    await store.put_document(document("c"))
    await store.append_items("ada", "c", [said("x"), said("y")])
    await turn_with(store, [said("x"), said("new")])
    assert await item_ids(store, "c") == ["x", "y", "new", "o"]
    assert await item_ids(store, "r") == ["x", "new"]


async def turn_with(store: Store, inputs: list[ItemRow]) -> None:
    """A finished response `r` on conversation `c` with these input items."""
    await store.create_response(response("r", conversation="c"), inputs)
    await store.finish_response(response("r", conversation="c", status="completed"), [answered("o")])


async def test_appending_is_all_or_nothing(store: Store) -> None:
    """An id that is there already, or twice in the call, refuses every item of the call."""
    await store.put_document(document("c"))
    await store.append_items("ada", "c", [said("x")])
    for items in ([said("n"), said("x")], [said("n"), said("n")]):
        with pytest.raises(Conflict):
            await store.append_items("ada", "c", items)
    assert await item_ids(store, "c") == ["x"]


async def test_items_and_their_documents_come_together_or_not_at_all(store: Store) -> None:
    """Whatever is taken already, of the one or the other, refuses the whole call."""
    await store.put_document(document("c"))
    first = document("x", kind="message", parent="c")
    await store.append_items("ada", "c", [said("x")], [first])
    second = document("y", kind="message", parent="c")
    for items, rows in (
        ([said("y")], [second, first]),
        ([said("y")], [second, second]),
        ([said("x")], [second]),
    ):
        with pytest.raises(Conflict):
            await store.append_items("ada", "c", items, rows)
    assert await item_ids(store, "c") == ["x"]
    assert await store.get_document("message", "ada", "x") == first
    assert await store.get_document("message", "ada", "y") is None


async def test_a_container_is_changed_under_a_condition_on_what_is_inside_it(store: Store) -> None:
    """While a document of the kind is in one of the states, items are neither added nor taken out, and no document is put."""
    await store.put_document(document("c"))
    await store.put_document(document("other"))
    await store.put_document(document("r0", kind="run", parent="other", status="queued"))
    await store.put_document(document("s0", kind="step", parent="c", status="queued"))
    condition = Unless(kind="run", statuses=("queued", "running"))
    first = document("r1", kind="run", parent="c", status="running")
    await store.append_items("ada", "c", [said("x")], [first], unless=condition)
    for items, rows in (
        ([said("y")], []),
        ([], [document("r2", kind="run", parent="c", status="queued")]),
        ([said("y")], [document("m", kind="message", parent="c")]),
    ):
        with pytest.raises(Conflict):
            await store.append_items("ada", "c", items, rows, unless=condition)
    with pytest.raises(Conflict):
        await store.delete_item("ada", "c", "x", unless=condition)
    assert await item_ids(store, "c") == ["x"]
    assert await store.get_document("run", "ada", "r2") is None
    await store.append_items("ada", "c", [said("own")])
    await store.update_document(document("r1", kind="run", parent="c", status="ended", version=1))
    await store.append_items("ada", "c", [said("y")], unless=condition)
    assert await store.delete_item("ada", "c", "x", unless=condition)
    assert await item_ids(store, "c") == ["own", "y"]


async def test_of_many_that_put_a_document_under_a_condition_one_wins(store: Store) -> None:
    """However close together they are."""
    await store.put_document(document("c"))
    condition = Unless(kind="run", statuses=("queued",))
    results = await asyncio.gather(
        *(
            store.append_items(
                "ada",
                "c",
                [],
                [document(f"r{number}", kind="run", parent="c", status="queued")],
                unless=condition,
            )
            for number in range(20)
        ),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 19 + ["NoneType"]


async def test_items_and_changes_of_documents_come_together_or_not_at_all(store: Store) -> None:
    """A version that is not the stored one, of whichever document, refuses the whole call; also the one to take."""
    await store.put_document(document("c"))
    for name in ("s", "r"):
        await store.put_document(document(name, kind=name, parent="c", status="waiting"))

    def changed(name: str, version: int) -> DocumentRow:
        return document(name, kind=name, parent="c", status="queued", version=version)

    for step, run in ((2, 1), (1, 2), (1, 0)):
        with pytest.raises(Conflict):
            await store.append_items(
                "ada", "c", [said("x")], changed=[changed("s", step)], take=changed("r", run)
            )
    with pytest.raises(NotFound):
        await store.append_items("ada", "c", [said("x")], changed=[changed("s", 1)], take=changed("gone", 1))
    assert await item_ids(store, "c") == []
    for name in ("s", "r"):
        assert await store.get_document(name, "ada", name) == document(
            name, kind=name, parent="c", status="waiting"
        )
    await store.append_items("ada", "c", [said("x")], changed=[changed("s", 1)], take=changed("r", 1))
    assert await item_ids(store, "c") == ["x"]
    assert await store.get_document("s", "ada", "s") == changed("s", 1)
    assert await store.get_document("r", "ada", "r") == changed("r", 1)


async def test_of_many_that_take_a_document_one_does(store: Store) -> None:
    """The items of the others are not there."""
    await store.put_document(document("c"))
    await store.put_document(document("r", kind="run", parent="c", status="waiting"))
    taken = document("r", kind="run", parent="c", status="queued", version=1)
    results = await asyncio.gather(
        *(store.append_items("ada", "c", [said(f"x{number}")], take=taken) for number in range(20)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 19 + ["NoneType"]
    assert await item_ids(store, "c") == [f"x{results.index(None)}"]


async def test_items_need_a_container(store: Store) -> None:
    """A missing container, or somebody else's, is NotFound; reads of one item say None."""
    await store.put_document(document("c"))
    for owner, container in (("ada", "nothing"), ("bob", "c")):
        with pytest.raises(NotFound):
            await store.append_items(owner, container, [said("x")])
        with pytest.raises(NotFound):
            await store.list_items(owner, container, Page())
        with pytest.raises(NotFound):
            await store.all_items(owner, container)
        assert await store.get_item(owner, container, "x") is None
        assert await store.delete_item(owner, container, "x") is False
    assert list(await store.all_items("ada", "c")) == []


async def test_one_item_leaves_a_conversation(store: Store) -> None:
    """The others stay in order, new ones come behind, and a response that has the item too keeps it."""
    await store.put_document(document("c"))
    await store.append_items("ada", "c", [said("x"), said("y")])
    await turn(store, "r", conversation="c")
    assert await store.delete_item("ada", "c", "x") is True
    assert await store.delete_item("ada", "c", "r-out") is True
    assert await store.delete_item("ada", "c", "r-out") is False
    await store.append_items("ada", "c", [said("z"), said("x")])
    assert await item_ids(store, "c") == ["y", "r-in", "z", "x"]
    assert await context_ids(store, "r") == ["r-in", "r-out"]


async def test_a_conversation_survives_its_responses_and_they_survive_it(store: Store) -> None:
    """An item goes when it has left both."""
    await store.put_document(document("c"))
    await store.put_document(document("d"))
    await turn(store, "a", conversation="c")
    await turn(store, "b", conversation="d")
    await store.delete_response("ada", "a")
    await store.delete_document("conversation", "ada", "d")
    assert await item_ids(store, "c") == ["a-in", "a-out"]
    assert await context_ids(store, "b") == ["b-in", "b-out"]
    await store.delete_response("ada", "b")
    await store.delete_document("conversation", "ada", "c")
    assert (await store.stats())["rows"]["items"] == 0


async def test_a_response_finishes_though_its_conversation_was_deleted(store: Store) -> None:
    """The row is final, its items are its own."""
    await store.put_document(document("c"))
    await store.create_response(response("r", conversation="c"), [said("i")])
    await store.delete_document("conversation", "ada", "c")
    await store.finish_response(response("r", conversation="c", status="completed"), [answered("o")])
    row = await store.get_response("ada", "r")
    assert row is not None
    assert row.status == "completed"
    assert await context_ids(store, "r") == ["i", "o"]


async def test_writers_of_one_conversation_lose_nothing(store: Store) -> None:
    """Forty appends at once are forty pairs, each pair together."""
    await store.put_document(document("c"))
    await asyncio.gather(
        *(store.append_items("ada", "c", [said(f"{number}-a"), said(f"{number}-b")]) for number in range(40))
    )
    ids = await item_ids(store, "c")
    assert len(ids) == 80
    assert all(first[:-1] == second[:-1] for first, second in zip(ids[::2], ids[1::2], strict=True))


async def test_a_referenced_item_is_the_newest_of_its_id(store: Store) -> None:
    """With no container, the owner's items of every place are looked through."""
    await store.put_document(document("c"))
    await store.append_items("ada", "c", [said("x", "old")])
    await store.create_response(response("r"), [said("x", "new"), said("only")])
    assert await store.get_item("ada", None, "x") == said("x", "new")
    assert await store.get_item("ada", "c", "x") == said("x", "old")
    assert await store.get_item("ada", "r", "only") == said("only")
    await store.delete_response("ada", "r")
    assert await store.get_item("ada", None, "x") == said("x", "old")


# --- lists -----------------------------------------------------------------------------------------------------------

WINDOWS = [
    (Page(limit=2, order="asc"), ["0", "1"], True),
    (Page(limit=2, order="desc"), ["5", "4"], True),
    (Page(limit=6, order="asc"), ["0", "1", "2", "3", "4", "5"], False),
    (Page(after="1", limit=2, order="asc"), ["2", "3"], True),
    (Page(after="1", limit=2, order="desc"), ["0"], False),
    (Page(after="5", limit=2, order="asc"), [], False),
    (Page(before="4", limit=2, order="asc"), ["2", "3"], True),
    (Page(before="2", limit=2, order="asc"), ["0", "1"], False),
    (Page(before="1", limit=2, order="desc"), ["3", "2"], True),
    (Page(before="0", limit=20, order="desc"), ["5", "4", "3", "2", "1"], False),
    (Page(after="0", before="4", limit=2, order="asc"), ["1", "2"], True),
    (Page(after="0", before="3", limit=2, order="asc"), ["1", "2"], False),
]


@pytest.mark.parametrize(("page", "expected", "more"), WINDOWS)
async def test_a_window_of_each_kind_of_list(
    store: Store, page: Page, expected: list[str], more: bool
) -> None:
    """Documents, a conversation's items and a response's input items are cut alike."""
    for number in range(6):
        await store.put_document(document(str(number), kind="file", created_at=float(10 - number)))
    await store.put_document(document("c"))
    await store.append_items("ada", "c", [said(str(number)) for number in range(6)])
    await store.create_response(response("r"), [said(str(number)) for number in range(6)])
    await store.finish_response(response("r", status="completed"), [answered("9")])
    documents, behind = await store.list_documents("file", "ada", page)
    assert ([row.id for row in documents], behind) == (expected, more)
    for container in ("c", "r"):
        items, behind = await store.list_items("ada", container, page)
        assert ([row.id for row in items], behind) == (expected, more)


@pytest.mark.parametrize("name", ["after", "before"])
async def test_a_cursor_that_names_nothing_is_not_found(store: Store, name: str) -> None:
    """The error names the parameter; an id of another list is not in this one."""
    await store.put_document(document("c"))
    await store.put_document(document("elsewhere", kind="file", parent="c"))
    await turn(store, "r")
    page = msgspec.structs.replace(Page(), **{name: "elsewhere"})
    with pytest.raises(NotFound) as caught:
        await store.list_documents("file", "ada", page)
    assert caught.value.param == name
    for container in ("c", "r"):
        with pytest.raises(NotFound) as caught:
            await store.list_items("ada", container, page)
        assert caught.value.param == name


# --- documents -------------------------------------------------------------------------------------------------------


async def test_a_document_comes_back_as_it_was_put(store: Store) -> None:
    """Whole, to its owner, by its kind."""
    row = document("d", kind="batch", parent="p", status="validating", body=b"\x00\xff", version=3)
    await store.put_document(row)
    assert await store.get_document("batch", "ada", "d") == row
    assert await store.get_document("batch", "bob", "d") is None
    assert await store.get_document("file", "ada", "d") is None
    with pytest.raises(Conflict):
        await store.put_document(row)


async def test_an_update_needs_the_version_before(store: Store) -> None:
    """Of two updates of one version the second is a Conflict; a missing document is NotFound."""
    await store.put_document(document("d"))
    await store.update_document(document("d", version=1, status="done", body=b"1"))
    with pytest.raises(Conflict):
        await store.update_document(document("d", version=1, body=b"2"))
    assert await store.get_document("conversation", "ada", "d") == document(
        "d", version=1, status="done", body=b"1"
    )
    for missing in (document("x", version=1), document("d", version=2, owner="bob")):
        with pytest.raises(NotFound):
            await store.update_document(missing)


async def test_lists_hold_one_kind_of_one_owner_in_one_place(store: Store) -> None:
    """A list with no parent holds what is inside nothing."""
    await store.put_document(document("t", kind="thread"))
    await store.put_document(document("m1", kind="message", parent="t"))
    await store.put_document(document("m2", kind="message"))
    await store.put_document(document("m3", kind="message", owner="bob"))
    await store.put_document(document("m4", kind="run", parent="t"))

    async def ids(parent: str | None) -> list[str]:
        rows, more = await store.list_documents("message", "ada", Page(), parent=parent)
        assert not more
        return [row.id for row in rows]

    assert await ids("t") == ["m1"]
    assert await ids(None) == ["m2"]


async def test_a_document_takes_what_is_inside_it_along(store: Store) -> None:
    """Documents at any depth and the items of each; nothing of the neighbours."""
    await store.put_document(document("t", kind="thread"))
    await store.put_document(document("run", kind="run", parent="t"))
    await store.put_document(document("step", kind="step", parent="run"))
    await store.put_document(document("other", kind="thread"))
    await store.put_document(document("t", kind="thread", owner="bob"))
    await store.append_items("ada", "step", [said("x")])
    await store.append_items("ada", "other", [said("y")])
    assert await store.delete_document("thread", "bob", "other") is False
    assert await store.delete_document("run", "ada", "t") is False
    assert await store.delete_document("thread", "ada", "t") is True
    assert await store.delete_document("thread", "ada", "t") is False
    assert await store.get_document("step", "ada", "step") is None
    assert await store.get_item("ada", None, "x") is None
    assert await item_ids(store, "other") == ["y"]
    assert await store.get_document("thread", "bob", "t") is not None


async def test_unfinished_documents_are_found_by_kind_and_status(store: Store) -> None:
    """Of every owner, oldest first."""
    await store.put_document(document("b", kind="batch", status="in_progress", owner="bob"))
    await store.put_document(document("a", kind="batch", status="validating"))
    await store.put_document(document("done", kind="batch", status="completed"))
    await store.put_document(document("run", kind="run", status="in_progress"))
    rows = await store.unfinished_documents("batch", ["validating", "in_progress"])
    assert [row.id for row in rows] == ["b", "a"]


async def test_documents_are_found_by_their_age(store: Store) -> None:
    """Of a kind and some states, of every owner, oldest first; not one that was created at that moment."""
    await store.put_document(document("b", kind="run", status="waiting", owner="bob", created_at=10))
    await store.put_document(document("a", kind="run", status="waiting", created_at=20.5))
    await store.put_document(document("new", kind="run", status="waiting", created_at=21))
    await store.put_document(document("runs", kind="run", status="in_progress", created_at=1))
    await store.put_document(document("step", kind="step", status="waiting", created_at=1))
    rows = await store.documents_before("run", ["waiting"], 21)
    assert [(row.id, row.owner, row.created_at) for row in rows] == [("b", "bob", 10.0), ("a", "ada", 20.5)]


# --- idempotency -----------------------------------------------------------------------------------------------------


async def test_a_key_is_claimed_once_and_answers_afterwards(store: Store) -> None:
    """The second claim sees the first, then its answer; another owner's key is another key."""
    claim = replay()
    assert await store.claim_replay("ada", "k", claim, expired=0) is None
    assert await store.claim_replay("ada", "k", replay(b"other"), expired=0) == claim
    assert await store.claim_replay("bob", "k", claim, expired=0) is None
    answer = replay(status=200)
    await store.settle_replay("ada", "k", answer)
    assert await store.claim_replay("ada", "k", claim, expired=0) == answer


async def test_a_claim_ends_when_it_is_let_go_or_too_old(store: Store) -> None:
    """Then the key is free again."""
    await store.claim_replay("ada", "k", replay(), expired=0)
    await store.settle_replay("ada", "k", None)
    assert await store.claim_replay("ada", "k", replay(created_at=5.0), expired=0) is None
    assert await store.claim_replay("ada", "k", replay(created_at=9.0), expired=5.0) is not None
    assert await store.claim_replay("ada", "k", replay(created_at=9.0), expired=5.5) is None
    assert await store.claim_replay("ada", "k", replay(), expired=5.5) == replay(created_at=9.0)


async def test_of_many_claims_at_once_one_wins(store: Store) -> None:
    """All others see the winner's row."""
    rows = [replay(b"%d" % number) for number in range(30)]
    results = await asyncio.gather(*(store.claim_replay("ada", "k", row, expired=0) for row in rows))
    winners = [row for row, result in zip(rows, results, strict=True) if result is None]
    assert len(winners) == 1
    assert all(result == winners[0] for result in results if result is not None)


# --- keys ------------------------------------------------------------------------------------------------------------


async def test_keys_come_back_in_the_order_they_were_made(store: Store) -> None:
    """A second put of the same id changes the row in its place."""
    first = KeyRow(
        id="1", name="ci", project="p", hash=b"h1", hint="sk-…a", created_at=1.0, requests_per_minute=5
    )
    second = KeyRow(id="2", name="me", project="q", hash=b"h2", hint="sk-…b", created_at=2.0)
    await store.put_key(first)
    await store.put_key(second)
    assert list(await store.keys()) == [first, second]
    revoked = msgspec.structs.replace(first, revoked_at=3.0)
    await store.put_key(revoked)
    assert list(await store.keys()) == [revoked, second]


async def test_a_key_is_found_by_its_id_and_its_hash(store: Store) -> None:
    """As it is now; what is not there is None, and a revoked key is still a key."""
    assert not await store.has_keys()
    assert await store.key("1") is None
    row = KeyRow(id="1", name="ci", project="p", hash=b"h1", hint="sk-…a", created_at=1.0, role="admin")
    other = KeyRow(id="2", name="me", project="q", hash=b"h2", hint="sk-…b", created_at=2.0)
    for key in (row, other):
        await store.put_key(key)
    assert await store.has_keys()
    assert await store.key("1") == row
    assert await store.key_by_hash(b"h2") == other
    assert await store.key("3") is None
    assert await store.key_by_hash(b"h3") is None
    revoked = msgspec.structs.replace(row, revoked_at=3.0)
    await store.put_key(revoked)
    assert (await store.key("1"), await store.key_by_hash(b"h1")) == (revoked, revoked)


async def test_what_a_key_spends_is_added_up_by_the_day(store: Store) -> None:
    """Concurrent additions are all counted; other keys and earlier days are apart; budgets come back with the key."""
    row = KeyRow(
        id="1",
        name="",
        project="p",
        hash=b"h1",
        hint="",
        created_at=1.0,
        tokens_per_day=2**40,
        tokens_per_month=2**41,
        usd_per_day=0.5,
        usd_per_month=12.25,
    )
    await store.put_key(row)
    assert await store.key("1") == row
    spent = [KeySpending(2**33 + n, 2**40 + n) for n in range(6)]
    charges = [charge(each, day=20_000 + n % 2) for n, each in enumerate(spent)]
    await asyncio.gather(*(store.charge_key(each) for each in charges))
    await store.charge_key(charge(KeySpending(5), key_id="2", day=20_001))
    first, second = KeySpending(3 * 2**33 + 6, 3 * 2**40 + 6), KeySpending(3 * 2**33 + 9, 3 * 2**40 + 9)
    assert await store.key_spending("1", 20_000) == {20_000: first, 20_001: second}
    assert await store.key_spending("1", 20_001) == {20_001: second}
    assert await store.key_spending("2", 0) == {20_001: KeySpending(5)}
    assert await store.key_spending("3", 0) == {}


async def test_a_charge_with_an_id_counts_once(store: Store) -> None:
    """However often it is sent, and at the same time; another id is another charge, and so is each without one."""
    made = msgspec.structs.replace(charge(KeySpending(7, 9)), id="charge_1", at=1e9)
    await asyncio.gather(*(store.charge_key(made) for _ in range(5)))
    await store.charge_key(made)
    assert await store.key_spending("1", 0) == {20_000: KeySpending(7, 9)}
    await store.charge_key(msgspec.structs.replace(made, id="charge_2"))
    await store.charge_key(charge(KeySpending(1)))
    await store.charge_key(charge(KeySpending(1)))
    assert await store.key_spending("1", 0) == {20_000: KeySpending(16, 18)}


def charge(spending: KeySpending, *, key_id: str = "1", day: int = 20_000) -> KeyCharge:
    """What an answer adds to what a key has spent."""
    return KeyCharge(key_id=key_id, day=day, spending=spending)


def charged(row: ResponseRow, tokens: int) -> ResponseRow:
    """A row with so many tokens to charge."""
    return msgspec.structs.replace(row, charge=charge(KeySpending(tokens, 2 * tokens)))


async def test_the_end_of_a_response_charges_its_key_once(store: Store) -> None:
    """With the final row and whichever way it is stored, for any end; its beginning, a second end and a failed write do not."""
    statuses = ("completed", "failed", "cancelled", "incomplete")
    for number, status in enumerate(statuses):
        begun, ended = response(f"r{number}"), response(f"r{number}", status=status)
        await store.create_response(charged(begun, 1000), [])
        assert (await store.key_spending("1", 0)).get(20_000, KeySpending()).tokens == 7 * number
        await asyncio.gather(*(store.finish_response(charged(ended, 7), []) for _ in range(3)))
    spent = {20_000: KeySpending(28, 56)}
    assert await store.key_spending("1", 0) == spent
    with pytest.raises(Conflict):
        await store.store_response(charged(response("r0", status="completed"), 1000), [], [])
    with pytest.raises(Conflict):
        twice = [answered("same"), answered("same")]
        await store.store_response(charged(response("new", status="completed"), 1000), [], twice)
    await store.create_response(response("deleted"), [])
    await store.delete_response("ada", "deleted")
    await store.finish_response(charged(response("deleted", status="completed"), 1000), [])
    assert await store.key_spending("1", 0) == spent
    await store.store_response(charged(response("whole", status="completed"), 5), [said("i")], [])
    await store.finish_response(charged(response("whole", status="completed"), 1000), [])
    assert await store.key_spending("1", 0) == {20_000: KeySpending(33, 66)}
    await store.delete_response("ada", "whole")
    assert await store.key_spending("1", 0) == {20_000: KeySpending(33, 66)}, "what was used stays counted"


async def test_responses_that_end_together_are_all_charged(store: Store) -> None:
    """To their keys, in the transactions that they share with one that fails."""
    rows = [response(f"r{number}") for number in range(40)]
    await asyncio.gather(*(store.create_response(row, []) for row in rows))

    async def finish(number: int, row: ResponseRow) -> None:
        spent = charge(KeySpending(number), key_id=str(number % 3))
        ended = msgspec.structs.replace(row, status="completed", charge=spent)
        output = [answered("same")] * (2 if number == 7 else 0)
        await store.finish_response(ended, output)

    ends = await asyncio.gather(
        *(finish(number, row) for number, row in enumerate(rows)), return_exceptions=True
    )
    assert [number for number, end in enumerate(ends) if end is not None] == [7]
    for key in range(3):
        tokens = sum(number for number in range(key, 40, 3) if number != 7)
        assert await store.key_spending(str(key), 0) == {20_000: KeySpending(tokens)}


# --- housekeeping ----------------------------------------------------------------------------------------------------


async def test_prune_deletes_what_is_old_and_final(store: Store) -> None:
    """Unfinished and newer ones stay; what a newer child needs stays out of sight."""
    await turn(store, "old", created_at=1.0)
    await turn(store, "parent", created_at=1.0)
    await turn(store, "child", parent="parent", created_at=9.0)
    await store.create_response(response("running", created_at=1.0), [said("i")])
    counts = await store.prune(5.0)
    assert counts == {"responses": 2, "replays": 0}
    assert await store.get_response("ada", "old") is None
    assert await store.get_response("ada", "parent") is None
    assert await context_ids(store, "child") == ["parent-in", "parent-out", "child-in", "child-out"]
    assert await store.get_response("ada", "running") is not None
    assert await store.prune(5.0) == {"responses": 0, "replays": 0}


async def test_prune_deletes_documents_of_the_named_kinds_only(store: Store) -> None:
    """With what is inside them; other kinds are kept until somebody deletes them."""
    for kind in ("chat", "assistant"):
        await store.put_document(document(kind, kind=kind, created_at=1.0))
        await store.append_items("ada", kind, [said(f"{kind}-item")])
    await store.put_document(document("new", kind="chat", created_at=9.0))
    counts = await store.prune(5.0, rules=[RetentionRule(kind="chat", before=5.0)])
    assert counts == {"responses": 0, "chat": 1, "replays": 0}
    assert await store.get_document("chat", "ada", "chat") is None
    assert await store.get_item("ada", None, "chat-item") is None
    assert await store.get_document("chat", "ada", "new") is not None
    assert await item_ids(store, "assistant") == ["assistant-item"]


async def test_prune_leaves_documents_in_other_states_and_those_with_something_new_inside(
    store: Store,
) -> None:
    """Each kind has a time of its own."""
    for status in ("open", "over"):
        await store.put_document(document(status, kind="batch", created_at=1.0, status=status))
    for thread, newest in (("idle", 2.0), ("used", 9.0)):
        await store.put_document(document(thread, kind="thread", created_at=1.0))
        await store.put_document(
            document(f"{thread}-message", kind="message", parent=thread, created_at=newest)
        )
    await store.put_document(
        document("used-message", kind="message", owner="bob", parent="idle", created_at=9.0)
    )
    rules = [
        RetentionRule(kind="batch", before=2.0, statuses=("over",)),
        RetentionRule(kind="thread", before=5.0),
    ]
    assert await store.prune(0.0, rules=rules) == {"responses": 0, "batch": 1, "thread": 1, "replays": 0}
    assert await store.get_document("batch", "ada", "open") is not None
    assert await store.get_document("batch", "ada", "over") is None
    assert await store.get_document("thread", "ada", "used") is not None
    assert await store.get_document("thread", "ada", "idle") is None
    assert await store.get_document("message", "ada", "idle-message") is None


async def test_prune_forgets_answers_but_not_claims_that_run(store: Store) -> None:
    """Replays may have a time limit of their own."""
    await store.claim_replay("ada", "running", replay(created_at=1.0), expired=0)
    await store.settle_replay("ada", "old", replay(status=200, created_at=1.0))
    await store.settle_replay("ada", "new", replay(status=200, created_at=9.0))
    assert (await store.prune(0.0, replays=5.0))["replays"] == 1
    assert await store.claim_replay("ada", "running", replay(), expired=0) is not None
    assert await store.claim_replay("ada", "new", replay(), expired=0) is not None
    assert await store.claim_replay("ada", "old", replay(), expired=0) is None


async def test_stats_count_rows(store: Store) -> None:
    """By table, and an item once, though a response and a conversation have it."""
    await store.put_document(document("c"))
    await turn(store, "r", conversation="c")
    await store.create_response(response("s"), [said("i")])
    await store.append_log("s", 0, [b"x", b"y"])
    await store.claim_replay("ada", "k", replay(), expired=0)
    rows = (await store.stats())["rows"]
    assert rows == {
        "responses": 2,
        "items": 3,
        "log": 1,
        "documents": 1,
        "replays": 1,
        "keys": 0,
        "deleted_but_needed": 0,
    }
