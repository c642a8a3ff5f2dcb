"""docs/guides/anthropic.md, the SDK's signatures and the code say the same."""

from __future__ import annotations

import re

import msgspec
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from tests.paths import DOCS

from kodo.server.http.anthropic.request_translation import ignored_parameters, parse_request
from kodo.server.wire.anthropic import IGNORED, REFUSED, CountTokensRequest, MessagesRequest
from kodo.server.wire.decode import BadBody

BODY = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}


def _table() -> dict[str, str]:
    """The rows: parameter, what becomes of it."""
    _, section = (DOCS / "guides" / "anthropic.md").read_text().split("## `POST /v1/messages`\n")
    rows: list[tuple[str, str]] = re.findall(
        r"^\| `(\w+)` \| (\w+) \|", section.partition("\n## ")[0], re.MULTILINE
    )
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_every_parameter_of_the_sdk_has_a_row_and_is_what_the_code_does() -> None:
    """Honoured rows are the fields of the body, the others IGNORED and REFUSED, and the SDK has no others."""
    base = message_create_params.MessageCreateParamsBase
    streaming = message_create_params.MessageCreateParamsStreaming
    table = _table()
    assert {*base.__annotations__, *streaming.__annotations__} <= table.keys()
    of = {
        what: {name for name, found in table.items() if found == what}
        for what in ("honoured", "ignored", "refused")
    }
    assert of["honoured"] == {field.encode_name for field in msgspec.structs.fields(MessagesRequest)}
    assert of["ignored"] == IGNORED
    assert of["refused"] == set(REFUSED)


def test_counting_takes_what_the_sdk_sends() -> None:
    """Every parameter of count_tokens is a field or ignored."""
    sdk = message_count_tokens_params.MessageCountTokensParams.__annotations__
    assert set(sdk) <= {field.encode_name for field in msgspec.structs.fields(CountTokensRequest)} | IGNORED


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_parameter_is_named(name: str) -> None:
    """A refused parameter with a value is an error that names it; with null it is as if it were not there."""
    with pytest.raises(BadBody) as caught:
        parse_request({**BODY, name: ["x"]}, MessagesRequest)
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert parse_request({**BODY, name: None}, MessagesRequest).max_tokens == 1


def test_an_ignored_field_of_options_is_told() -> None:
    """By its path; those that the object has, and null ones, are not named."""
    options = {
        "metadata": {"user_id": "u", "x": 1},
        "thinking": {"type": "disabled", "budget": 5, "display": None},
        "output_config": {
            "effort": "low",
            "format": {"type": "json_schema", "schema": {}, "name": "n"},
            "y": None,
        },
        "tool_choice": {"type": "auto", "z": []},
    }
    ignored = ["metadata.x", "output_config.format.name", "thinking.budget", "tool_choice.z"]
    assert ignored_parameters({**BODY, **options}) == ignored


@pytest.mark.parametrize("name", [*sorted(IGNORED), "of_tomorrow"])
def test_an_ignored_parameter_is_told(name: str) -> None:
    """An ignored or unknown parameter is named, unless it is null; honoured ones are not."""
    assert ignored_parameters({**BODY, name: {}}) == [name]
    assert ignored_parameters({**BODY, name: None}) == []
