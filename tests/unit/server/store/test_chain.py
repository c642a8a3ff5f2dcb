"""What a context costs: the next turn reads what is new, however long the history is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.stores import answered, context_ids, document, said, turn

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.store import items, responses
from kodo.server.store.codec import unpack_item
from kodo.server.store.context_cache import CachedContext, ContextCache
from kodo.server.store.sqlite import SqliteStore


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[ContextItem]:
    """Every item that a context reads from the database."""
    found: list[ContextItem] = []

    def note(item: bytes, tokens: bytes | None) -> ContextItem:
        context = unpack_item(item, tokens)
        found.append(context)
        return context

    for module in (responses, items):
        monkeypatch.setattr(module, "unpack_item", note)
    return found


async def test_each_turn_reads_its_own_items_only(tmp_path: Path, decoded: list[ContextItem]) -> None:
    """Turn 100 costs two items, as turn 1 does; asking again costs none; a branch of the newest costs its own."""
    store = SqliteStore(tmp_path)
    await store.open()
    parent = None
    for number in range(100):
        await turn(store, f"r{number}", parent=parent)
        parent = f"r{number}"
        decoded.clear()
        assert len(await context_ids(store, parent) or ()) == 2 * (number + 1)
        assert len(decoded) == 2
    decoded.clear()
    await context_ids(store, "r99")
    assert decoded == []
    await turn(store, "branch", parent="r99")
    assert len(await context_ids(store, "branch") or ()) == 202
    assert len(decoded) == 2
    assert len(await context_ids(store, "r50") or ()) == 102
    assert len(decoded) == 2 + 102
    await store.close()


async def test_after_a_restart_the_whole_chain_is_read_once(
    tmp_path: Path, decoded: list[ContextItem]
) -> None:
    """And only from the nearest ancestor in memory where there is one."""
    store = SqliteStore(tmp_path)
    await store.open()
    parent = None
    for number in range(20):
        await turn(store, f"r{number}", parent=parent)
        parent = f"r{number}"
    await store.close()
    store = SqliteStore(tmp_path)
    await store.open()
    assert len(await context_ids(store, "r9") or ()) == 20
    assert len(decoded) == 20
    assert len(await context_ids(store, "r19") or ()) == 40
    assert len(decoded) == 40
    await store.close()


async def test_a_conversation_reads_what_is_new(tmp_path: Path, decoded: list[ContextItem]) -> None:
    """Turn 50 costs two items, as turn 1 does; after an item was taken out, everything is read once."""
    store = SqliteStore(tmp_path)
    await store.open()
    await store.put_document(document("c"))
    for number in range(50):
        await turn(store, f"r{number}", conversation="c")
        decoded.clear()
        assert len(await store.all_items("ada", "c")) == 2 * (number + 1)
        assert len(decoded) == 2
    await store.delete_item("ada", "c", "r49-out")
    await store.append_items("ada", "c", [said("new")])
    ids = [str(context.item.id) for context in await store.all_items("ada", "c")]
    assert ids[-2:] == ["r49-in", "new"]
    assert len(decoded) == 2 + 100
    await store.close()


async def test_a_new_conversation_has_nothing_of_a_deleted_one(tmp_path: Path) -> None:
    """Also where it has the same id, and both were asked for."""
    store = SqliteStore(tmp_path)
    await store.open()
    for name in ("old", "new"):
        await store.put_document(document("c"))
        await store.append_items("ada", "c", [said(name)])
        assert [str(context.item.id) for context in await store.all_items("ada", "c")] == [name]
        await store.delete_document("conversation", "ada", "c")
    await store.close()


async def test_a_deleted_response_is_not_answered_from_memory(tmp_path: Path) -> None:
    """Nor is one that another process deleted."""
    store = SqliteStore(tmp_path)
    await store.open()
    await turn(store, "a")
    await turn(store, "b")
    assert await context_ids(store, "a") == ["a-in", "a-out"]
    assert await context_ids(store, "b") == ["b-in", "b-out"]
    await store.delete_response("ada", "a")
    tool = SqliteStore(tmp_path, exclusive=False)
    await tool.open()
    await tool.delete_response("ada", "b")
    await tool.close()
    assert await context_ids(store, "a") is None
    assert await context_ids(store, "b") is None
    await store.close()


def context(size: int) -> CachedContext:
    """A context of about this many bytes."""
    return CachedContext((said("x").context,), size)


def test_the_least_recently_used_context_goes_first() -> None:
    """A use keeps a context; what does not fit at all is not held and drives nothing out."""
    contexts = ContextCache(capacity=300)
    for name in ("a", "b"):
        contexts.put(name, context(120))
    contexts.get("a")
    contexts.put("c", context(120))
    contexts.put("huge", context(301))
    assert [contexts.get(name) is not None for name in ("a", "b", "c", "huge")] == [True, False, True, False]
    contexts.put("a", context(10))
    contexts.put("d", context(120))
    assert all(contexts.get(name) is not None for name in ("a", "c", "d"))


def test_a_childs_context_takes_its_parents_place() -> None:
    """The items are the same objects, counted once; tokens count for the memory they take."""
    contexts = ContextCache()
    parent = CachedContext().extended((said("a").context,), 100)
    contexts.put("parent", parent)
    child = parent.extended((answered("b", tokens=(1,) * 50).context,), 100)
    contexts.put("child", child, parent="parent")
    assert contexts.get("parent") is None
    assert contexts.get("child") is child
    assert child.items[0] is parent.items[0]
    assert child.weight > 2 * parent.weight + 50 * 8
