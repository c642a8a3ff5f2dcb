"""The part of the table of endpoints that is about vector stores."""

from __future__ import annotations

from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import ListPage
from kodo.server.http.vector_stores import endpoints as vector_stores
from kodo.server.wire.vector_stores import (
    AddFile,
    CreateFileBatch,
    CreateVectorStore,
    DeletedStore,
    DeletedStoreFile,
    FileBatch,
    FileContentPage,
    SearchPage,
    SearchRequest,
    UpdateFile,
    UpdateVectorStore,
    VectorStore,
    VectorStoreFile,
)

_WINDOW = ("after", "before", "limit", "order")

VECTOR_STORE_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/vector_stores",
        vector_stores.create,
        "Create a vector store.",
        body=CreateVectorStore,
        answer=VectorStore,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores",
        vector_stores.list_stores,
        "List vector stores.",
        answer=ListPage[VectorStore],
        query=_WINDOW,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}",
        vector_stores.retrieve,
        "Retrieve a vector store.",
        answer=VectorStore,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}",
        vector_stores.update,
        "Modify a vector store.",
        body=UpdateVectorStore,
        answer=VectorStore,
    ),
    Endpoint(
        "DELETE",
        "/v1/vector_stores/{vector_store_id}",
        vector_stores.delete,
        "Delete a vector store.",
        answer=DeletedStore,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/search",
        vector_stores.search,
        "Search in a vector store.",
        body=SearchRequest,
        answer=SearchPage,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/files",
        vector_stores.add_file,
        "Add a file to a vector store.",
        body=AddFile,
        answer=VectorStoreFile,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/files",
        vector_stores.list_files,
        "List the files of a vector store.",
        answer=ListPage[VectorStoreFile],
        query=("filter", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        vector_stores.retrieve_file,
        "Retrieve a file of a vector store.",
        answer=VectorStoreFile,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        vector_stores.update_file,
        "Replace the attributes of a file of a vector store.",
        body=UpdateFile,
        answer=VectorStoreFile,
    ),
    Endpoint(
        "DELETE",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        vector_stores.delete_file,
        "Take a file out of a vector store.",
        answer=DeletedStoreFile,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}/content",
        vector_stores.file_content,
        "Get the text of a file as it was read.",
        answer=FileContentPage,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/file_batches",
        vector_stores.create_batch,
        "Add files to a vector store together.",
        body=CreateFileBatch,
        answer=FileBatch,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}",
        vector_stores.retrieve_batch,
        "Retrieve a batch of files.",
        answer=FileBatch,
    ),
    Endpoint(
        "POST",
        "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
        vector_stores.cancel_batch,
        "Cancel a batch of files.",
        answer=FileBatch,
    ),
    Endpoint(
        "GET",
        "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
        vector_stores.list_batch_files,
        "List the files of a batch.",
        answer=ListPage[VectorStoreFile],
        query=("filter", *_WINDOW),
    ),
)
