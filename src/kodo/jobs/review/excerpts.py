"""Long texts in the few characters that a remark has for them."""

from __future__ import annotations

LONGEST = 120
"""Characters of an outcome in a remark."""


def short(text: str, limit: int = LONGEST) -> str:
    """The beginning of a text, with dots where it was cut."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def around_difference(old: str, new: str, limit: int = LONGEST) -> tuple[str, str]:
    """Two texts, cut around the first place where they differ if one of them is long: their beginnings may be alike."""
    if max(len(old), len(new)) <= limit:
        return old, new
    at = next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other),
        min(len(old), len(new)),
    )
    start = max(0, at - limit // 3)

    def cut(text: str) -> str:
        piece = text[start : start + limit]
        return ("..." if start else "") + piece + ("..." if start + limit < len(text) else "")

    return cut(old), cut(new)
