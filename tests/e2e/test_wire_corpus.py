"""Today's wire against the recorded one, byte for byte but for what differs from run to run.

``python -m tests.e2e.wire_corpus --record`` records it anew; see ``tests/e2e/wire_corpus.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import wire_families
from tests.e2e.wire_corpus import differences, kept

pytestmark = pytest.mark.xdist_group("wire_corpus")


def exchanges() -> Iterator[dict[str, Any]]:
    """Every recorded request over HTTP with its answer."""
    for text in kept().values():
        yield from (one for one in json.loads(text) if "request" in one)


def operations() -> dict[tuple[str, str], Any]:
    """Every method and path of the recorded document."""
    (document,) = json.loads(kept()["openapi"])
    return {
        (method.upper(), path): operation
        for path, methods in document["response"]["json"]["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "delete", "put", "patch")
    }


def route(path: str, templates: list[str]) -> str | None:
    """The template of a path: of those that fit the one with the fewest names."""
    path = path.partition("?")[0]
    fitting = [one for one in templates if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path)]
    return min(fitting, key=lambda one: one.count("{"), default=None)


def test_the_wire_is_the_recorded_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every family of requests is answered as it was when the corpus was recorded, in every byte that can repeat."""
    before, now = kept(), wire_families.record(tmp_path_factory.mktemp("wire"))
    assert before.keys() == now.keys()
    changed = [name for name in now if before[name] != now[name]]
    if changed:
        pytest.fail("\n".join(differences(before[name], now[name], name) for name in changed), pytrace=False)


@pytest.mark.parametrize("good", [True, False], ids=["well", "wrongly"])
def test_every_operation_is_in_the_corpus(good: bool) -> None:
    """Each method and path of /openapi.json was answered at least once well and once with an error."""
    templates = list(dict.fromkeys(path for _, path in operations()))
    seen = {
        (one["request"]["method"], route(one["request"]["path"], templates))
        for one in exchanges()
        if (one["response"]["status"] < 400) is good
    }
    assert set(operations()) - seen == set()


def test_every_streaming_operation_is_recorded_as_a_stream() -> None:
    """Each operation whose document names an event stream has one in the corpus."""
    templates = list(dict.fromkeys(path for _, path in operations()))
    streamed = {
        (one["request"]["method"], route(one["request"]["path"], templates))
        for one in exchanges()
        if "events" in one["response"]
    }
    named = {name for name, operation in operations().items() if "text/event-stream" in json.dumps(operation)}
    assert named
    assert named - streamed == set()


def test_every_typical_status_is_in_the_corpus() -> None:
    """What can go wrong over HTTP is recorded, each status at least once."""
    wanted = {200, 400, 401, 403, 404, 405, 409, 413, 415, 429, 503}
    assert wanted - {one["response"]["status"] for one in exchanges()} == set()
