"""The part of the table of endpoints that is about files and uploads."""

from __future__ import annotations

from kodo.server.http.files.endpoints import files, uploads
from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import FILE_FORM, PART_FORM, DeletedObject, ListPage
from kodo.server.wire.files import CompleteUpload, CreateUpload, FileObject, Upload, UploadPart

_PAGE = ("after", "limit", "order")

FILE_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", "/v1/files", files.create, "Upload a file.", answer=FileObject, form=FILE_FORM),
    Endpoint(
        "GET",
        "/v1/files",
        files.list_files,
        "List files.",
        answer=ListPage[FileObject],
        query=("purpose", *_PAGE),
    ),
    Endpoint("GET", "/v1/files/{file_id}", files.retrieve, "Retrieve a file.", answer=FileObject),
    Endpoint("DELETE", "/v1/files/{file_id}", files.delete, "Delete a file.", answer=DeletedObject),
    Endpoint(
        "GET",
        "/v1/files/{file_id}/content",
        files.content,
        "Retrieve the content of a file.",
        media="application/octet-stream",
    ),
    Endpoint("POST", "/v1/uploads", uploads.create, "Create an upload.", body=CreateUpload, answer=Upload),
    Endpoint(
        "POST",
        "/v1/uploads/{upload_id}/parts",
        uploads.add_part,
        "Add a part to an upload.",
        answer=UploadPart,
        form=PART_FORM,
    ),
    Endpoint(
        "POST",
        "/v1/uploads/{upload_id}/complete",
        uploads.complete,
        "Complete an upload.",
        body=CompleteUpload,
        answer=Upload,
    ),
    Endpoint("POST", "/v1/uploads/{upload_id}/cancel", uploads.cancel, "Cancel an upload.", answer=Upload),
)
