"""Masks the secrets of a recorded event stream, also those that are split over several events.

The strings of a stream that continue each other stand at the same place of events of the same kind, such as ``delta``
of each ``response.output_text.delta`` of one item: they are joined, masked, and put back into their events. Events
in which nothing was masked keep their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kodo.client.redaction import mask_pieces, mask_text

_PART_NAMES = ("type", "item_id", "output_index", "content_index", "summary_index", "index", "id")
"""Fields that say to which text an event belongs."""

Place = tuple[object, ...]


def mask_events(text: str) -> str:
    """A stream of server-sent events without its secrets."""
    lines = text.split("\n")
    events = {number: value for number, line in enumerate(lines) if (value := _data(line)) is not None}
    places: dict[Place, list[tuple[int, Place, str]]] = {}
    for number, event in events.items():
        for path, string in _strings(event):
            places.setdefault((_part(event), path), []).append((number, path, string))
    changed: set[int] = set()
    for strings in places.values():
        masked, found = mask_pieces([string for _, _, string in strings])
        if not found:
            continue
        for (number, path, before), after in zip(strings, masked, strict=True):
            if before != after:
                _put(events[number], path, after)
                changed.add(number)
    for number, line in enumerate(lines):
        if number in changed:
            end = "\r" if line.endswith("\r") else ""
            lines[number] = "data: " + json.dumps(events[number], ensure_ascii=False) + end
        elif number not in events:
            lines[number] = mask_text(line)[0]
    return "\n".join(lines)


def _data(line: str) -> Any:
    """The JSON object or list of a data line, None for any other line."""
    name, colon, rest = line.partition(":")
    if not colon or name != "data":
        return None
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _part(event: object) -> Place:
    return tuple(event.get(name) for name in _PART_NAMES) if isinstance(event, dict) else ()


def _strings(value: object, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every string of a JSON value with its place in it; iterative, so that its depth is not limited."""
    todo: list[tuple[Place, object]] = [(path, value)]
    while todo:
        here, part = todo.pop()
        if isinstance(part, str):
            yield here, part
        elif isinstance(part, dict):
            todo.extend(((*here, key), item) for key, item in part.items())
        elif isinstance(part, list):
            todo.extend(((*here, index), item) for index, item in enumerate(part))


def _put(event: Any, path: Place, text: str) -> None:
    for step in path[:-1]:
        event = event[step]
    event[path[-1]] = text
