"""The part of the table of endpoints that is about batches."""

from __future__ import annotations

from kodo.server.http.batches import endpoints as batches
from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import BatchBody, ListPage
from kodo.server.wire.batches import Batch

BATCH_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/batches",
        batches.create,
        "Create a batch.",
        body=BatchBody,
        answer=Batch,
    ),
    Endpoint(
        "GET",
        "/v1/batches",
        batches.list_batches,
        "List batches.",
        answer=ListPage[Batch],
        query=("after", "limit"),
    ),
    Endpoint("GET", "/v1/batches/{batch_id}", batches.retrieve, "Retrieve a batch.", answer=Batch),
    Endpoint("POST", "/v1/batches/{batch_id}/cancel", batches.cancel, "Cancel a batch.", answer=Batch),
)
