"""Events of the tools that this server runs. They stand between an item's ``output_item.added`` and ``output_item.done``.

``item_id``, ``output_index`` and ``sequence_number`` are filled in where the event is put into a stream; a tool makes
its events without them. Source: ``ResponseStreamEvent`` of openai-python 3.54.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct


class OfHostedItem(Struct, frozen=True, kw_only=True):
    """Base of the events of an item."""

    sequence_number: int = 0
    output_index: int = 0
    item_id: str = ""


class McpListToolsInProgress(
    OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_list_tools.in_progress"
):
    """The tools of an MCP server are being listed."""


class McpListToolsCompleted(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_list_tools.completed"):
    """They are listed."""


class McpListToolsFailed(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_list_tools.failed"):
    """They could not be listed."""


class McpCallInProgress(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_call.in_progress"):
    """A tool of an MCP server is being called."""


class McpCallArgumentsDelta(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_call_arguments.delta"):
    """Text added to the call's arguments."""

    delta: str


class McpCallArgumentsDone(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_call_arguments.done"):
    """The call's complete arguments."""

    arguments: str


class McpCallCompleted(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_call.completed"):
    """The call has its output."""


class McpCallFailed(OfHostedItem, frozen=True, kw_only=True, tag="response.mcp_call.failed"):
    """The call failed."""


class FileSearchInProgress(
    OfHostedItem, frozen=True, kw_only=True, tag="response.file_search_call.in_progress"
):
    """A search in vector stores begins."""


class FileSearchSearching(OfHostedItem, frozen=True, kw_only=True, tag="response.file_search_call.searching"):
    """The stores are searched."""


class FileSearchCompleted(OfHostedItem, frozen=True, kw_only=True, tag="response.file_search_call.completed"):
    """The search is over."""


class WebSearchInProgress(
    OfHostedItem, frozen=True, kw_only=True, tag="response.web_search_call.in_progress"
):
    """A search on the web begins."""


class WebSearchSearching(OfHostedItem, frozen=True, kw_only=True, tag="response.web_search_call.searching"):
    """The web is searched."""


class WebSearchCompleted(OfHostedItem, frozen=True, kw_only=True, tag="response.web_search_call.completed"):
    """The search is over."""


class CodeInterpreterInProgress(
    OfHostedItem, frozen=True, kw_only=True, tag="response.code_interpreter_call.in_progress"
):
    """Code is being written."""


class CodeInterpreterCodeDelta(
    OfHostedItem, frozen=True, kw_only=True, tag="response.code_interpreter_call_code.delta"
):
    """Text added to the code."""

    delta: str


class CodeInterpreterCodeDone(
    OfHostedItem, frozen=True, kw_only=True, tag="response.code_interpreter_call_code.done"
):
    """The complete code."""

    code: str


class CodeInterpreterInterpreting(
    OfHostedItem, frozen=True, kw_only=True, tag="response.code_interpreter_call.interpreting"
):
    """The code runs."""


class CodeInterpreterCompleted(
    OfHostedItem, frozen=True, kw_only=True, tag="response.code_interpreter_call.completed"
):
    """The code has run."""


class ShellCommandAdded(OfHostedItem, frozen=True, kw_only=True, tag="response.shell_call_command.added"):
    """A command of a shell call begins."""

    command: str
    command_index: int


class ShellCommandDelta(OfHostedItem, frozen=True, kw_only=True, tag="response.shell_call_command.delta"):
    """Text added to a command."""

    command_index: int
    delta: str


class ShellCommandDone(OfHostedItem, frozen=True, kw_only=True, tag="response.shell_call_command.done"):
    """A complete command."""

    command: str
    command_index: int


class ShellOutputDelta(
    OfHostedItem, frozen=True, kw_only=True, tag="response.shell_call_output_content.delta"
):
    """Text added to the output of a command."""

    command_index: int
    delta: dict[str, str]


class ShellOutputDone(OfHostedItem, frozen=True, kw_only=True, tag="response.shell_call_output_content.done"):
    """The complete output of the commands."""

    command_index: int
    output: tuple[dict[str, Any], ...]


HostedEvent: TypeAlias = (
    McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpCallInProgress
    | McpCallArgumentsDelta
    | McpCallArgumentsDone
    | McpCallCompleted
    | McpCallFailed
    | FileSearchInProgress
    | FileSearchSearching
    | FileSearchCompleted
    | WebSearchInProgress
    | WebSearchSearching
    | WebSearchCompleted
    | CodeInterpreterInProgress
    | CodeInterpreterCodeDelta
    | CodeInterpreterCodeDone
    | CodeInterpreterInterpreting
    | CodeInterpreterCompleted
    | ShellCommandAdded
    | ShellCommandDelta
    | ShellCommandDone
    | ShellOutputDelta
    | ShellOutputDone
)
