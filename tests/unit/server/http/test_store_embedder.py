"""What makes the vectors of a store: a model of the settings, here or behind another server; and what happens under another one.

The scripted engine's vectors count letters: texts of the same letters are near, whatever words they make.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_vector_stores import filled, names

from kodo.server.config import ModelSettings, Settings
from kodo.server.engines.text_embedder import EngineEmbedder

pytestmark = pytest.mark.usefixtures("each_database")

BY_VECTORS: Any = {"hybrid_search": {"embedding_weight": 1, "text_weight": 0}}
FILES = {"a_txt": "listen silent enlist", "b_txt": "zebra wax quiz"}
ANAGRAM = "inlets tinsel"
"""Shares its letters with the first file and no word with any."""


def with_embedder(home: Path, embedder: str | None = MODEL, **models: ModelSettings) -> Settings:
    """Settings with these models besides the default one."""
    given = settings(home, script(home.parent), tools={"file_search": {"embedder": embedder}})
    return given.model_copy(update={"models": {**given.models, **models}})


async def by_vectors(server: Served, store: str) -> list[str]:
    """The names of the files near the anagram."""
    return await names(server.sdk(), store, ANAGRAM, ranking_options=BY_VECTORS)


async def test_a_model_of_the_settings_makes_the_vectors(tmp_path: Path) -> None:
    """What shares no word is found by them, and what is nearer is first."""
    async with served(with_embedder(tmp_path / "home")) as server:
        store = await filled(server.sdk(), **FILES)
        assert await by_vectors(server, store) == ["a.txt", "b.txt"]


async def test_another_embedder_is_not_compared_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The store remembers who made its vectors: under another one it is searched by words, the log says so once, and a search by
    vectors alone is refused with both names. Under the first one it is as before."""
    home = tmp_path / "home"
    async with served(with_embedder(home)) as server:
        store = await filled(server.sdk(), **FILES)
    other = ModelSettings(engine="scripted", target="")
    with caplog.at_level(logging.WARNING, "kodo.server.lifecycle.retrieval.search"):
        async with served(with_embedder(home, "other", other=other)) as server:
            for _ in range(2):
                assert await names(server.sdk(), store, "zebra") == ["b.txt"]
            with pytest.raises(openai.BadRequestError) as caught:
                await by_vectors(server, store)
    assert caught.value.code == "vectors_unavailable"
    assert f"'{MODEL}:" in caught.value.message and "'other:" in caught.value.message
    assert len([record for record in caplog.records if store in record.message]) == 1
    async with served(with_embedder(home)) as server:
        assert await by_vectors(server, store) == ["a.txt", "b.txt"]


async def test_without_an_embedder_a_search_by_vectors_is_refused(tmp_path: Path) -> None:
    """It would find nothing, and say nothing."""
    async with served(settings(tmp_path)) as server:
        store = await filled(server.sdk(), **FILES)
        with pytest.raises(openai.BadRequestError) as caught:
            await by_vectors(server, store)
        assert caught.value.param == "ranking_options.hybrid_search.text_weight"
        assert await names(server.sdk(), store, "zebra") == ["b.txt"]


async def test_the_embedder_may_be_behind_another_server(tmp_path: Path) -> None:
    """Its vectors are that server's own; where it is gone, the words are searched all the same."""
    async with served(settings(tmp_path / "far", script(tmp_path))) as far:
        behind = ModelSettings(engine="upstream", target=MODEL, base_url=f"{far.url}/v1", profile="generic")
        near = with_embedder(tmp_path / "near", "behind", behind=behind)
        async with served(near) as server:
            store = await filled(server.sdk(), **FILES)
            assert await by_vectors(server, store) == ["a.txt", "b.txt"]
    async with served(near) as server:
        assert await names(server.sdk(), store, "zebra") == ["b.txt"]


async def test_an_embedder_that_is_no_model_stops_the_start(tmp_path: Path) -> None:
    """With the setting's name."""
    with pytest.raises(Exception, match=r"tools\.file_search\.embedder"):
        async with served(with_embedder(tmp_path / "home", "nobody")):
            pass


def test_the_local_embedder_says_which_texts_it_reads() -> None:
    """Latin letters, with or without accents; figures are no letters."""

    class Silent:
        async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
            raise AssertionError

    embedder = EngineEmbedder(Silent(), "all-minilm-l6-v2", latin_only=True)
    read = ["steep tea", "crème brûlée", "42", "", "Docker を use it with pip install"]
    assert all(embedder.reads(text) for text in read)
    assert not any(embedder.reads(text) for text in ("拝観料", "чай", "お茶の時間 tea"))
