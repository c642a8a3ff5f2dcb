"""How well the search finds the one document of 200 that answers a question: ``make bench-search-quality DOCS=FOLDER``.

``FOLDER`` holds the archives of :mod:`bench.vector_search.documents`. The documents go through the public API: uploaded, indexed, searched by
words alone (BM25), by vectors alone and by both; then the default model is asked each question with ``file_search`` forced, and
its citations are compared with the document. ``--home`` has the models; the stores are made in a folder of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openai
from bench.vector_search.documents import read_sections
from bench.vector_search.questions import QUESTIONS, Question
from tests.serving import MODEL, served, settings

from kodo.server.config import DEFAULT_MODEL, ModelSettings

RANKINGS: dict[str, dict[str, float]] = {
    "words (BM25)": {"text_weight": 1, "embedding_weight": 0},
    "vectors": {"text_weight": 0, "embedding_weight": 1},
    "both": {"text_weight": 1, "embedding_weight": 1},
}
GROUPS: dict[str, Callable[[Question], bool]] = {
    "all": lambda one: True,
    "English": lambda one: not one.is_japanese,
    "Japanese": lambda one: one.is_japanese,
    "set aside": lambda one: one.aside,
}


async def fill(sdk: openai.AsyncOpenAI, folder: Path) -> str:
    """A store with the documents."""
    store = await sdk.vector_stores.create(name="documents")
    uploads = [
        await sdk.files.create(file=(one.name, one.text.encode()), purpose="assistants")
        for one in read_sections(folder)
    ]
    await sdk.vector_stores.file_batches.create(store.id, file_ids=[one.id for one in uploads])
    while (found := await sdk.vector_stores.retrieve(store.id)).file_counts.in_progress:
        await asyncio.sleep(0.2)
    print(f"{found.file_counts.completed} documents of {found.file_counts.total} indexed", flush=True)
    return store.id


async def ranks(sdk: openai.AsyncOpenAI, store: str, weights: dict[str, float]) -> list[int | None]:
    """For each question the place of its document among the first ten."""
    places: list[int | None] = []
    for question in QUESTIONS:
        options: Any = {"hybrid_search": weights}
        found = await sdk.vector_stores.search(
            store, query=question.text, max_num_results=10, ranking_options=options
        )
        names = list(dict.fromkeys(one.filename for one in found.data))
        places.append(names.index(question.document) + 1 if question.document in names else None)
    return places


def report(name: str, places: Sequence[int | None]) -> None:
    """A row for each group."""
    for group, fits in GROUPS.items():
        own = [place for place, one in zip(places, QUESTIONS, strict=True) if fits(one)]
        first = sum(place == 1 for place in own)
        five = sum(place is not None and place <= 5 for place in own)
        mean = sum(1 / place for place in own if place) / len(own)
        print(f"| {name} | {group} | {first}/{len(own)} | {five}/{len(own)} | {mean:.2f} |", flush=True)


async def answers(sdk: openai.AsyncOpenAI, store: str) -> None:
    """What the default model cites."""
    outcomes: list[str] = []
    for question in QUESTIONS:
        tool: Any = {"type": "file_search", "vector_store_ids": [store], "max_num_results": 4}
        choice: Any = {"type": "file_search"}
        made: Any = await sdk.responses.create(
            model=MODEL,
            input=question.text,
            tools=[tool],
            tool_choice=choice,
            max_output_tokens=160,
            temperature=0,
        )
        cited = {
            note.filename
            for item in made.output
            if item.type == "message"
            for part in item.content
            for note in part.annotations
        }
        outcomes.append("none" if not cited else "right" if question.document in cited else "wrong")
        print(f"{len(outcomes)} {question.document} {outcomes[-1]}: {made.output_text[:100]!r}", flush=True)
    for group, fits in GROUPS.items():
        own = [outcome for outcome, one in zip(outcomes, QUESTIONS, strict=True) if fits(one)]
        counts = {kind: own.count(kind) for kind in ("right", "wrong", "none")}
        print(f"| default model | {group} | {counts} of {len(own)} |", flush=True)


async def main(folder: Path, home: Path, only: str | None, keep: Path | None) -> None:
    """Print the tables: ``only`` those of the search, or of the model's answers. ``keep``: where the indexed documents stay
    for the next run."""
    model = ModelSettings(engine="llama", target=DEFAULT_MODEL)
    with tempfile.TemporaryDirectory() as fresh:
        data = keep or Path(fresh)
        if not (data / "models").exists():
            data.mkdir(parents=True, exist_ok=True)
            (data / "models").symlink_to(home.resolve() / "models")
        async with served(settings(data, model)) as server:
            sdk = server.sdk(timeout=600)
            note = data / "store.txt"
            if not note.exists():
                note.write_text(await fill(sdk, folder))
            store = note.read_text()
            for name, weights in RANKINGS.items() if only != "answers" else ():
                report(name, await ranks(sdk, store, weights))
            if only != "search":
                await answers(sdk, store)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--only", choices=["search", "answers"])
    parser.add_argument("--keep", type=Path, help="a folder that keeps the indexed documents")
    given = parser.parse_args()
    asyncio.run(main(given.docs, given.home, given.only, given.keep))
