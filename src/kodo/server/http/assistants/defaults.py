"""What an assistant, a thread or a run shows where the client set nothing: the value that holds, as the hosted API does.

Stored is what the client set, so a default follows the model when an assistant gets another one. The temperature and
``top_p`` are the model's own, as in a response (1 where its card has none). Sources: OpenAI's API reference
(``"temperature": 1.0, "top_p": 1.0, "tool_resources": {}``) and printed objects of openai-python, where a tool without files
has an empty list of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from kodo.server.lifecycle.plan import Backend
from kodo.server.wire import assistants as wire

T = TypeVar("T", wire.Assistant, wire.ThreadRun)
_SAMPLING: Final = 1.0
"""OpenAI's default of both, for a model that is not served any more."""


def with_sampling(value: T, models: Mapping[str, Backend]) -> T:
    """An assistant or run with the temperature and ``top_p`` that hold."""
    backend = models.get(value.model)
    card = None if backend is None else backend.card
    changes: dict[str, Any] = {}
    if value.temperature is None:
        changes["temperature"] = _SAMPLING if card is None else card.temperature
    if value.top_p is None:
        changes["top_p"] = _SAMPLING if card is None else card.top_p
    return msgspec.structs.replace(value, **changes)


def shown_assistant(value: wire.Assistant, models: Mapping[str, Backend]) -> wire.Assistant:
    """An assistant as a client sees it."""
    resources = value.tool_resources or wire.ToolResources()
    kinds = {type(tool) for tool in value.tools}
    if wire.AssistantCodeInterpreter in kinds and not resources.code_interpreter:
        resources = msgspec.structs.replace(resources, code_interpreter=wire.CodeInterpreterResources())
    if wire.AssistantFileSearch in kinds and not resources.file_search:
        resources = msgspec.structs.replace(resources, file_search=wire.FileSearchResources())
    return msgspec.structs.replace(with_sampling(value, models), tool_resources=resources)


def shown_thread(value: wire.Thread) -> wire.Thread:
    """A thread as a client sees it."""
    return msgspec.structs.replace(value, tool_resources=value.tool_resources or wire.ToolResources())
