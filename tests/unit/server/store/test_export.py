"""The export: everything of an owner, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.stores import document, said, turn

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store import export
from kodo.server.store.choice import open_snapshot
from kodo.server.store.sqlite import SqliteStore


def lines(home: Path, owner: str | None = None) -> Iterator[bytes]:
    """What ``kodo store export`` writes."""
    with open_snapshot(home, None) as connection:
        yield from export.lines(connection, owner)


async def filled(home: Path) -> SqliteStore:
    """An open store with chains, a conversation and two owners."""
    store = SqliteStore(home)
    await store.open()
    await turn(store, "a")
    await turn(store, "b", parent="a")
    await turn(store, "theirs", owner="bob")
    await store.put_document(document("c", body=b'{"metadata": {"k":\n"v"}}'))
    await store.append_items("ada", "c", [said("x", "絵文字 🎉")])
    await store.delete_response("ada", "a")
    return store


def exported(home: Path, owner: str | None = None) -> list[dict[str, Any]]:
    """The lines, as values."""
    return [json.loads(line) for line in lines(home, owner)]


async def test_everything_of_an_owner_is_there_and_nothing_of_others(tmp_path: Path) -> None:
    """Rows, items and bodies, while the store is open; a deleted parent is marked and has no body."""
    store = await filled(tmp_path)
    gone, child, conversation = exported(tmp_path, "ada")
    assert (gone["id"], gone["deleted"], gone["request"], gone["response"]) == ("a", True, None, None)
    assert (child["id"], child["previous_response_id"], child["deleted"]) == ("b", "a", False)
    assert child["request"] == {"model": "m"}
    assert [item["id"] for item in (*child["input"], *child["output"])] == ["b-in", "b-out"]
    assert conversation["body"] == {"metadata": {"k": "v"}}
    assert conversation["items"][0]["content"][0]["text"] == "絵文字 🎉"
    assert {line["owner"] for line in exported(tmp_path)} == {"ada", "bob"}
    assert exported(tmp_path, "nobody") == []
    await store.close()


async def test_it_is_a_snapshot(tmp_path: Path) -> None:
    """What is written while it runs is not in it, and it does not stop the writer."""
    store = await filled(tmp_path)
    for number in range(150):
        await store.put_document(document(f"d{number}"))
    running = lines(tmp_path, "ada")
    first = next(running)
    await turn(store, "later")
    await store.delete_document("conversation", "ada", "d149")
    ids = [json.loads(line)["id"] for line in (first, *running)]
    assert "later" not in ids
    assert len(ids) == len(set(ids)) == 153
    await store.close()


async def test_each_line_is_one_object(tmp_path: Path) -> None:
    """Line ends inside stored JSON do not get out."""
    store = await filled(tmp_path)
    await store.close()
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines(tmp_path))


def test_no_database_is_said_in_words(tmp_path: Path) -> None:
    """There is nothing to export."""
    with pytest.raises(StoreFailed, match="cannot be opened"):
        list(lines(tmp_path))
