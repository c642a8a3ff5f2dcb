"""Tools that the server runs itself, one folder each, over :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from kodo.server.config import Settings
from kodo.server.lifecycle.hosted.ports import HostedTool
from kodo.server.lifecycle.ports import FileReader
from kodo.server.lifecycle.store_ports import Store


async def open_tools(
    settings: Settings, store: Store, files: FileReader, stack: AsyncExitStack
) -> Mapping[str, HostedTool]:
    """The tools that the settings turn on, by the type of their entries in a request.

    ``stack`` closes them. A type that is not turned on is left out; :data:`kodo.server.wire.tools.HOSTED_TOOLS` tells a
    client how to turn it on.
    """
    tools: list[HostedTool] = []
    return {kind: tool for tool in tools for kind in tool.types}
