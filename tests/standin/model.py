"""The model behind the stand-in: what it says to a conversation, before any server puts it into its own form.

A tool loop of three turns: asked about the weather, it thinks and calls ``get_weather`` for two cities at the same time;
given both outputs, it thinks and calls ``get_time``, which takes nothing; given that, it answers. Asked to run a command, it calls
``exec_command`` (Codex CLI's tool) and tells the last line of the output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Turn:
    """What the model writes."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


@dataclass
class Conversation:
    """What a server understood of a request."""

    texts: list[str] = field(default_factory=list)
    """The user's texts."""
    outputs: int = 0
    """Tool outputs behind the last text of the user."""
    output: str = ""
    """The last of them."""
    images: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Tool outputs that say that a tool is not there."""


def answer(conversation: Conversation) -> Turn:
    """The model's turn."""
    asked = conversation.texts[-1] if conversation.texts else ""
    if conversation.errors:
        return Turn(text="I have no such tool. " + conversation.errors[-1])
    if "invent" in asked:
        return Turn(reasoning="Rockets.", calls=(("launch_rockets", {"count": 3}),))
    if conversation.images or conversation.files:
        seen = [f"an image of {len(url)} characters" for url in conversation.images]
        return Turn(
            text="I see " + " and ".join(seen + [f"the file {name}" for name in conversation.files]) + "."
        )
    if "run a command: " in asked:
        if conversation.outputs == 0:
            command = asked.partition("run a command: ")[2]
            return Turn(reasoning="A command.", calls=(("exec_command", {"cmd": command}),))
        said = conversation.output.strip().splitlines() or [""]
        return Turn(reasoning="It ran.", text=f"The command said {said[-1]}.")
    if "weather" in asked:
        if conversation.outputs == 0:
            calls = tuple(("get_weather", {"city": city}) for city in ("Paris", "Tokyo"))
            return Turn(reasoning="I need both cities.", calls=calls)
        if conversation.outputs == 2:
            return Turn(reasoning="Now the time.", calls=(("get_time", {}),))
        return Turn(reasoning="I know it all.", text="It is sunny in Paris and Tokyo, at noon.")
    return Turn(reasoning="Easy.", text=f"You said: {asked}")
