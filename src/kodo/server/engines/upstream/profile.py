"""What each kind of server expects and sends, as data: ``profiles/NAME.toml``, one file a server.

A profile changes the form of a request only. The readers of answers accept the forms of all servers, because a proxy
in between may send any of them.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct, field


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of server."""

    name: str
    max_tokens: str = "max_tokens"
    """The field that caps the output."""
    system: Literal["keep", "fold"] = "fold"
    """``fold``: the leading system messages are one, a later one becomes a part of the user's turn, and so do messages of
    the user in a row, because many chat templates refuse others. ``keep``: as they come."""
    bridge: str = ""
    """Words of the assistant between outputs of tools and a user's message, where the two may not follow each other."""
    reasoning_back: Literal["reasoning_content", "reasoning", "thinking_parts", "none"] = "reasoning_content"
    """How the model's own reasoning goes back to it."""
    reasoning_required: bool = False
    """Whether a message with calls is refused without that field; it is empty then."""
    echo: tuple[str, ...] = ()
    """Fields of a message or call that the server wants back as it sent them."""
    missing_call_fields: dict[str, Any] = field(default_factory=dict)
    """Fields of a message's first call that the server insists on, for calls that another model made."""
    effort: str = "reasoning_effort"
    """Path of the field for the reasoning effort, dots between names; empty: it is not sent."""
    efforts: dict[str, Any] = field(default_factory=dict)
    """Other values for efforts: ``{"minimal": "low"}``."""
    no_effort: dict[str, Any] = field(default_factory=dict)
    """Fields of the body that stand for the effort ``none``, where it is no value of the effort's own field."""
    effort_optional: bool = False
    """Whether models that take no effort are asked again without it."""
    tool_choice: Literal["name", "required"] = "name"
    """How one tool is asked for: by its name, or as the only one of which some must be called."""
    json_object: Literal["type", "schema"] = "type"
    """``schema``: JSON of any form is asked for as a schema, because the server knows no type of its own for it."""
    omit: tuple[str, ...] = ()
    """Fields of the body that the server refuses or does not know."""
    rename: dict[str, str] = field(default_factory=dict)
    """Fields of the body that have another name here."""
    parallel: Literal["if_false", "always"] = "if_false"
    """When ``parallel_tool_calls`` is sent: always to a server whose default is one call."""
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    """Sent with each request, besides those of the settings."""
    auth: Literal["bearer", "api-key"] = "bearer"
    max_call_id: int = 64
    """Characters of a call's id."""
    call_id_length: int | None = None
    """The exact length of a call's id (letters and digits), where the server insists on one."""
    images: bool = True
    image_urls: bool = False
    """Whether the server may fetch images by URL; else only data URLs are sent."""
    files: bool = False
    """Whether files that are not text (PDF) are accepted."""
    tokenize: Literal["", "vllm", "sglang", "llamacpp"] = ""
    """How the server counts tokens before it answers."""
    health: str = "/models"
    """A question that costs the server nothing, below the base URL; with ``//`` below its host."""
    overflow: tuple[str, ...] = ()
    """Patterns of the messages for a prompt that does not fit, with the groups ``window`` and ``needed`` if they are in;
    ``output``: tokens of the answer that are not in ``needed``."""


@lru_cache
def profiles() -> dict[str, Profile]:
    """All profiles, by name."""
    found = {}
    for entry in files("kodo.server.engines.upstream").joinpath("profiles").iterdir():
        if entry.name.endswith(".toml"):
            profile = msgspec.toml.decode(entry.read_bytes(), type=Profile)
            found[profile.name] = profile
    return found


def profile_named(name: str) -> Profile:
    """The profile of a name.

    Raises:
        ValueError: no such profile; the message lists the known ones.
    """
    try:
        return profiles()[name]
    except KeyError:
        known = ", ".join(sorted(profiles()))
        raise ValueError(f"unknown upstream profile {name!r}; choose auto or one of {known}") from None
