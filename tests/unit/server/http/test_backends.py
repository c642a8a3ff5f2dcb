"""What is open before the server is: the store first, then engines that load by themselves, all let go of at the end."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import psutil
import pytest
from tests.serving import MODEL, served, settings
from tests.tiny_model import write_tiny_model

from kodo.server.config import ModelSettings, Settings, TargetSettings
from kodo.server.engines import build
from kodo.server.engines.llama.process import supervisor
from kodo.server.engines.weights.registry import Registry
from kodo.server.http.backends import open_resources
from kodo.server.lifecycle.errors import EngineUnavailable, ServiceError, StoreFailed
from kodo.server.store.sqlite import SqliteStore


def _engines() -> set[int]:
    """Processes of engines under this one; other tests of the same worker may have some."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "kodo.server.engines.llama.process.child" in child.cmdline():
                found.add(child.pid)
    return found


def _with_model(home: Path, path: Path) -> Settings:
    return Settings(home=home, models={"m": ModelSettings(engine="llama", target=str(path))})


async def test_a_store_that_is_taken_starts_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second server on a home must not touch the first one's saved prompts."""

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("an engine was begun")

    async def taken(_: SqliteStore) -> None:
        raise StoreFailed("Another server has it.")  # a lock holds off other processes, not this one

    monkeypatch.setattr("kodo.server.http.backends.build", never)
    monkeypatch.setattr(SqliteStore, "open", taken)
    with pytest.raises(StoreFailed, match="Another"):
        async with open_resources(settings(tmp_path / "home")):
            await asyncio.sleep(0.1)


async def test_an_engine_that_is_still_loading_ends_with_the_rest(tmp_path: Path) -> None:
    """Whoever gives up before the models are there leaves no process and no folder behind."""
    before, model = _engines(), write_tiny_model(tmp_path / "tiny.gguf")
    with pytest.raises(RuntimeError, match="given up"):
        async with open_resources(_with_model(tmp_path / "home", model)):
            while _engines() == before:
                await asyncio.sleep(0.001)
            raise RuntimeError("given up")
    assert _engines() == before


async def test_a_child_that_was_begun_ends_where_its_engine_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun before the rest of the engine is imported."""

    def broken() -> None:
        raise ImportError("half installed")

    before, model = _engines(), write_tiny_model(tmp_path / "tiny.gguf")
    here = _with_model(tmp_path / "home", model)
    monkeypatch.setattr("kodo.server.engines._llama", broken)
    with pytest.raises(ImportError, match="half installed"):
        await build("m", here.models["m"], here, Registry(here.home))
    assert _engines() == before


async def test_a_model_that_does_not_load_says_why_where_it_is_awaited(tmp_path: Path) -> None:
    """Not before: the store is open meanwhile."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"no model")
    async with open_resources(_with_model(tmp_path / "home", bad)) as resources:
        assert await resources.store.keys() == []
        with pytest.raises(EngineUnavailable, match="not a GGUF"):
            await resources.models


async def test_a_child_may_be_begun_and_started_in_any_order(tmp_path: Path) -> None:
    """It is one child; and one that never came up can be stopped."""
    config = supervisor.ChildConfig(
        model=write_tiny_model(tmp_path / "tiny.gguf"), threads=1, parallel=1, batch=32, context=64
    )
    before, child = _engines(), supervisor.Supervisor(config)
    await child.stop()
    child = supervisor.Supervisor(config)
    child.start_soon()
    child.start_soon()
    await child.start()
    assert child.generation == 1
    assert len(_engines() - before) == 1
    await child.stop()
    await child.stop()
    assert _engines() == before


async def test_sampling_of_the_settings_is_what_a_response_shows(tmp_path: Path) -> None:
    """Where the client sets none: the settings' own, whichever engine answers."""
    model = ModelSettings(engine="scripted", target="", temperature=0.2, top_p=0.9)
    async with served(settings(tmp_path, model)) as server, server.http() as http:
        body = {"model": MODEL, "input": "x"}
        shown = (await http.post("/v1/responses", json=body)).json()
        chosen = (await http.post("/v1/responses", json={**body, "temperature": 1})).json()
    assert (shown["temperature"], shown["top_p"]) == (0.2, 0.9)
    assert (chosen["temperature"], chosen["top_p"]) == (1.0, 0.9)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (ModelSettings(engine="upstream", target="m"), "base_url is missing"),
        (
            ModelSettings(
                engine="upstream", base_url="http://a/v1", targets=(TargetSettings(base_url="http://b/v1"),)
            ),
            "base_url and targets",
        ),
        (
            ModelSettings(engine="upstream", base_url="http://a/v1", target="m", profile="none_such"),
            "unknown upstream profile 'none_such'",
        ),
        (ModelSettings(engine="scripted", target="/none/such.json"), "/none/such.json cannot be read"),
        (ModelSettings(engine="scripted", target="{folder}/broken.json"), "broken.json is not a script"),
    ],
    ids=["no address", "two addresses", "profile", "no script", "broken script"],
)
async def test_a_model_that_cannot_be_made_is_named_with_the_reason(
    tmp_path: Path, model: ModelSettings, why: str
) -> None:
    """An error of the settings, and no stack trace."""
    (tmp_path / "broken.json").write_text("{")
    given = model.model_copy(update={"target": model.target.format(folder=tmp_path)})
    async with open_resources(settings(tmp_path / "home", given)) as resources:
        with pytest.raises(ServiceError, match=f'^Setting models."{MODEL}": .*{re.escape(why)}'):
            await resources.models
