"""What prompts are made of before they are ids: turns, and the contents in them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

TurnRole: TypeAlias = Literal["system", "user", "assistant", "tool"]
TokenIds: TypeAlias = tuple[int, ...]


class TemplateText(Struct, frozen=True):
    """Words of kodo's or of the template's own, in which control tokens count. Never a client's."""

    text: str


Content: TypeAlias = str | TokenIds | TemplateText
"""Words, the very ids that the engine generated them as, or a mark."""


class TemplateTurn(Struct, frozen=True):
    """One message for the template: its role, and its contents, which follow each other without a gap.

    ``sources`` names for each content the item of the prompt it is from, or -1.
    """

    role: TurnRole
    contents: tuple[Content, ...]
    sources: tuple[int, ...]
    has_calls: bool = False
    """Whether a call is among the contents, for a template that knows calls."""
    call_id: str = ""
    """The call whose output a ``tool`` turn is."""


class ToolSpec(Struct, frozen=True):
    """A tool as a template is shown it."""

    name: str
    description: str
    parameters: dict[str, Any]


class Segment(Struct, frozen=True):
    """Text of the template, and the contents behind it."""

    prefix: str
    contents: tuple[Content, ...]
    sources: tuple[int, ...]
