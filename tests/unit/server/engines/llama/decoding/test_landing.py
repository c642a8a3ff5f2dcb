"""JSON that goes round in a loop is ended with a valid rest."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kodo.server.engines.llama.decoding.landing import Landing
from kodo.server.engines.llama.tools.structured import Grammars
from kodo.server.wire.tools import JsonObjectFormat, JsonSchemaFormat

NUMBERS = {"type": "array", "items": {"type": "integer"}}
OBJECTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "notes": {"type": "array", "items": {"type": "string"}}},
        "required": ["name", "notes"],
    },
}
TREE = {
    "type": "object",
    "properties": {"child": {"$ref": "#/$defs/node"}},
    "required": ["child"],
    "$defs": {"node": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
}


async def _written(text: str, schema: dict[str, Any] | None, *, notice_loops: bool = True) -> str:
    """The text, token by token, as far as it is admitted, and what is written behind it."""

    async def count(ending: str) -> int:
        return len(ending)

    grammars = Grammars()
    format_ = JsonSchemaFormat(name="x", schema_=schema) if schema else JsonObjectFormat()
    grammar = await grammars.for_format(format_, 4096)
    assert grammar is not None
    landing = Landing(grammars.matcher(grammar), grammar.shortest_values, count, notice_loops=notice_loops)
    taken = ""
    for token in re.findall(r"[a-zA-Z]+|.", text):
        if not await landing.admits(token, 4096):
            assert not landing.is_broken
            return taken + (landing.ending or b"?").decode()
        taken += token
    return taken


@pytest.mark.parametrize(
    ("schema", "begins", "again"),
    [
        (OBJECTS, "[", '{"name":"Aiko","notes":[]},'),
        ({"type": "array", "items": {"type": "string"}}, '["a', '","'),
        (NUMBERS, "[7,", "1,2,3,"),
        ({"type": "array", "items": NUMBERS}, "[", "[],"),
        (TREE, "", '{"child":'),
        (None, "{", '"name":"Aiko","notes":[],'),
    ],
)
async def test_values_that_come_again_and_again_are_ended(
    schema: dict[str, Any] | None, begins: str, again: str
) -> None:
    """Items, empty ones too, properties and what is inside of each other."""
    text = begins + again * 60
    written = await _written(text, schema)
    json.loads(written)
    assert len(written) < 120
    assert await _written(text, schema, notice_loops=False) == text


async def test_a_second_item_that_is_the_same_is_the_last() -> None:
    """What a long item says again, a third one would say too."""
    item = {"name": "The login page fails", "notes": ["Safari", "17.2"]}
    text = json.dumps([item] * 9, separators=(",", ":"))
    assert json.loads(await _written(text, OBJECTS)) == [item] * 2


@pytest.mark.parametrize(("word", "most"), [("ラ", 16), ("バイト・", 5), ("_1", 22)])
async def test_a_string_of_one_word_is_ended_by_its_bytes(word: str, most: int) -> None:
    """Letters of three bytes take a model as long as short words."""
    text = json.dumps([word * 60], ensure_ascii=False)
    (written,) = json.loads(await _written(text, {"type": "array", "items": {"type": "string"}}))
    assert 2 <= written.count(word) <= most


PROSE = [f"Sentence {at} says something of its own. " for at in range(40)]
JAPANESE = [f"文{at}はそれぞれ別のことを言う。" for at in range(40)]
URL = "https://example.com/" + "/".join(f"part{at}" for at in range(60))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("".join(PROSE), "".join(PROSE[:8]).strip()),
        ("\n".join(line.strip() for line in PROSE), "\n".join(line.strip() for line in PROSE[:8])),
        ("".join(JAPANESE), "".join(JAPANESE[:8])),
        (URL, URL[:120]),
        (URL[:110] + " and " + URL[:110], URL[:110] + " and " + URL[:110]),
    ],
)
async def test_a_string_without_end_ends_at_a_sentence_or_in_its_word(value: str, kept: str) -> None:
    """Long prose at the next sentence, a word where it is longer than words are; both as they are without the setting."""
    strings = {"type": "array", "items": {"type": "string"}}
    text = json.dumps([value], ensure_ascii=False, separators=(",", ":"))
    assert json.loads(await _written(text, strings)) == [kept]
    assert json.loads(await _written(text, strings, notice_loops=False)) == [value]


@pytest.mark.parametrize(
    ("value", "most"),
    [
        ("Ada, " + ", ".join(str(year) for year in range(1808, 1900)), 90),
        ("kodo-" + "-".join(f"v0.{at % 7}.{at % 3}" for at in range(60)), 90),
        ("_".join(f"2026-{at:02}-24" for at in range(40)), 90),
        ("https://github.com/aiko-" + "git-" * 40, 70),
        ("https://github.com/kodo-" + ".".join(f"1.{at}.rc{at % 5}.v2" for at in range(30)), 100),
        ("The module is not a module. " * 9, 60),
        ("モジュールはモジュールではありません。" * 9, 40),
    ],
)
async def test_figures_and_sentences_that_go_on_are_ended(value: str, most: int) -> None:
    """Numbers, versions and dates in a row, a few letters, and a sentence that is said again."""
    strings = {"type": "array", "items": {"type": "string"}}
    text = json.dumps([value], ensure_ascii=False, separators=(",", ":"))
    (written,) = json.loads(await _written(text, strings))
    assert len(written) <= most
    assert value.startswith(written)
    assert json.loads(await _written(text, strings, notice_loops=False)) == [value]


@pytest.mark.parametrize(
    "value",
    [
        "123e4567-e89b-12d3-a456-426614174000",
        "https://example.com/customers/orders/items/123e4567-e89b-12d3-a456-426614174000/positions/12",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Call +81 3-1234-5678 or +81 90-1234-5678 before 2026-12-24T10:00:00Z, 10 of 12 items are left.",
        "def area(w, h):\n    return w * h\n\nprint(area(2, 3), area(4, 5), area(6, 7))\nprint(area(8, 9))",
        "<tr><td>1</td><td>2</td></tr>\n<tr><td>3</td><td>4</td></tr>\n<tr><td>5</td><td>6</td></tr>\n",
        "-" * 100,
        "Yes. Yes. No. Go on. Go on.",
    ],
)
async def test_strings_with_many_figures_that_say_something_are_left_alone(value: str) -> None:
    text = json.dumps([value], separators=(",", ":"))
    assert json.loads(await _written(text, {"type": "array", "items": {"type": "string"}})) == [value]


async def test_a_long_word_that_the_schema_asks_for_is_whole() -> None:
    """What is written behind a refusal is what the schema leaves: the rest of its value."""
    assert json.loads(await _written(json.dumps(URL), {"enum": [URL, "none"]})) == URL


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (
            OBJECTS,
            json.dumps([{"name": f"n{at}", "notes": ["ok"]} for at in range(40)], separators=(",", ":")),
        ),
        (NUMBERS, json.dumps([at * at for at in range(200)], separators=(",", ":"))),
        ({"type": "array", "items": NUMBERS}, "[[1,0,0],[0,1,0],[0,0,1]]"),
        ({"type": "array", "items": {"type": "boolean"}}, "[true,true,true,false]"),
    ],
)
async def test_values_that_are_alike_are_left_alone(schema: dict[str, Any], text: str) -> None:
    """Lists of the same form, and a few equal values."""
    assert await _written(text, schema) == text
