"""Containers as the tools see them: a Python and a shell with files, apart from everything else.

:mod:`kodo.server.http.containers` implements the port.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from kodo.server.lifecycle.ports import Value
from kodo.server.wire.containers import AutoContainer, ContainerFile

Ended: TypeAlias = Literal["ok", "error", "timeout", "flood", "died"]
"""How a call ended: by itself (the code with or without an error), because it took too long or wrote too much, or because
the process is gone."""


class ContainerImage(Value, frozen=True, kw_only=True):
    """An image that a call made. ``url``: a data URL whose ``name`` is the file's id, None where it is too large for one."""

    file: ContainerFile
    url: str | None


class CodeResult(Value, frozen=True, kw_only=True):
    """What a piece of code, or a command, did."""

    ended: Ended
    stdout: str
    """For code, what it wrote to either stream."""
    stderr: str = ""
    exit_code: int | None = None
    """Of a command that ended by itself; minus the signal that ended it."""
    files: Sequence[ContainerFile] = ()
    """The files that it made or changed."""
    images: Sequence[ContainerImage] = ()
    notes: Sequence[str] = ()
    """What the model should know besides: that output was cut, a file not kept, the variables lost."""


class Containers(Protocol):
    """All containers of this server. One belongs to an owner; another's looks like a missing one."""

    async def require(self) -> None:
        """Make sure that code may run on this machine.

        Raises:
            InvalidRequest: it may not; the message says why.
        """

    def is_active(self, owner: str, container_id: str) -> bool:
        """Whether a container could run something now, as far as is known without asking the store."""

    async def check(self, owner: str, container_id: str, *, param: str) -> None:
        """Make sure that a container is there and has not expired.

        Raises:
            NotFound, InvalidRequest: it is not; ``param`` names the field.
        """

    async def check_auto(self, owner: str, wanted: AutoContainer, *, param: str) -> None:
        """Make sure that a container can be made as it is wanted.

        Raises:
            NotFound, InvalidRequest: a file is not there, or a value cannot be honoured; ``param`` is what fields stand in.
        """

    async def ensure(self, owner: str, container_id: str, wanted: AutoContainer) -> None:
        """Create the container of this id, or give it the files that it does not have.

        Raises:
            ServiceError: there are too many, or it cannot be made as it is wanted.
        """

    async def run_code(self, owner: str, container_id: str, code: str) -> CodeResult:
        """Run Python in the container; variables stay. A call that is cancelled ends the container's processes.

        Raises:
            ServiceError: the container is gone or has expired, or nothing can be started.
        """

    async def run_command(
        self, owner: str, container_id: str, command: str, *, seconds: float | None, max_chars: int | None
    ) -> CodeResult:
        """Run a shell command in the container, in its working folder. The errors are those of :meth:`run_code`.

        ``seconds`` and ``max_chars`` can only lower the server's own limits.
        """
