"""An item of a conversation as a page shows it: a kind, a title, a text, and what else it has as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from kodo.server.ui.formats import pretty
from kodo.server.wire.items import Item

Tone = Literal["user", "assistant", "system", "tool", "reasoning", "other"]
_TONES: dict[str, Tone] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


@dataclass(frozen=True)
class ShownItem:
    """``tone`` picks its colour; ``code`` says that the text is code or JSON."""

    tone: Tone
    kind: str
    title: str
    text: str
    code: bool = False
    status: str | None = None
    notes: tuple[str, ...] = ()


def shown_item(item: Item) -> ShownItem:
    """The item as it is shown. Nothing of it is trusted: the template escapes all."""
    data: dict[str, Any] = msgspec.to_builtins(item)
    kind = str(data.get("type", ""))
    status = data.get("status") if isinstance(data.get("status"), str) else None
    if kind == "message":
        texts, notes = _parts(data.get("content") or [])
        role = str(data.get("role"))
        return ShownItem(_TONES.get(role, "other"), kind, role, texts, status=status, notes=notes)
    if kind == "reasoning":
        parts = [*(data.get("summary") or []), *(data.get("content") or [])]
        text = "\n\n".join(str(part.get("text", "")) for part in parts)
        notes = ("encrypted_content",) if data.get("encrypted_content") else ()
        return ShownItem("reasoning", kind, kind, text, status=status, notes=notes)
    title = str(data.get("name") or data.get("server_label") or data.get("call_id") or kind)
    body = {
        name: value
        for name, value in data.items()
        if name not in ("type", "id", "status", "name") and value is not None
    }
    if len(body) <= 2 and "call_id" in body:  # a call or its output: the rest is what counts
        inner = next((value for name, value in body.items() if name != "call_id"), "")
        return ShownItem(
            "tool", kind, title, pretty(inner), code=True, status=status, notes=(str(body["call_id"]),)
        )
    return ShownItem("tool", kind, title, pretty(body), code=True, status=status)


def _parts(parts: list[dict[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """The text of content parts, and what they have besides."""
    texts: list[str] = []
    notes: list[str] = []
    for part in parts:
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
            notes += [str(mark.get("type", "annotation")) for mark in part.get("annotations") or []]
        elif isinstance(part.get("refusal"), str):
            texts.append(part["refusal"])
            notes.append("refusal")
        else:
            notes.append(str(part.get("filename") or part.get("file_id") or part.get("type")))
    return "\n\n".join(texts), tuple(notes)
