"""An image or a file in the input says where its content is, in one way, whatever the model can do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, served, settings

from kodo.server.wire import decode
from kodo.server.wire.decode import BadBody

NOTHING: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"type": "input_image"}, "image_url"),
    "image of nulls": ({"type": "input_image", "image_url": None, "file_id": None}, "image_url"),
    "image of an empty URL": ({"type": "input_image", "image_url": "", "detail": "low"}, "image_url"),
    "file": ({"type": "input_file", "filename": "a.txt"}, "file_data"),
}
TWO: dict[str, tuple[dict[str, Any], str]] = {
    "image": (
        {"type": "input_image", "image_url": "https://a.example/b.png", "file_id": "file-1"},
        "file_id",
    ),
    "file": ({"type": "input_file", "file_data": "aGk=", "file_url": "https://a.example/b"}, "file_url"),
}
PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "message": ({"role": "user"}, "content"),
    "output of a function": ({"type": "function_call_output", "call_id": "c"}, "output"),
    "output of a custom tool": ({"type": "custom_tool_call_output", "call_id": "c"}, "output"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("part", "field", "code"),
    [
        *((*one, "missing_required_parameter") for one in NOTHING.values()),
        *((*one, "mutually_exclusive_parameters") for one in TWO.values()),
    ],
    ids=[*(f"nothing: {name}" for name in NOTHING), *(f"two: {name}" for name in TWO)],
)
def test_a_part_has_one_source(part: dict[str, Any], field: str, code: str, place: str) -> None:
    """None is an error, and so are two of them: which one counts would be a guess."""
    item, name = PLACES[place]
    with pytest.raises(BadBody) as caught:
        decode.items(
            [{"role": "user", "content": "x"}, {**item, name: [{"type": "input_text", "text": "x"}, part]}]
        )
    assert (caught.value.param, caught.value.code) == (f"input[1].{name}[1].{field}", code)


async def test_every_family_checks_it(tmp_path: Path) -> None:
    """Also where nothing is answered, and under the names that the family has for it."""
    image = {"role": "user", "content": [{"type": "input_image"}]}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("/v1/responses", {"model": MODEL, "input": [image]}, "input[0].content[0].image_url"),
        ("/v1/responses/input_tokens", {"model": MODEL, "input": [image]}, "input[0].content[0].image_url"),
        ("/v1/conversations", {"items": [image]}, "items[0].content[0].image_url"),
        (
            "/v1/chat/completions",
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "a"}}]}],
            },
            "messages[0].content[0].file.file_data",
        ),
    ]
    async with served(settings(tmp_path)) as server, server.http() as http:
        for path, body, param in cases:
            answer = await http.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), path
