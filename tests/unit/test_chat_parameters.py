"""docs/guides/chat.md, the SDK's signatures and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types import completion_create_params as legacy_params
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params as chat_params
from tests.paths import DOCS
from tests.serving import MODEL, served, settings

from kodo.server.http.chat.request_translation import parse_request
from kodo.server.wire.chat import REFUSED, ChatRequest
from kodo.server.wire.decode import BadBody
from kodo.server.wire.embeddings import EmbeddingsRequest
from kodo.server.wire.legacy import LegacyRequest

DOC = DOCS / "guides" / "chat.md"
MESSAGES = [{"role": "user", "content": "hello"}]


def _names(*kinds: type) -> set[str]:
    return {name for kind in kinds for name in kind.__annotations__}


FAMILIES: dict[str, tuple[set[str], type[msgspec.Struct], dict[str, str]]] = {
    "/v1/chat/completions": (
        _names(chat_params.CompletionCreateParamsBase, chat_params.CompletionCreateParamsStreaming),
        ChatRequest,
        REFUSED,
    ),
    "/v1/completions": (
        _names(legacy_params.CompletionCreateParamsBase, legacy_params.CompletionCreateParamsStreaming),
        LegacyRequest,
        {},
    ),
    "/v1/embeddings": (_names(embedding_create_params.EmbeddingCreateParams), EmbeddingsRequest, {}),
}
"""What the SDK sends, the body here, and what it refuses."""

ACCEPTED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "modalities": ["text"],
        "prediction": {"type": "content", "content": "zebra"},
        "safety_identifier": "zebra",
        "user": "zebra",
    },
    "/v1/completions": {"user": "zebra"},
    "/v1/embeddings": {"user": "zebra"},
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "hello"},
    "/v1/embeddings": {"input": "hello"},
}


def _table(path: str) -> dict[str, str]:
    """The rows of an endpoint: parameter, what becomes of it."""
    _, section = DOC.read_text().split(f"## `POST {path}`\n")
    rows: list[tuple[str, str]] = re.findall(
        r"^\| `(\w+)` \| (\w+) \|", section.partition("\n## ")[0], re.MULTILINE
    )
    assert len(dict(rows)) == len(rows)
    return dict(rows)


@pytest.mark.parametrize("path", FAMILIES)
def test_every_parameter_of_the_sdk_has_a_row_and_is_what_the_code_does(path: str) -> None:
    """Rows that are not refused are the fields of the body, refused ones are REFUSED, and the SDK has no others."""
    sdk, body, refused = FAMILIES[path]
    table = _table(path)
    assert sdk <= table.keys()
    assert set(table.values()) <= {"honoured", "echoed", "accepted", "refused"}
    assert {name for name, what in table.items() if what == "refused"} == set(refused)
    fields = {field.encode_name for field in msgspec.structs.fields(body)}
    assert table.keys() - refused.keys() == fields


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_parameter_is_named(name: str) -> None:
    """A refused parameter with a value is an error that names it; with null it is as if it were not there."""
    with pytest.raises(BadBody) as caught:
        parse_request({"model": "m", "messages": MESSAGES, name: {}})
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert parse_request({"model": "m", "messages": MESSAGES, name: None}).messages == MESSAGES


@pytest.mark.parametrize("path", FAMILIES)
async def test_an_accepted_parameter_changes_nothing_and_an_unknown_one_is_refused(
    path: str, tmp_path: Path
) -> None:
    """The answer is the same with it, and does not show it."""
    assert {name for name, what in _table(path).items() if what == "accepted"} == set(ACCEPTED[path])
    async with served(settings(tmp_path)) as server, server.http() as http:
        body = {"model": MODEL, **BODIES[path]}
        plain = (await http.post(path, json=body)).json()
        for name, value in ACCEPTED[path].items():
            answer = await http.post(path, json={**body, name: value})
            assert answer.status_code == 200, answer.text
            assert "zebra" not in answer.text
            assert {**answer.json(), "id": 0, "created": 0} == {**plain, "id": 0, "created": 0}
        unknown = await http.post(path, json={**body, "zebra": 1})
        assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "zebra")
        assert unknown.json()["error"]["code"] == "unknown_parameter"
