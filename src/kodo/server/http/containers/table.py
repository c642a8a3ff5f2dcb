"""The part of the table of endpoints that is about containers."""

from __future__ import annotations

from kodo.server.http.containers import endpoints as containers
from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import CONTAINER_FILE_FORM, ListPage
from kodo.server.wire.containers import (
    AddContainerFile,
    ContainerFile,
    ContainerObject,
    CreateContainer,
    DeletedContainer,
    DeletedContainerFile,
)

_CONTAINER = "/v1/containers/{container_id}"
_FILE = f"{_CONTAINER}/files/{{file_id}}"

CONTAINER_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/containers",
        containers.create,
        "Create a container.",
        body=CreateContainer,
        answer=ContainerObject,
    ),
    Endpoint(
        "GET",
        "/v1/containers",
        containers.list_containers,
        "List containers.",
        answer=ListPage[ContainerObject],
        query=("name", *containers.PAGE),
    ),
    Endpoint("GET", _CONTAINER, containers.retrieve, "Retrieve a container.", answer=ContainerObject),
    Endpoint("DELETE", _CONTAINER, containers.delete, "Delete a container.", answer=DeletedContainer),
    Endpoint(
        "POST",
        f"{_CONTAINER}/files",
        containers.create_file,
        "Put a file into a container.",
        body=AddContainerFile,
        form=CONTAINER_FILE_FORM,
        answer=ContainerFile,
    ),
    Endpoint(
        "GET",
        f"{_CONTAINER}/files",
        containers.list_files,
        "List the files of a container.",
        answer=ListPage[ContainerFile],
        query=containers.PAGE,
    ),
    Endpoint("GET", _FILE, containers.retrieve_file, "Retrieve a file of a container.", answer=ContainerFile),
    Endpoint(
        "GET",
        f"{_FILE}/content",
        containers.file_content,
        "Get the bytes of a file of a container.",
        media="application/octet-stream",
    ),
    Endpoint(
        "DELETE", _FILE, containers.delete_file, "Delete a file of a container.", answer=DeletedContainerFile
    ),
)
