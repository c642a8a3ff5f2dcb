"""Containers in tests: where the machine gives no full isolation, a test states the refusal in their place."""

from __future__ import annotations

import warnings
from typing import Any

import openai
import pytest
from tests.serving import MODEL, Served

from kodo.server.http.containers.manager import ContainerManager
from kodo.server.lifecycle.errors import InvalidRequest


def manager_of(server: Served) -> ContainerManager:
    """The server's containers."""
    assert server.state.containers is not None
    return server.state.containers


async def no_containers(server: Served) -> bool:
    """Whether this machine runs no code; then the tool is refused by name, with the reason."""
    try:
        await manager_of(server).require()
    except InvalidRequest as error:
        tool: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
        with pytest.raises(openai.BadRequestError, match="runs no code: isolation:") as caught:
            await server.sdk().responses.create(model=MODEL, input="x", tools=[tool])
        assert caught.value.code == error.code == "unsupported_tool"
        warnings.warn("no full isolation on this machine; only the refusal could be tested", stacklevel=2)
        return True
    return False


async def container(server: Served, **options: Any) -> str:
    """A new container's id."""
    return (await server.sdk().containers.create(**{"name": "work", **options})).id


async def python(server: Served, container_id: str, code: str, owner: str = "default") -> str:
    """What a piece of code writes, with the notes."""
    result = await manager_of(server).run_code(owner, container_id, code)
    return "\n".join([result.stdout, *result.notes]).strip()
