"""The prompt cache for real: over a restart, in time and in counts, and never from one project to another."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Server

from kodo.server.http.admin import create_key

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("real model")]
MODEL = "codex-mini-latest"
DAY: dict[str, Any] = {"extra_body": {"prompt_cache_retention": "24h"}}


def prefix(subject: str, sentences: int) -> str:
    """About eleven tokens a sentence."""
    return " ".join(f"{subject} number {number} is {number * 7 % 1000}." for number in range(sentences))


def ask(
    server: Server,
    subject: str,
    question: str,
    key: str,
    api_key: str = "any",
    sentences: int = 138,
    **more: Any,
) -> tuple[float, Any]:
    """Seconds to the first token, and the usage."""
    begun = time.perf_counter()
    first = 0.0
    events = server.sdk(api_key).responses.create(
        model=MODEL,
        input=prefix(subject, sentences) + question,
        prompt_cache_key=key,
        max_output_tokens=4,
        temperature=0,
        stream=True,
        **more,
    )
    for event in events:
        if event.type == "response.output_text.delta" and not first:
            first = time.perf_counter() - begun
        if event.type in ("response.completed", "response.incomplete"):
            return first, event.response.usage
    raise AssertionError("the stream had no end")


def test_a_kept_prefix_survives_a_restart_and_answers_in_a_tenth_of_the_time(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """Once in up to three tries, warm and cold measured in turns in one process; and the counts say why."""
    server = serve()
    _, written = ask(server, "Box", " And?", "boxes", **DAY)
    assert written.input_tokens >= 1500
    assert written.input_tokens_details.cached_tokens < 100
    assert written.input_tokens_details.cache_write_tokens >= 1400
    server.stop()
    server = serve()
    ratios = []
    for number in range(3):
        cold, nothing = ask(server, f"Jar{number}", " And?", f"jars{number}")
        assert nothing.input_tokens_details.cached_tokens < 100
        assert nothing.input_tokens_details.cache_write_tokens == 0
        warm, kept = ask(server, "Box", f" And number {number}?", "boxes", **DAY)
        assert kept.input_tokens_details.cached_tokens >= 1400
        ratios.append(warm / cold)
        if ratios[-1] <= 0.1:
            break
    print("warm/cold", ratios)
    assert min(ratios) <= 0.1


def test_no_project_meets_anothers_cache(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The same prompt under the same cache key is read anew for another project, in memory and from the disk."""
    home = tmp_path / "home"
    home.mkdir()
    keys = {project: create_key(home, name=project, project=project)[0] for project in ("one", "two")}
    server = serve(home=home)
    few: dict[str, Any] = {"sentences": 40}
    ask(server, "Cup", "?", "cups", keys["one"], **few, **DAY)
    _, again = ask(server, "Cup", "?", "cups", keys["one"], **few, **DAY)
    _, other = ask(server, "Cup", "?", "cups", keys["two"], **few, **DAY)
    assert again.input_tokens_details.cached_tokens > 300
    assert other.input_tokens_details.cached_tokens == 0
    server.stop()
    server = serve(home=home)
    _, restarted = ask(server, "Cup", "?", "cups", keys["one"], **few, **DAY)
    assert restarted.input_tokens_details.cached_tokens > 300
    _, third = ask(server, "Cup", "?", "unknown", keys["two"], **few, **DAY)
    assert third.input_tokens_details.cached_tokens == 0
