"""``/v1/containers`` as openai-python 3.54 has them, and what an entry of ``tools`` says of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.items import StrictWire, Wire

MemoryLimit: TypeAlias = Literal["1g", "4g", "16g", "64g"]
MEMORY_BYTES: Final[Mapping[MemoryLimit, int]] = {
    "1g": 2**30,
    "4g": 4 * 2**30,
    "16g": 16 * 2**30,
    "64g": 64 * 2**30,
}
FOLDER: Final = "/mnt/data"
"""The working folder of every container; paths of its files begin with it."""
ContainerFileIds: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=100)
]


class ContainerExpiry(StrictWire, frozen=True, kw_only=True):
    """A container expires this many minutes after its last use."""

    anchor: Literal["last_active_at"]
    minutes: Annotated[int, Meta(ge=1, le=1440)]


class NetworkPolicy(Wire, frozen=True, kw_only=True):
    """What a container may reach: nothing, here. ``allowed_domains`` and ``domain_secrets`` are for the other type."""

    type: Literal["disabled", "allowlist"]
    allowed_domains: tuple[str, ...] | UnsetType | None = UNSET
    domain_secrets: Any | UnsetType = UNSET


class ContainerObject(Wire, frozen=True, kw_only=True):
    """A container. Times are in seconds since the epoch. ``status``: ``running``, also while none of its processes does, or
    ``expired``."""

    id: str
    object: Literal["container"] = "container"
    created_at: int
    name: str
    status: str = "running"
    expires_after: ContainerExpiry
    last_active_at: int
    memory_limit: MemoryLimit = "1g"
    network_policy: NetworkPolicy = NetworkPolicy(type="disabled")


class ContainerFile(Wire, frozen=True, kw_only=True):
    """A file in a container. ``source``: who put it there, ``user`` the client and ``assistant`` the model's code."""

    id: str
    object: Literal["container.file"] = "container.file"
    created_at: int
    container_id: str
    path: str
    bytes: int
    source: Literal["user", "assistant"]


class DeletedContainer(Wire, frozen=True, kw_only=True):
    """The answer to a deletion. The hosted service answers nothing more than its status; a body does no harm."""

    id: str
    object: Literal["container.deleted"] = "container.deleted"
    deleted: bool = True


class DeletedContainerFile(Wire, frozen=True, kw_only=True):
    """The same of a file."""

    id: str
    object: Literal["container.file.deleted"] = "container.file.deleted"
    deleted: bool = True


# --- bodies ----------------------------------------------------------------------------------------------------------


class CreateContainer(StrictWire, frozen=True, kw_only=True):
    """The body that creates a container. ``skills`` are refused."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    file_ids: ContainerFileIds | None = None
    expires_after: ContainerExpiry | None = None
    memory_limit: MemoryLimit | None = None
    network_policy: NetworkPolicy | None = None
    skills: Any | None = None


class AddContainerFile(StrictWire, frozen=True, kw_only=True):
    """The body that copies a file into a container; a form with the bytes stands in its place."""

    file_id: Annotated[str, Meta(min_length=1, max_length=128)]


class AutoContainer(StrictWire, frozen=True, kw_only=True):
    """``container`` or ``environment`` of a tool that makes a container where the chain has none."""

    type: Literal["auto", "container_auto"]
    file_ids: ContainerFileIds | None = None
    memory_limit: MemoryLimit | None = None
    network_policy: NetworkPolicy | None = None
    skills: Any | None = None


class ContainerReference(StrictWire, frozen=True, kw_only=True):
    """``environment`` of a shell in a container that is there."""

    type: Literal["container_reference"]
    container_id: Annotated[str, Meta(min_length=1, max_length=128)]
