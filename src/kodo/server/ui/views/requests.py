"""The list of responses, one response with everything about it, and the events of one that is being made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import RedirectResponse, Response, StreamingResponse

from kodo.server.lifecycle.activity import Activity, ActivityFilter
from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.records import ItemRow
from kodo.server.lifecycle.row_codec import decode_request, decode_response
from kodo.server.ui.context import PAGE_SIZE, PageRequest, not_found
from kodo.server.ui.formats import pretty
from kodo.server.ui.items import ShownItem, shown_item
from kodo.server.wire.events import sse
from kodo.server.wire.response import Response as WireResponse

MAX_ANCESTORS: Final = 40
MAX_CHILDREN: Final = 20
MAX_EVENTS: Final = 300
STATUSES: Final = ("completed", "incomplete", "failed", "cancelled", "in_progress", "queued")
SPANS: Final = {"1h": 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400}


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/requests``: filter, search, pages."""
    query = page.query
    status = query.get("status", "")
    span = SPANS.get(query.get("range", ""))
    wanted = ActivityFilter(
        owner=page.viewer.owner,
        status=status if status in STATUSES else None,
        model=query.get("model") or None,
        since=None if span is None else page.state.clock.now() - span,
        text=query.get("q", "").strip()[:200] or None,
        before=page.number("before"),
    )
    if wanted.text is not None and not page.viewer.show_prompts and not wanted.text.startswith("resp_"):
        wanted = msgspec.structs.replace(wanted, text="resp_" + wanted.text)
    found, models = await asyncio.gather(
        page.context.activity.activities(wanted, PAGE_SIZE + 1), page.context.activity.models()
    )
    return page.render(
        "request_rows.html" if page.http.headers.get("hx-target", "").endswith("rows") else "requests.html",
        "requests",
        activities=found[:PAGE_SIZE],
        more=found[PAGE_SIZE - 1].seq if len(found) > PAGE_SIZE else None,
        models=models,
        statuses=STATUSES,
        spans=list(SPANS),
        chosen={name: query.get(name, "") for name in ("q", "status", "model", "range")},
    )


@dataclass(frozen=True)
class ChainNode:
    """A response in the tree of those that continue each other. ``depth`` counts from the oldest that is shown."""

    activity: Activity
    depth: int
    current: bool


async def show(page: PageRequest) -> Response:
    """``GET /ui/requests/{id}``."""
    line = await _line(page)
    store, owner = page.state.store, line.owner
    row = await store.get_response(owner, line.id)
    if row is None:
        raise not_found("response")
    given, made = await store.response_items(owner, line.id)
    response = decode_response(row)
    running = next((run for run in page.state.service.runs(owner) if run.id == line.id), None)
    if running is not None:
        response = running.visible
    return page.render(
        "request.html",
        "requests",
        line=line,
        tokens_per_second=_tokens_per_second(line),
        costs=page.costs(line.model, line.usage),
        response=response,
        parameters=_parameters(response, decode_request(row).key_id),
        tools=[_tool(msgspec.to_builtins(tool)) for tool in response.tools],
        given=[_shown(item) for item in given],
        made=[_shown(item) for item in made] if made else [shown_item(item) for item in response.output],
        events=await _event_lines(page, line),
        max_events=MAX_EVENTS,
        chain=await _chain(page, line),
        live=running is not None,
        raw=msgspec.json.format(msgspec.json.encode(response), indent=2).decode(),
    )


async def events(page: PageRequest) -> Response:
    """``GET /ui/requests/{id}/events``: as the API streams them, for the live view."""
    line = await _line(page)
    if not page.viewer.show_prompts:
        raise not_found("response")
    after = page.number("after")
    batches = await page.state.service.events(line.owner, line.id, -1 if after is None else after)

    async def frames() -> AsyncIterator[bytes]:
        async for batch in batches:
            if not await page.context.still_allows(page.viewer):
                return
            yield b"".join(sse(event) for event in batch)
        yield b"event: kodo.end\ndata: {}\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def cancel(page: PageRequest) -> Response:
    """``POST /ui/requests/{id}/cancel``."""
    line = await _line(page)
    await page.state.service.cancel(line.owner, line.id)
    return RedirectResponse(f"/ui/requests/{line.id}", 303)


async def delete(page: PageRequest) -> Response:
    """``POST /ui/requests/{id}/delete``."""
    line = await _line(page)
    await page.state.service.delete(line.owner, line.id)
    return RedirectResponse("/ui/requests", 303)


def _tokens_per_second(line: Activity) -> float | None:
    """Of the answer while it was written; None: it was not timed."""
    timing = line.timing
    if timing.total is None or timing.first_token is None or line.usage.output < 2:
        return None
    seconds = timing.total - timing.first_token
    return (line.usage.output - 1) / seconds if seconds > 0 else None


async def _line(page: PageRequest) -> Activity:
    """The line of the response that the path names. Raises ``NotFound``, also for another project's."""
    line = await page.context.activity.activity(page.path("response_id"))
    if line is None or not page.viewer.may_see(line.owner):
        raise not_found("response")
    return line


async def _chain(page: PageRequest, line: Activity) -> Sequence[ChainNode]:
    """The ancestors, the nearest :data:`MAX_ANCESTORS` of them, the response, and what continues it."""
    reader = page.context.activity
    above: list[Activity] = []
    parent = line.parent
    while parent is not None and len(above) < MAX_ANCESTORS:
        found = await reader.activity(parent)
        if found is None or found.owner != line.owner:
            break
        above.append(found)
        parent = found.parent
    nodes = [ChainNode(each, depth, False) for depth, each in enumerate(reversed(above))]
    nodes.append(ChainNode(line, len(above), True))
    below = [child for child in await reader.children(line.id, MAX_CHILDREN) if child.owner == line.owner]
    nodes += [ChainNode(child, len(above) + 1, False) for child in below]
    return nodes


async def _event_lines(page: PageRequest, line: Activity) -> Sequence[tuple[int, str, str]]:
    """Number, type and text of the first events; none while it runs, they are streamed then."""
    if not page.viewer.show_prompts:
        return []
    try:
        batches = await page.state.service.events(line.owner, line.id)
    except NotFound:
        return []
    lines: list[tuple[int, str, str]] = []
    if any(run.id == line.id for run in page.state.service.runs(line.owner)):
        return lines
    async for batch in batches:
        for event in batch:
            data = msgspec.to_builtins(event)
            lines.append((event.sequence_number, data["type"], _event_text(data)))
            if len(lines) >= MAX_EVENTS:
                return lines
    return lines


def _event_text(data: dict[str, Any]) -> str:
    """What an event brings, in short."""
    for name in ("delta", "text", "arguments", "input", "code"):
        if isinstance(data.get(name), str):
            return str(data[name])[:400]
    item = data.get("item") or data.get("part") or data.get("response") or {}
    return " ".join(
        str(item[name]) for name in ("type", "status", "name") if isinstance(item, dict) and item.get(name)
    )


def _tool(data: dict[str, Any]) -> dict[str, str]:
    """A tool that was offered: its name, its type, and all of it as JSON."""
    kind = str(data.get("type", ""))
    return {
        "name": str(data.get("name") or data.get("server_label") or kind),
        "kind": kind,
        "text": pretty(data),
    }


def _shown(row: ItemRow) -> ShownItem:
    return shown_item(row.context.item)


def _parameters(response: WireResponse, key_id: str | None) -> dict[str, Any]:
    """What was asked for, without what the page shows elsewhere."""
    hidden = {
        "id", "object", "output", "usage", "status", "error", "incomplete_details", "created_at", "completed_at",
        "model", "metadata", "tools", "instructions", "previous_response_id", "conversation", "tool_usage",
    }  # fmt: skip
    values = {name: value for name, value in msgspec.to_builtins(response).items() if name not in hidden}
    return {
        **({"key": key_id} if key_id else {}),
        **{name: value for name, value in values.items() if value is not None},
    }
