"""The order and the fields of messages that servers, and the chat templates in them, take.

Templates refuse a second system message (Qwen3.5's), two turns of one role (Gemma's, Mistral's), or a system's role at all;
servers refuse fields that others want. What is not known of a server is learned from its refusal (:data:`RULES`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

MessageFields: TypeAlias = dict[str, Any]
Content: TypeAlias = str | list[dict[str, Any]]

BRIDGE: Final = "OK."
"""What the assistant says between the outputs of tools and the user."""


def fold_roles(messages: Sequence[MessageFields]) -> list[MessageFields]:
    """One system message in front; each later one, and what the user said in several messages, as one turn of the user."""
    leading = 0
    while leading < len(messages) and messages[leading]["role"] == "system":
        leading += 1
    folded: list[MessageFields] = []
    if leading:
        content = "\n\n".join(plain_text(message["content"]) for message in messages[:leading])
        folded.append({"role": "system", "content": content})
    carried: list[str] = []
    for message in messages[leading:]:
        if message["role"] == "system":
            carried.append(plain_text(message["content"]))
        elif message["role"] == "user":
            _append_user(folded, "\n\n".join(carried))
            _append_user(folded, message["content"])
            carried = []
        else:
            if carried and message["role"] == "assistant":
                _append_user(folded, "\n\n".join(carried))
                carried = []
            folded.append(message)
    if carried:
        _append_user(folded, "\n\n".join(carried))
    return folded


def _append_user(messages: list[MessageFields], content: Content) -> None:
    if not content:
        return
    last = messages[-1] if messages else None
    if last is not None and last["role"] == "user":
        messages[-1] = {**last, "content": _joined(last["content"], content)}
    else:
        messages.append({"role": "user", "content": content})


def _joined(one: Content, two: Content) -> Content:
    if isinstance(one, str) and isinstance(two, str):
        return f"{one}\n\n{two}"
    return [*_parts(one), *_parts(two)]


def _parts(content: Content) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def bridge_tools(messages: Sequence[MessageFields], words: str) -> list[MessageFields]:
    """The messages with words of the assistant between the outputs of tools and what the user says behind them."""
    bridged: list[MessageFields] = []
    for message in messages:
        if message["role"] == "user" and bridged and bridged[-1]["role"] == "tool":
            bridged.append({"role": "assistant", "content": words})
        bridged.append(message)
    return bridged


def plain_text(content: Content) -> str:
    """The words of a message's content."""
    if isinstance(content, str):
        return content
    return re.sub(r"\s+$", "", "".join(part.get("text", "") for part in content))


# --- what a server refuses -------------------------------------------------------------------------------------------


def _rename_reasoning(messages: Sequence[MessageFields]) -> list[MessageFields]:
    renamed = (
        {"reasoning" if name == "reasoning_content" else name: value for name, value in message.items()}
        for message in messages
    )
    return list(renamed)


def _without_reasoning(messages: Sequence[MessageFields]) -> list[MessageFields]:
    left = (
        {name: value for name, value in message.items() if not name.startswith("reasoning")}
        for message in messages
    )
    return [
        message
        for message in left
        if message["role"] != "assistant" or message.get("tool_calls") or message["content"]
    ]


def _bridge(messages: Sequence[MessageFields]) -> list[MessageFields]:
    return bridge_tools(messages, BRIDGE)


def _system_as_user(messages: Sequence[MessageFields]) -> list[MessageFields]:
    return fold_roles([{**one, "role": "user"} if one["role"] == "system" else one for one in messages])


_REFUSED: Final = r"(?:unsupported|not (?:supported|permitted|allowed)|unknown|unrecognized|unexpected|extra)"
RULES: Final[
    Mapping[str, tuple[re.Pattern[str], Callable[[Sequence[MessageFields]], list[MessageFields]]]]
] = {
    "reasoning_content": (
        re.compile(rf"(?is)(?=.*\breasoning_content\b).*{_REFUSED}"),
        _rename_reasoning,
    ),
    "reasoning": (
        re.compile(rf"(?is)(?=.*\b(?:messages?\b.{{0,60}}\breasoning|property .reasoning)\b).*{_REFUSED}"),
        _without_reasoning,
    ),
    "user after tool": (
        re.compile(r"(?i)role .?user.? after role .?tool|roles must alternate"),
        _bridge,
    ),
    "system": (
        re.compile(
            r"(?i)system role (?:is )?not supported|(?:system|developer) (?:role|instruction|messages?) (?:is|are) not (?:enabled|supported)"
        ),
        _system_as_user,
    ),
}
"""What servers and the templates in them refuse about messages, and the form that they take. In this order."""


def refused_rule(reason: str, messages: Sequence[MessageFields], known: Collection[str]) -> str | None:
    """The rule that a refusal speaks of, if it is new and changes the messages."""
    for name, (pattern, change) in RULES.items():
        if name not in known and pattern.search(reason) and change(messages) != list(messages):
            return name
    return None


def apply_rules(messages: Sequence[MessageFields], known: Collection[str]) -> list[MessageFields]:
    """The messages in the form that these rules ask for."""
    made = list(messages)
    for name, (_, change) in RULES.items():
        if name in known:
            made = change(made)
    return made
