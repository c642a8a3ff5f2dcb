"""What is old is deleted, and nothing that came meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.contract.stores import STORES, document, item_ids, said

from kodo.server.lifecycle.records import RetentionRule
from kodo.server.store.sql_store import SqlStore


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_what_is_added_while_the_old_is_looked_for_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A thread that was old a moment ago has a new message; another one, and what has changed its state, likewise."""
    store = STORES[name](tmp_path)
    assert isinstance(store, SqlStore)
    await store.open()
    for thread in ("talked", "silent"):
        await store.put_document(document(thread, kind="thread", created_at=10.0))
    await store.put_document(document("batch", kind="batch", created_at=10.0, status="ended"))
    plain = store._delete_in_chunks

    async def late(delete: Callable[..., int], names: Sequence[tuple[str, str]]) -> int:
        if ("ada", "talked") in names:
            message = document("m", kind="message", parent="talked", created_at=100.0)
            await store.append_items("ada", "talked", [said("m")], [message])
        if ("ada", "batch") in names:
            await store.update_document(document("batch", kind="batch", status="running", version=1))
        return await plain(delete, names)

    monkeypatch.setattr(store, "_delete_in_chunks", late)
    rules = (
        RetentionRule(kind="thread", before=50.0),
        RetentionRule(kind="batch", before=50.0, statuses=("ended",)),
    )
    counts = await store.prune(50.0, rules=rules)
    assert (counts["thread"], counts["batch"]) == (1, 0)
    assert await store.get_document("thread", "ada", "silent") is None
    assert await item_ids(store, "talked") == ["m"]
    assert await store.get_document("batch", "ada", "batch") is not None
    await store.close()
