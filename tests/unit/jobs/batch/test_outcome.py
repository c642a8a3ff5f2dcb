"""What an error of a call looks like in a result file."""

from __future__ import annotations

import pytest

from kodo.client.errors import (
    CallError,
    RequestRefusedError,
    ServerFailedError,
    StreamCutError,
    UnreachableError,
)
from kodo.jobs.batch.outcome import failed


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestRefusedError("no", status=400, code="bad", param="input", request_id="r1"), 400, "bad"),
        (ServerFailedError("oh", status=503), 503, None),
    ],
)
def test_an_http_error_keeps_status_code_and_request_id(
    error: CallError, status: int, code: str | None
) -> None:
    """As the Batch API's own error file has it: the answer's status and the envelope."""
    line = failed("a", error)
    assert line.error is None
    assert line.response is not None
    assert (line.custom_id, line.response.status_code, line.response.request_id) == (
        "a",
        status,
        error.request_id,
    )
    assert line.response.body["error"]["code"] == code
    assert line.response.body["error"]["message"] == str(error)


@pytest.mark.parametrize(
    ("error", "code"), [(UnreachableError("gone"), "unreachable"), (StreamCutError("cut"), "stream_cut")]
)
def test_without_an_answer_the_error_says_what_happened(error: CallError, code: str) -> None:
    """No status is invented."""
    line = failed("a", error)
    assert line.response is None
    assert line.error is not None
    assert (line.error.code, line.error.message) == (code, str(error))
