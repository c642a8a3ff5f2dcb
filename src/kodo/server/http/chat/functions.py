"""``functions`` and ``function_call``: the first form of ``tools`` and ``tool_choice`` in Chat Completions.

Clients from before November 2023 know no other. They have one call at a time, without an id; here it gets one, so that the
rest of the server knows tools only. Source: openai-python 3.54 (``Function``, ``ChatCompletionFunctionMessageParam``).
"""

from __future__ import annotations

from typing import Any

from msgspec import UnsetType

from kodo.server.wire import chat
from kodo.server.wire.chat import ChatRequest
from kodo.server.wire.decode import BadBody


def check_functions(body: ChatRequest) -> None:
    """Refuse what does not go together. Raises :class:`BadBody`."""
    if body.functions is None and body.function_call is not None:
        raise BadBody("function_call requires functions.", "function_call", "invalid_value")
    if body.functions is not None and (body.tools is not None or body.tool_choice is not None):
        raise BadBody(
            "functions and tools are mutually exclusive.", "functions", "mutually_exclusive_parameters"
        )


def function_tools(body: ChatRequest) -> list[dict[str, Any]]:
    """The functions as tools of the Responses API."""
    return [
        {"type": "function", **{name: value for name, value in one.items() if value is not None}}
        for one in body.functions or ()
    ]


def function_choice(choice: Any) -> Any:
    """``function_call`` as a choice among tools. Raises :class:`BadBody`."""
    if choice is None or choice in ("none", "auto"):
        return choice
    name = choice.get("name") if isinstance(choice, dict) else None
    if not isinstance(name, str):
        raise BadBody(
            "'function_call' must be none, auto or an object with the name of a function.",
            "function_call",
            "invalid_value",
        )
    return {"type": "function", "name": name}


class FunctionCalls:
    """The ids of the calls in a history that has none."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    def begin(self, name: object, index: int) -> str:
        """The id for a call in the message of an index."""
        call_id = self._open[str(name)] = f"call_function_{index}"
        return call_id

    def answer(self, name: object, path: str) -> str:
        """The id of the call that a message at ``path`` answers: the last one of the name.

        Raises:
            BadBody: there is none, or it was answered.
        """
        call_id = self._open.pop(name, None) if isinstance(name, str) else None
        if call_id is None:
            raise BadBody(
                f"No function call before this message has the name {name!r}.",
                f"{path}.name",
                "invalid_value",
            )
        return call_id


def as_function_call(call: chat.ToolCall) -> chat.ToolCallFunction | UnsetType:
    """A call, or what a chunk adds to it, in the first form."""
    return call.function
